-- Test accuracy at the last epoch, by activation.
--
-- param zoo text = NULL: only this zoo
-- column activation: the activation
-- column models: models with a test accuracy
-- column mean_acc: mean test accuracy
-- column sd_acc: its standard deviation over models
-- column median_acc: median test accuracy
-- column min_acc: the worst model
-- column max_acc: the best model
SELECT activation,
       count(test_acc) AS models,
       avg(test_acc) AS mean_acc,
       stddev(test_acc) AS sd_acc,
       median(test_acc) AS median_acc,
       min(test_acc) AS min_acc,
       max(test_acc) AS max_acc
FROM states
WHERE epoch = epochs AND ($zoo IS NULL OR zoo = $zoo)
GROUP BY activation
ORDER BY mean_acc DESC
