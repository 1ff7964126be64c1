-- Mean test accuracy at the last epoch: a row per activation, a column per
-- initialisation.
--
-- param zoo text = NULL: only this zoo
-- column activation: the activation
-- column models: models with a test accuracy
-- column mean_acc: mean over all of them
-- column uniform: mean of those that started from U[0, 1)
-- column normal: mean of those that started from N(0, 1)
-- column kaiming_uniform: mean of those with Kaiming's uniform initialisation
-- column kaiming_normal: mean of those with Kaiming's normal initialisation
SELECT activation,
       count(test_acc) AS models,
       avg(test_acc) AS mean_acc,
       avg(test_acc) FILTER (WHERE init = 'uniform') AS uniform,
       avg(test_acc) FILTER (WHERE init = 'normal') AS normal,
       avg(test_acc) FILTER (WHERE init = 'kaiming_uniform') AS kaiming_uniform,
       avg(test_acc) FILTER (WHERE init = 'kaiming_normal') AS kaiming_normal
FROM states
WHERE epoch = epochs AND ($zoo IS NULL OR zoo = $zoo)
GROUP BY activation
ORDER BY mean_acc DESC
