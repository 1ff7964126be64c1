-- The zoos of the store.
--
-- column zoo: the zoo
-- column dataset: its data set
-- column arch: its architecture
-- column models: number of models
-- column states: number of states
-- column diverged: models whose last state is not finite
-- column mean_acc: mean test accuracy at the last epoch
-- column max_acc: the best one
SELECT zoo,
       dataset,
       arch,
       count(DISTINCT model_id) AS models,
       count(*) AS states,
       count(DISTINCT model_id) FILTER (WHERE status = 'diverged') AS diverged,
       avg(test_acc) FILTER (WHERE epoch = epochs) AS mean_acc,
       max(test_acc) FILTER (WHERE epoch = epochs) AS max_acc
FROM states
GROUP BY zoo, dataset, arch
ORDER BY zoo, dataset, arch
