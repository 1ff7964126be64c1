-- Generalisation gap (train minus test accuracy) by epoch.
--
-- param zoo text = NULL: only this zoo
-- column epoch: the epoch
-- column models: models with a gap
-- column mean_gap: mean gap
-- column sd_gap: its standard deviation over models
-- column max_gap: the largest gap
SELECT epoch,
       count(ggap) AS models,
       avg(ggap) AS mean_gap,
       stddev(ggap) AS sd_gap,
       max(ggap) AS max_gap
FROM states
WHERE $zoo IS NULL OR zoo = $zoo
GROUP BY epoch
ORDER BY epoch
