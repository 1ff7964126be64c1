-- Statistics of the weights of each tensor at the last epoch: means over
-- models that did not diverge, and the extremes over all of those.
--
-- param zoo text = NULL: only this zoo
-- column arch: the architecture
-- column tensor: the tensor
-- column models: number of models
-- column mean: mean of the means
-- column sd: mean of the standard deviations
-- column min: smallest weight
-- column median: mean of the medians
-- column max: largest weight
-- column l2_norm: mean Euclidean length
SELECT w.arch,
       w.tensor,
       count(*) AS models,
       avg(vector_mean(w.weights)) AS mean,
       avg(vector_stddev(w.weights)) AS sd,
       min(vector_min(w.weights)) AS min,
       avg(vector_quantile(w.weights, 0.5)) AS median,
       max(vector_max(w.weights)) AS max,
       avg(vector_l2_norm(w.weights)) AS l2_norm
FROM weights w
JOIN models m ON m.model_id = w.model_id AND m.epochs = w.epoch
JOIN tensors t ON t.arch = w.arch AND t.tensor = w.tensor
WHERE m.status = 'ok' AND ($zoo IS NULL OR m.zoo = $zoo)
GROUP BY w.arch, w.tensor, t.position
ORDER BY w.arch, t.position
