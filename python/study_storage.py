"""Which encoding and which order: sizes and speeds on real trajectories, for docs/storage.md.

    cargo build --release && cargo bench --no-run
    python3 python/study_storage.py STORE FOLDER [--models N]

Takes N models of `weights_cnn_s` in STORE with all their epochs, writes them again and again
to FOLDER, and prints for each way its size (100 % is four bytes a weight), how fast it is
written (pyarrow), and how long zoolake takes to read everything, the last epoch, one
trajectory and one state. The last rows are what zoolake itself writes. One core, warm.
Needs numpy and pyarrow.
"""

import argparse
import os
import statistics
import subprocess

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from bench_scan import ENCODINGS, ORDER, bench_program, make_store, weights_file, write_stores

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
    parser.add_argument("--zoolake", default="target/release/zoolake")
    parser.add_argument("--core", type=int, default=0)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})
    pa.set_cpu_count(1)
    bench = bench_program()
    table = write_stores(arguments.store, f"{arguments.folder}/zoolake", arguments.zoolake, arguments.models)
    last = pc.max(table["epoch"]).as_py()
    model = table["model_id"][len(table) // 2].as_py()
    raw = len(table) * 4 * sum(table.schema.field(name).type.list_size for name in table.column_names[2:])
    one = f"WHERE model_id = {model}"
    queries = ["", f"WHERE epoch = {last}", one, f"{one} AND epoch = {last // 2}"]

    def milliseconds(store, where):
        command = [bench, "--sql", "zoolake", store, "6", f"SELECT * FROM weights_cnn_s {where}"]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        return 1000 * statistics.median(float(line.split()[0]) for line in lines[1:])

    def row(store, *way, read=True):
        size = 100 * os.path.getsize(weights_file(store)) / raw
        times = " | ".join(f"{milliseconds(store, where):.1f}" for where in queries) if read else "| | |"
        print(f"| {' | '.join(way)} | {size:.1f} | {times} |", flush=True)

    def way(name, table, encoding, compression, level, page, **options):
        store = f"{arguments.folder}/way"
        seconds = make_store(store, table, encoding, compression, level, page)
        codec = compression if level is None else f"{compression}({level})"
        row(store, name, encoding, codec, f"{page >> 10}", f"{raw / seconds / 1e6:.0f}", **options)

    print("| order | encoding | codec | page, KiB | written, MB/s | size, % | all, ms | last epoch, ms | trajectory, ms | state, ms |")
    print("|---|---|---|---:|---:|---:|---:|---:|---:|---:|")
    for order, *options in WAYS:
        way(", ".join(name for name, _ in order), table.sort_by(order).combine_chunks(), *options)
    way("model_id, epoch, as differences", differences(table), "BYTE_STREAM_SPLIT", "zstd", 1, 64 << 10, read=False)
    for encoding in ENCODINGS:
        row(f"{arguments.folder}/zoolake/{encoding}", f"zoolake, {encoding}", "", "", "", "")


if __name__ == "__main__":
    main()
