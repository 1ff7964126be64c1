-- The models with the highest test accuracy at their last epoch.
--
-- param k int = 10: how many models
-- param zoo text = NULL: only this zoo
-- column model_id: the model
-- column name: its name
-- column activation: its activation
-- column init: its initialisation
-- column optimizer: its optimiser
-- column lr: its learning rate
-- column seed: its seed
-- column test_acc: test accuracy
-- column ggap: generalisation gap, train minus test accuracy
SELECT model_id, name, activation, init, optimizer, lr, seed, test_acc, ggap
FROM states
WHERE epoch = epochs AND ($zoo IS NULL OR zoo = $zoo)
ORDER BY test_acc DESC NULLS LAST, model_id
LIMIT $k
