"""Features of a whole zoo beside numpy and torch: from Parquet to Parquet, one core, warm.

    cargo build --release && python3 python/bench_features.py STORE FOLDER [--zoolake BINARY]

Takes the states of `weights_cnn_s` in STORE (1,000 models of 51 states, 503 MB, if it has
them, else the same models again under other ids, as python/bench_scan.py does) and writes
them to FOLDER as a store, compressed as zoolake does. Then each engine makes the feature
matrices of all states in turns: `zoolake features SET --epoch all`; numpy, a tensor of all
states at a time, which pyarrow reads; and torch, state by state as the published code does,
of some of the states. The answers of numpy are compared. Seconds are those of the
processor, so that what else a machine does does not count; prints the median of each as
Markdown. Needs numpy, pyarrow and torch.
"""

import argparse
import os
import resource
import statistics
import subprocess
import time

for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import torch  # noqa: E402
from bench_scan import make_store, states  # noqa: E402

STATES_OF_TORCH = 1_000


def unterthiner(x):
    quantiles = np.percentile(x, [0, 25, 50, 75, 100], axis=1)
    return [*quantiles, x.std(axis=1), x.mean(axis=1)]


def quintiles(x):
    return [x.mean(axis=1), x.var(axis=1), *np.percentile(x, [1, 25, 50, 75, 99], axis=1)]


def nfn(x):
    quantiles = np.quantile(x, [0, 0.25, 0.5, 0.75, 1], axis=1)
    return [x.mean(axis=1), x.var(axis=1, ddof=1), *quantiles]


def norms(x):
    return [np.abs(x).sum(axis=1), np.sqrt((x * x).sum(axis=1))]


def torch_statistics(x, fractions, correction):
    quantiles = torch.quantile(x, torch.tensor(fractions))
    return torch.cat([torch.stack([x.mean(), x.var(correction=correction)]), quantiles])


QUARTILES = [0.0, 0.25, 0.5, 0.75, 1.0]
PERCENTILES = [0.01, 0.25, 0.5, 0.75, 0.99]
# Numpy, torch, and whether the bias of a layer comes first.
SETS = {
    "unterthiner_v1": (unterthiner, lambda x: torch_statistics(x, QUARTILES, 0), True),
    "nfn_statnn_v1": (nfn, lambda x: torch_statistics(x, QUARTILES, 1), False),
    "hsg_quintiles_v1": (quintiles, lambda x: torch_statistics(x, PERCENTILES, 0), False),
    "norms_v1": (norms, lambda x: torch.stack([x.norm(1), x.norm(2)]), False),
}  # fmt: skip


def tensors(path):
    table = pq.ParquetFile(path).read()
    flat = {name: table[name].combine_chunks().flatten() for name in table.column_names[2:]}
    return {name: values.to_numpy().reshape(len(table), -1) for name, values in flat.items()}


def ordered(names, bias_first):
    names = list(names)
    pairs = [names[place : place + 2] for place in range(0, len(names), 2)]
    return [name for pair in pairs for name in (reversed(pair) if bias_first else pair)]


def by_zoolake(options, name, output):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [options.zoolake, "features", name, "--epoch", "all", "-s", f"{options.folder}/split"]
    subprocess.run([*command, "-o", output], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def by_numpy(path, name, output):
    statistic, _, bias_first = SETS[name]
    begun = time.process_time()
    arrays = tensors(path)
    columns = [column for tensor in ordered(arrays, bias_first) for column in statistic(arrays[tensor])]
    table = pa.table({str(place): column for place, column in enumerate(columns)})
    pq.write_table(table, output)
    return time.process_time() - begun


def by_torch(arrays, name, rows):
    _, statistic, bias_first = SETS[name]
    names = ordered(arrays, bias_first)
    begun = time.process_time()
    for row in range(STATES_OF_TORCH):
        torch.cat([statistic(torch.from_numpy(arrays[tensor][row])) for tensor in names]).numpy()
    return (time.process_time() - begun) * rows / STATES_OF_TORCH


def compare(output, expected):
    ours = pq.read_table(output)
    theirs = pq.read_table(expected)
    for place, name in enumerate(ours.column_names[2:]):
        # numpy computes float32 in float32.
        found, right = ours[name].to_numpy(), theirs[str(place)].to_numpy()
        np.testing.assert_allclose(found, right, rtol=1e-3, atol=1e-4, err_msg=name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store")
    parser.add_argument("folder")
    parser.add_argument("--zoolake", default="target/release/zoolake")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", type=int, default=1000)
    options = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    table = states(options.store, options.models)
    rows = len(table)
    make_store(f"{options.folder}/split", table, "BYTE_STREAM_SPLIT", "zstd")
    del table
    path = f"{options.folder}/split/data/weights_cnn_s/all.parquet"
    arrays = tensors(path)
    megabytes = sum(array.nbytes for array in arrays.values()) / 1e6
    few = {name: array[:STATES_OF_TORCH].copy() for name, array in arrays.items()}
    del arrays
    print(f"{rows} states, {megabytes:.0f} MB, one core\n")
    print("| set | engine | seconds | MB/s | times as long as zoolake |")
    print("|---|---|---:|---:|---:|")
    for name in SETS:
        output, expected = f"{options.folder}/ours.parquet", f"{options.folder}/numpy.parquet"
        seconds = {"zoolake": [], "numpy": [], "torch, state by state": []}
        for _ in range(options.rounds):
            seconds["zoolake"].append(by_zoolake(options, name, output))
            seconds["numpy"].append(by_numpy(path, name, expected))
            seconds["torch, state by state"].append(by_torch(few, name, rows))
        compare(output, expected)
        ours = statistics.median(seconds["zoolake"])
        for engine, taken in seconds.items():
            median = statistics.median(taken)
            print(f"| {name} | {engine} | {median:.2f} | {megabytes / median:,.0f} | {median / ours:.1f} |")


if __name__ == "__main__":
    main()
