"""Which encoding and which order: sizes and speeds on real trajectories, for docs/storage.md.

    cargo bench --no-run && python3 python/study_storage.py STORE FOLDER [--models N]

Takes N models of `weights_cnn_s` in STORE with all their epochs, writes them again and again
to FOLDER, and prints for each way its size (100 % is four bytes a weight), how fast it is
written (pyarrow), and how long zoolake takes to read everything, the last epoch, one
trajectory and one state. One core, warm. Needs numpy and pyarrow.
"""

import argparse
import glob
import os
import statistics
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bench_scan import ORDER, bench_program, make_store, states

BY_EPOCH, BY_MODEL = ORDER, ORDER[::-1]
WAYS = [  # order, encoding, compression, level, bytes of a page
    (BY_EPOCH, "PLAIN", "none", None, 64 << 10),
    (BY_EPOCH, "PLAIN", "lz4", None, 64 << 10),
    (BY_EPOCH, "PLAIN", "zstd", 1, 64 << 10),
    (BY_EPOCH, "BYTE_STREAM_SPLIT", "none", None, 64 << 10),
    (BY_EPOCH, "BYTE_STREAM_SPLIT", "lz4", None, 64 << 10),
    (BY_EPOCH, "BYTE_STREAM_SPLIT", "zstd", 1, 16 << 10),
    (BY_EPOCH, "BYTE_STREAM_SPLIT", "zstd", 1, 64 << 10),
    (BY_EPOCH, "BYTE_STREAM_SPLIT", "zstd", 1, 256 << 10),
    (BY_EPOCH, "BYTE_STREAM_SPLIT", "zstd", 1, 512 << 10),
    (BY_EPOCH, "BYTE_STREAM_SPLIT", "zstd", 1, 1 << 20),
    (BY_EPOCH, "BYTE_STREAM_SPLIT", "zstd", 3, 512 << 10),
    (BY_EPOCH, "BYTE_STREAM_SPLIT", "zstd", 3, 64 << 10),
    (BY_EPOCH, "BYTE_STREAM_SPLIT", "zstd", 9, 64 << 10),
    (BY_MODEL, "PLAIN", "none", None, 64 << 10),
    (BY_MODEL, "PLAIN", "zstd", 1, 64 << 10),
    (BY_MODEL, "BYTE_STREAM_SPLIT", "zstd", 1, 64 << 10),
    (BY_MODEL, "BYTE_STREAM_SPLIT", "zstd", 1, 1 << 20),
]


def differences(table):
    """Each weight's bits exclusive-or those an epoch earlier: no Parquet encoding, only a bound."""
    table = table.sort_by(BY_MODEL).combine_chunks()
    same = np.diff(table["model_id"].to_numpy(), prepend=-1) == 0
    columns = {name: table[name] for name in table.column_names[:2]}
    for name in table.column_names[2:]:
        vectors = table[name].combine_chunks()
        bits = vectors.flatten().to_numpy().view(np.uint32).reshape(len(table), -1)
        before = np.where(same[:, None], np.roll(bits, 1, axis=0), 0).astype(np.uint32)
        values = (bits ^ before).view(np.float32).reshape(-1)
        columns[name] = pa.FixedSizeListArray.from_arrays(values, vectors.type.list_size)
    return pa.table(columns)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("store")
    parser.add_argument("folder")
    parser.add_argument("--models", type=int, default=300)
    parser.add_argument("--core", type=int, default=0)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})
    pa.set_cpu_count(1)
    bench = bench_program()
    table = states(arguments.store, arguments.models)
    last = pc.max(table["epoch"]).as_py()
    model = table["model_id"][len(table) // 2].as_py()
    raw = len(table) * 4 * sum(table.schema.field(name).type.list_size for name in table.column_names[2:])
    one = f"WHERE model_id = {model}"
    queries = ["", f"WHERE epoch = {last}", one, f"{one} AND epoch = {last // 2}"]

    def milliseconds(where):
        command = [bench, "--sql", "zoolake", arguments.folder, "6", f"SELECT * FROM weights_cnn_s {where}"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return 1000 * statistics.median(float(line.split()[0]) for line in lines[1:])

    def row(name, table, encoding, compression, level, page, read=True):
        seconds = make_store(arguments.folder, table, encoding, compression, level, page)
        size = os.path.getsize(glob.glob(f"{arguments.folder}/data/*/*.parquet")[0])
        times = " | ".join(f"{milliseconds(where):.1f}" for where in queries) if read else "| | |"
        codec = compression if level is None else f"{compression}({level})"
        print(f"| {name} | {encoding} | {codec} | {page >> 10} | {100 * size / raw:.1f} "
              f"| {raw / seconds / 1e6:.0f} | {times} |", flush=True)  # fmt: skip

    print("| order | encoding | codec | page, KiB | size, % | written, MB/s | all, ms | last epoch, ms | trajectory, ms | state, ms |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for order, *way in WAYS:
        row(", ".join(name for name, _ in order), table.sort_by(order).combine_chunks(), *way)
    row("model_id, epoch, as differences", differences(table), "BYTE_STREAM_SPLIT", "zstd", 1, 64 << 10, read=False)


if __name__ == "__main__":
    main()
