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
WITH moved AS (
    SELECT w.model_id,
           w.epoch,
           sqrt(sum(power(vector_l2_distance(w.weights, before.weights), 2))) AS step,
           sqrt(sum(power(vector_l2_distance(w.weights, first.weights), 2))) AS from_start,
           sqrt(sum(power(vector_l2_norm(w.weights), 2))) AS norm
    FROM weights w
    JOIN models m ON m.model_id = w.model_id
    JOIN weights first
      ON first.model_id = w.model_id AND first.tensor = w.tensor AND first.epoch = 0
    JOIN weights before
      ON before.model_id = w.model_id AND before.tensor = w.tensor AND before.epoch = w.epoch - 1
    WHERE m.status = 'ok' AND ($zoo IS NULL OR m.zoo = $zoo)
    GROUP BY w.model_id, w.epoch
)
SELECT epoch,
       count(*) AS models,
       avg(step) AS step,
       avg(from_start) AS from_start,
       avg(norm) AS norm
FROM moved
GROUP BY epoch
ORDER BY epoch
