"""Ridge and boosted trees beside numpy, scikit-learn and LightGBM: the same states, the same split.

    cargo build --release && python3 python/bench_predict.py STORE [--threads 2] [--where SQL]

Predicts test accuracy from raw weights of all states with `zoolake predict`, and reads from the
store what was measured and which states were judged. numpy then solves the same ridge regressions
(their predictions are compared), scikit-learn one of them, and LightGBM's Python package grows trees
with the same settings for as many rounds. Prints seconds on the clock and of processors as Markdown.
`cargo bench -- --noise STORE 980` makes a store of 49,980 states with random weights. Needs numpy,
scipy, scikit-learn, lightgbm and pyarrow.
"""

import argparse
import io
import os
import resource
import subprocess
import sys
import time
from contextlib import contextmanager

arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
arguments.add_argument("store")
arguments.add_argument("--zoolake", default="target/release/zoolake")
arguments.add_argument("--threads", type=int, default=os.cpu_count())
arguments.add_argument("--where", default="true", metavar="SQL")
arguments.add_argument("--predictor", default="ridge,gbt")
arguments = arguments.parse_args()
for variable in ["OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"]:
    os.environ[variable] = str(arguments.threads)

import lightgbm
import numpy as np
import pyarrow as pa
from scipy import linalg
from sklearn.linear_model import Ridge

PENALTIES = [m * 10.0**e for e in range(3, -6, -1) for m in (1, 0.3)][:17]


def zoolake(*words):
    """What a command writes, as a table; its seconds of processors and peak memory, too."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [arguments.zoolake, *words, "-s", arguments.store, "--format", "arrow"]
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return pa.ipc.open_stream(io.BytesIO(told)).read_all(), seconds, after.ru_maxrss / 1e6


def sql(query):
    return zoolake("sql", query)[0]


@contextmanager
def measured(name):
    """Prints a row of seconds."""
    clock, processors = time.perf_counter(), time.process_time()
    yield
    clock, processors = time.perf_counter() - clock, time.process_time() - processors
    print(f"| {name} | {clock:.2f} | {processors:.2f} |", flush=True)


def data():
    """Weights and accuracy of the states, and their keys."""
    keys = sql(
        f"SELECT model_id, epoch, test_acc FROM states WHERE {arguments.where} ORDER BY model_id, epoch"
    )
    chosen = f"SELECT model_id FROM states WHERE {arguments.where}"
    vectors = sql(
        f"SELECT weights FROM vectors_cnn_s WHERE model_id IN ({chosen}) ORDER BY model_id, epoch"
    )
    weights = [chunk.flatten().to_numpy() for chunk in vectors["weights"].chunks]
    x = np.concatenate(weights).reshape(len(keys), -1)
    return list(zip(keys["model_id"].to_pylist(), keys["epoch"].to_pylist())), x, keys["test_acc"].to_numpy()


def parts(run, keys):
    """The rows of the training, validation and test parts, and what trees or ridge predicted of
    the last one."""
    rows = sql(
        "SELECT predictor, part, model_id, epoch, predicted FROM predictions "
        f"WHERE run = '{run}' AND features = 'weights'"
    ).to_pylist()
    place = {key: row for row, key in enumerate(keys)}
    by = {}
    for row in rows:
        found = by.setdefault(row["predictor"], {"validation": {}, "test": {}})
        found[row["part"]][place[row["model_id"], row["epoch"]]] = row["predicted"]
    any_of = next(iter(by.values()))
    validation, test = (np.array(sorted(any_of[part])) for part in ("validation", "test"))
    train = np.setdiff1d(np.arange(len(keys)), np.concatenate([validation, test]))
    predicted = {name: np.array([found["test"][row] for row in test]) for name, found in by.items()}
    return train, validation, test, predicted


def ridge(x, y, train, validation, test, ours):
    """Returns by how much predictions differ from ours at most."""
    with measured("numpy, all penalties"):
        a = x[train].astype(np.float64)
        mean, deviation = a.mean(0), a.std(0)
        a = (a - mean) / deviation
        intercept = y[train].mean()
        gram, product = a.T @ a, a.T @ (y[train] - intercept)
        best = (np.inf, None)
        for penalty in PENALTIES:
            system = gram + penalty * len(train) * np.eye(len(gram))
            weights = linalg.solve(system, product, assume_a="pos")
            told = lambda rows: (x[rows] - mean) / deviation @ weights + intercept
            error = ((told(validation) - y[validation]) ** 2).mean()
            if error < best[0]:
                best = (error, told(test))
    with measured("scikit-learn, one penalty"):
        Ridge(alpha=float(len(train)), solver="cholesky", copy_X=False).fit(a, y[train])
    return np.abs(ours - best[1]).max()


def boosted(x, y, train, validation, test, rounds):
    settings = {
        "objective": "regression", "learning_rate": 0.05, "num_leaves": 63, "min_data_in_leaf": 20,
        "lambda_l2": 1.0, "max_bin": 255, "feature_fraction": 0.3, "min_sum_hessian_in_leaf": 0.0,
        "metric": "l2", "verbose": -1, "num_threads": arguments.threads,
    }  # fmt: skip
    with measured(f"LightGBM, bins and {rounds} rounds"):
        learnt = lightgbm.Dataset(x[train], y[train], params=settings).construct()
        judged = lightgbm.Dataset(x[validation], y[validation], reference=learnt)
        model = lightgbm.train(settings, learnt, rounds, valid_sets=[judged])
        model.predict(x[test])


def main():
    condition = ["--where", arguments.where]
    _, processors, peak = zoolake(
        *["predict", "-t", "test_acc", "-f", "weights", "-p", arguments.predictor, *condition]
    )
    run = sql("SELECT max(run) AS run FROM results")["run"][0].as_py()
    results = sql(
        "SELECT predictor, chosen, min(seconds) AS seconds FROM results "
        f"WHERE run = '{run}' AND features = 'weights' GROUP BY predictor, chosen"
    ).to_pylist()
    keys, x, y = data()
    train, validation, test, predicted = parts(run, keys)
    print(f"{x.shape[0]} x {x.shape[1]}, {len(train)} to learn from, {arguments.threads} threads\n")
    print("| | seconds | of processors |\n|---|---:|---:|")
    print(f"| zoolake predict, all of it (at most {peak:.2f} GB) | | {processors:.2f} |")
    for row in results:
        print(f"| zoolake, {row['predictor']}, {row['chosen']} | {row['seconds']:.2f} | |")
    sys.stdout.flush()
    for row in results:
        if row["predictor"] == "gbt":
            rounds = min(int(row["chosen"].removeprefix("rounds=")) + 100, 2000)
            boosted(x, y, train, validation, test, rounds)
    if "ridge" in predicted:
        away = ridge(x, y, train, validation, test, predicted["ridge"])
        print(f"\nridge: predictions of zoolake and numpy differ by {away:.1e} at most")


if __name__ == "__main__":
    main()
