-- Learning curves: mean losses and accuracies by activation and epoch.
--
-- param zoo text = NULL: only this zoo
-- column activation: the activation
-- column epoch: the epoch
-- column models: number of models
-- column train_loss: mean training loss
-- column test_loss: mean test loss
-- column train_acc: mean training accuracy
-- column test_acc: mean test accuracy
SELECT activation,
       epoch,
       count(*) AS models,
       avg(train_loss) AS train_loss,
       avg(test_loss) AS test_loss,
       avg(train_acc) AS train_acc,
       avg(test_acc) AS test_acc
FROM states
WHERE $zoo IS NULL OR zoo = $zoo
GROUP BY activation, epoch
ORDER BY activation, epoch
