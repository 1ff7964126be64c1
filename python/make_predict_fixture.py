"""Writes the fixture of predictors and metrics: python python/make_predict_fixture.py

What scipy and scikit-learn say of rank correlations and of linear and logit-linear models, LightGBM
of boosted trees, also where features are missing, and PyTorch of a softmax probe and of a multilayer
perceptron under Adam. Needs numpy, scipy, scikit-learn, lightgbm and torch.
"""

import json
from pathlib import Path

import lightgbm
import numpy as np
import torch
from scipy import optimize, stats
from sklearn import metrics
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

OUT = Path(__file__).resolve().parent.parent / "tests/fixtures/predict/reference.json"
PENALTIES = [m * 10.0**e for e in range(3, -6, -1) for m in (1, 0.3)][:17]
ROWS = {"train": slice(0, 160), "validation": slice(160, 200), "test": slice(200, 240)}


def data():
    """States with six features of several scales, a number and a class of each."""
    rng = np.random.default_rng(2209)
    x = rng.normal(size=(240, 6))
    x[:, 1] = 50 + 20 * x[:, 1]
    x[:, 2] *= 1e-2
    x[:, 3] = np.round(x[:, 3])
    x[:, 4] = 0.5
    x = np.round(x, 6)
    y = np.tanh(x[:, 0]) * (x[:, 1] / 50) + 30 * x[:, 2] + 0.2 * x[:, 3] ** 2
    y = np.round(y + 0.1 * rng.normal(size=240), 4)
    scores = np.stack([y, 1.5 * x[:, 0], -x[:, 3]], 1) + 0.5 * rng.normal(size=(240, 3))
    # Away from 0, which has a bin of its own in LightGBM.
    return np.round(x + 8, 6), y, scores.argmax(1)


def metric_cases():
    rng = np.random.default_rng(14764)
    cases = []
    for size, levels in [(7, 100), (50, 5), (300, 40), (1000, 3)]:
        truth = np.round(rng.normal(size=size) * levels / 4) / levels
        predicted = np.round(truth + 0.3 * rng.normal(size=size), 2)
        # The truth itself in an order without ties: no such order has a larger tau.
        untied = np.argsort(np.argsort(truth, kind="stable"))
        cases.append({
            "truth": truth.tolist(),
            "predicted": predicted.tolist(),
            "tau": stats.kendalltau(truth, predicted).statistic,
            "tau_ceiling": stats.kendalltau(truth, untied).statistic,
            "spearman": stats.spearmanr(truth, predicted).statistic,
            "r2": metrics.r2_score(truth, predicted),
            "l1": metrics.mean_absolute_error(truth, predicted),
            "mse": metrics.mean_squared_error(truth, predicted),
        })
    return cases


def choose(fit, x, y):
    """The fit of the penalty with the largest R² on the validation part, told of the test part."""
    fits = [(fit(penalty), penalty) for penalty in PENALTIES]
    validation = ROWS["validation"]
    score = [metrics.r2_score(y[validation], predict(x[validation])) for predict, _ in fits]
    predict, penalty = fits[int(np.argmax(score))]
    return {"penalty": penalty, "test": predict(x[ROWS["test"]]).tolist()}


def standardised_ridge(x, y):
    train = ROWS["train"]
    scaler = StandardScaler().fit(x[train])

    def fit(penalty):
        model = Ridge(alpha=penalty * len(y[train])).fit(scaler.transform(x[train]), y[train])
        return lambda x: model.predict(scaler.transform(x))

    return choose(fit, x, y)


def published_ridge(x, y):
    """The closed form of the zoo paper: a column of ones, penalised with the others."""
    train = ROWS["train"]
    ones = lambda x: np.column_stack([x, np.ones(len(x))])

    def fit(penalty):
        a = ones(x[train])
        weights = np.linalg.solve(a.T @ a + penalty * np.eye(a.shape[1]), a.T @ y[train])
        return lambda x: ones(x) @ weights

    return choose(fit, x, y)


def logistic(x, labels, penalty):
    """Coefficients at the minimum of mean cross-entropy + penalty / 2 |W|²."""
    train = ROWS["train"]
    scaled = StandardScaler().fit_transform(x[train])
    strength = 1 / (penalty * len(scaled))
    model = LogisticRegression(C=strength, tol=1e-12, max_iter=100_000).fit(scaled, labels[train])
    shares = model.predict_proba(scaled)
    loss = metrics.log_loss(labels[train], shares) + penalty / 2 * (model.coef_**2).sum()
    return {"penalty": penalty, "loss": loss, "weights": model.coef_.tolist()}


def logit_linear(x, y):
    """A sigmoid of a linear score at the minimum of mean squared error + penalty / 2 |w|²."""
    target = np.round(1 / (1 + np.exp(-y)), 6)
    train, validation = ROWS["train"], ROWS["validation"]
    scaler = StandardScaler().fit(x[train])
    predict = lambda w, part: 1 / (1 + np.exp(-(scaler.transform(x[part]) @ w[:-1] + w[-1])))
    scaled = scaler.transform(x[train])

    def loss(w, penalty):
        share = predict(w, train)
        away = share - target[train]
        slope = 2 * away * share * (1 - share) / len(away)
        gradient = np.append(scaled.T @ slope + penalty * w[:-1], slope.sum())
        return (away**2).mean() + penalty / 2 * (w[:-1] ** 2).sum(), gradient

    weights, best = np.zeros(x.shape[1] + 1), (np.inf, None, None)
    for penalty in 10.0 ** np.arange(-1, -5, -1):
        options = {"maxiter": 100_000, "ftol": 0, "gtol": 1e-12}
        found = optimize.minimize(
            loss, weights, (penalty,), method="L-BFGS-B", jac=True, options=options
        )
        weights = found.x
        error = ((predict(weights, validation) - target[validation]) ** 2).mean()
        if error < best[0]:
            best = (error, penalty, predict(weights, ROWS["test"]).tolist())
    return {"target": target.tolist(), "penalty": best[1], "test": best[2]}


def gaps():
    """Row and feature of values that are missing: a fifth of the first four features, and of the
    last one where it is not learnt from."""
    rng = np.random.default_rng(1906)
    is_missing = rng.random((240, 6)) < 0.2
    is_missing[:, 4] = False
    is_missing[ROWS["train"], 5] = False
    return np.argwhere(is_missing)


def with_gaps(x):
    x = x.copy()
    x[tuple(gaps().T)] = np.nan
    return x


def boosted(x, y, rounds, **settings):
    train = ROWS["train"]
    settings = {
        "learning_rate": 0.05, "num_leaves": 7, "min_data_in_leaf": 4, "min_data_in_bin": 1,
        "lambda_l2": 1.0, "max_bin": 255, "min_sum_hessian_in_leaf": 0.0, "verbose": -1,
        "feature_pre_filter": False, "num_threads": 1, "deterministic": True, **settings,
    }
    booster = lightgbm.train(settings, lightgbm.Dataset(x[train], y[train]), rounds)
    return booster.predict(x[ROWS["test"]], raw_score=True).tolist()


def probe(x, labels):
    """Weights of a softmax probe after five steps of Adam, from weights that count up and
    intercepts as the zoo paper's code begins with."""
    torch.set_default_dtype(torch.float32)
    layer = torch.nn.Linear(6, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.arange(18.0).reshape(3, 6) / 100 - 0.1)
        layer.bias.fill_(0.01)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-4, weight_decay=1e-6)
    inputs, labels = torch.tensor(x, dtype=torch.float32), torch.tensor(labels)
    for step in range(5):
        batch = slice(10 * step, 10 * step + 10)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(layer(inputs[batch]), labels[batch]).backward()
        optimizer.step()
    return {"weights": layer.weight.tolist(), "intercepts": layer.bias.tolist()}


def perceptron(x, y):
    """What StatNN with four hidden units predicts after five steps."""
    sizes = [6, 4, 4, 1]
    layers = [torch.nn.Linear(a, b) for a, b in zip(sizes, sizes[1:])]
    with torch.no_grad():
        for layer in layers:
            size = layer.weight.numel()
            values = torch.sin(torch.arange(float(size))).reshape(layer.weight.shape[::-1])
            layer.weight.copy_(0.5 * values.T)
            layer.bias.fill_(0.1)
    relu = torch.nn.ReLU()
    model = torch.nn.Sequential(layers[0], relu, layers[1], relu, layers[2])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    inputs = torch.tensor(x, dtype=torch.float32)
    truth = torch.tensor(1 / (1 + np.exp(-y)), dtype=torch.float32)[:, None]
    for step in range(5):
        batch = slice(8 * step, 8 * step + 8)
        optimizer.zero_grad()
        loss = torch.nn.functional.binary_cross_entropy(torch.sigmoid(model(inputs[batch])), truth[batch])
        loss.backward()
        optimizer.step()
    return torch.sigmoid(model(inputs[ROWS["test"]])).flatten().tolist()


if __name__ == "__main__":
    x, y, labels = data()
    reference = {
        "features": x.tolist(),
        "numbers": y.tolist(),
        "labels": labels.tolist(),
        "metrics": metric_cases(),
        "ridge": standardised_ridge(x, y),
        "ridge_modelzoos_v1": published_ridge(x, y),
        "logistic": [logistic(x, labels, penalty) for penalty in (1e-1, 1e-3)],
        "logit_linear": logit_linear(x, y),
        "boosted_numbers": boosted(x, y, 30, objective="regression"),
        "boosted_classes": boosted(x, labels, 30, objective="multiclass", num_class=3),
        "gaps": gaps().tolist(),
        "boosted_numbers_with_gaps": boosted(with_gaps(x), y, 30, objective="regression"),
        "boosted_classes_with_gaps": boosted(
            with_gaps(x), labels, 30, objective="multiclass", num_class=3
        ),
        "probe": probe(x, labels),
        "perceptron": perceptron(x, y),
    }
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in reference.items()]
    OUT.write_text("{" + ",\n".join(lines) + "}\n")
