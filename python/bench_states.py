"""Questions about accuracies beside DuckDB: the same Parquet files, one core or all, warm.

    cargo bench --no-run && python3 python/bench_states.py FOLDER [--core N]

Makes a store of the size of the published zoos (50,360 models, 3.84 million states, no
weights) in FOLDER, with metrics that climb as those of real zoos do, and asks zoolake's
view `states` and the same join in DuckDB in turns. Prints median milliseconds as Markdown.
Needs numpy, pyarrow and duckdb.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import time

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from bench_scan import bench_program, commit

MODELS, ROUNDS = 50_360, 3
EPOCHS = 76  # 50,360 x 76 = 3.83 million states

QUERIES = {
    "mean by activation": "SELECT activation, avg(test_acc) FROM states GROUP BY activation",
    "mean, deviation, median, count": "SELECT activation, avg(test_acc), stddev(test_acc), "
    "median(test_acc), count(*) FROM states GROUP BY activation",
    "last epoch, mean": "SELECT activation, avg(test_acc) FROM states WHERE epoch = 75 GROUP BY activation",
    "last epoch, all four": "SELECT activation, avg(test_acc), stddev(test_acc), median(test_acc), "
    "count(*) FROM states WHERE epoch = 75 GROUP BY activation",
    "one hyperparameter, one epoch": "SELECT lr, max(test_acc) FROM states "
    "WHERE epoch = 50 AND activation = 'relu' GROUP BY lr",
}


def tables():
    """Models and epochs, sorted and typed as zoolake stores them."""
    random = np.random.default_rng(1)
    ids = np.sort(random.choice(np.iinfo(np.int64).max, MODELS, replace=False))
    of = lambda values, kind=None: pa.array(random.choice(values, MODELS), kind)
    constant = lambda value, kind: pa.array([value] * MODELS, kind)
    activation = random.choice(["gelu", "relu", "sigmoid", "tanh"], MODELS)
    models = pa.table({
        "model_id": ids, "zoo": of(["mnist_hyp_fix", "mnist_hyp_rand", "usps_seed"]),
        "name": [f"model_{index}" for index in range(MODELS)], "dataset": constant("mnist", pa.string()),
        "arch": constant("cnn_s", pa.string()), "activation": activation,
        "init": of(["kaiming_normal", "kaiming_uniform", "normal", "uniform"]),
        "optimizer": of(["adam", "sgd"]), "scheduler": pa.nulls(MODELS, pa.string()),
        "lr": of([1e-3, 1e-4]), "weight_decay": of([1e-3, 1e-4]), "dropout": of([0.0, 0.5]),
        "momentum": pa.nulls(MODELS, pa.float64()), "batch_size": constant(10, pa.int64()),
        "epochs": constant(EPOCHS - 1, pa.int64()), "seed": np.arange(MODELS),
        "origin": constant("trained", pa.string()), "parent_id": pa.nulls(MODELS, pa.int64()),
        "num_params": constant(2464, pa.int64()), "status": constant("ok", pa.string()),
        "extra": pa.nulls(MODELS, pa.string()),
    })  # fmt: skip
    rows = MODELS * EPOCHS
    ceiling = np.tile(random.uniform(0.5, 0.98, MODELS), EPOCHS)
    epoch = np.repeat(np.arange(EPOCHS), MODELS)
    grown = ceiling * (1 - np.exp(-epoch / 12)) + 0.1 * np.exp(-epoch / 12)
    accuracy = lambda images: np.round((grown + random.normal(0, 0.005, rows)).clip(0, 1) * images) / images
    loss = lambda: -np.log(grown) + random.normal(0, 0.01, rows)
    epochs = pa.table({
        "model_id": np.tile(ids, EPOCHS), "epoch": epoch, "train_loss": loss(),
        "train_acc": accuracy(60_000), "val_loss": pa.nulls(rows, pa.float64()),
        "val_acc": pa.nulls(rows, pa.float64()), "test_loss": loss(), "test_acc": accuracy(10_000),
        "sparsity": pa.nulls(rows, pa.float64()), "seconds": random.uniform(1, 2, rows),
    })  # fmt: skip
    return {"models": models, "epochs": epochs}


def make_store(folder, page_bytes):
    shutil.rmtree(folder, ignore_errors=True)
    made = tables()
    for name, table in made.items():
        os.makedirs(f"{folder}/data/{name}")
        pq.write_table(table, f"{folder}/data/{name}/all.parquet", compression="zstd",
                       compression_level=1, data_page_size=page_bytes, write_page_index=True)  # fmt: skip
    commit(folder, made)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("--core", type=int, help="only this core")
    parser.add_argument("--page-bytes", type=int, default=1 << 20)
    arguments = parser.parse_args()
    if arguments.core is not None:
        os.sched_setaffinity(0, {arguments.core})
    bench = bench_program()
    store = arguments.folder
    if not os.path.exists(f"{store}/zoolake.json"):
        make_store(store, arguments.page_bytes)
    connection = duckdb.connect()
    connection.execute(f"SET threads = {len(os.sched_getaffinity(0))}")
    connection.execute(
        f"CREATE VIEW states AS SELECT m.*, e.* EXCLUDE model_id "
        f"FROM '{store}/data/models/*.parquet' m JOIN '{store}/data/epochs/*.parquet' e "
        f"ON m.model_id = e.model_id"
    )
    ours, theirs = {}, {}
    for _ in range(ROUNDS):
        for name, query in QUERIES.items():
            command = [bench, "--sql", "zoolake", store, "4", query]
            lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
            ours.setdefault(name, []).extend(float(line.split()[0]) for line in lines[1:] if line)
            for _ in range(3):
                start = time.perf_counter()
                connection.execute(query).to_arrow_table()
                theirs.setdefault(name, []).append(time.perf_counter() - start)
    print("| query | zoolake, ms | DuckDB, ms | ratio |\n|---|---:|---:|---:|")
    for name in QUERIES:
        a, b = (1000 * statistics.median(times[name]) for times in (ours, theirs))
        print(f"| {name} | {a:.1f} | {b:.1f} | {b / a:.2f} |")


if __name__ == "__main__":
    main()
