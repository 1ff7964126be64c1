-- How far models move in weight space per epoch, and how far they are from
-- where they started: means of Euclidean distances over models that
-- did not diverge.
--
-- param zoo text = NULL: only this zoo
-- column epoch: the epoch
-- column models: number of models
-- column step: mean distance from the state one epoch before
-- column from_start: mean distance from the state before training
-- column norm: mean length of the weight vector
WITH paths AS (
    SELECT w.model_id,
           w.epoch,
           vector_step_distance(w.weights) OVER path AS step,
           vector_start_distance(w.weights) OVER path AS from_start,
           vector_l2_norm(w.weights) AS norm
    FROM weights w
    JOIN models m ON m.model_id = w.model_id
    WHERE m.status = 'ok' AND ($zoo IS NULL OR m.zoo = $zoo)
    WINDOW path AS (PARTITION BY w.model_id, w.tensor ORDER BY w.epoch)
),
moved AS (
    SELECT model_id,
           epoch,
           sqrt(sum(power(step, 2))) AS step,
           sqrt(sum(power(from_start, 2))) AS from_start,
           sqrt(sum(power(norm, 2))) AS norm
    FROM paths
    WHERE epoch > 0
    GROUP BY model_id, epoch
)
SELECT epoch,
       count(*) AS models,
       avg(step) AS step,
       avg(from_start) AS from_start,
       avg(norm) AS norm
FROM moved
GROUP BY epoch
ORDER BY epoch
