"""Makes tests/fixtures/scan: the same small store as pyarrow, Polars and DuckDB write it.

    python3 python/make_scan_fixtures.py

Two models of `cnn_s` with two epochs. A weight tells where it belongs: 4 x model + epoch +
place in the flattened state / 4096. Needs pyarrow, polars and duckdb.
"""

import os
import shutil

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from bench_scan import commit

FOLDER = "tests/fixtures/scan"
PATH = "data/weights_cnn_s/all.parquet"
TENSORS = {
    "conv1.weight": 200, "conv1.bias": 8, "conv2.weight": 1200, "conv2.bias": 6, "conv3.weight": 96,
    "conv3.bias": 4, "fc1.weight": 720, "fc1.bias": 20, "fc2.weight": 200, "fc2.bias": 10,
}  # fmt: skip


def table():
    model, epoch = (column.ravel() for column in np.meshgrid([1, 2], [0, 1]))
    columns = {"model_id": pa.array(model, pa.int64()), "epoch": pa.array(epoch, pa.int64())}
    offset = 0
    for name, size in TENSORS.items():
        place = np.arange(offset, offset + size) / 4096
        values = (4 * model + epoch)[:, None] + place[None, :]
        columns[name] = pa.FixedSizeListArray.from_arrays(values.astype(np.float32).ravel(), size)
        offset += size
    return pa.table(columns)


def main():
    rows = table()
    shutil.rmtree(FOLDER, ignore_errors=True)
    connection = duckdb.connect()
    connection.register("rows", rows)
    arrays = ", ".join(f'"{name}"::FLOAT[{size}] AS "{name}"' for name, size in TENSORS.items())
    copy = f"COPY (SELECT model_id, epoch, {arrays} FROM rows) TO"
    writers = {
        "pyarrow": lambda path: pq.write_table(rows, path),
        "pyarrow-2": lambda path: pq.write_table(
            rows, path, data_page_version="2.0", use_dictionary=False, compression="zstd", data_page_size=4096
        ),
        "polars": lambda path: pl.from_arrow(rows).write_parquet(path, row_group_size=3),
        "duckdb": lambda path: connection.execute(f"{copy} '{path}'"),
        "duckdb-2": lambda path: connection.execute(f"{copy} '{path}' (PARQUET_VERSION v2, CODEC zstd)"),
    }
    for name, write in writers.items():
        os.makedirs(f"{FOLDER}/{name}/{os.path.dirname(PATH)}")
        write(f"{FOLDER}/{name}/{PATH}")
        commit(f"{FOLDER}/{name}", {"weights_cnn_s": rows})


if __name__ == "__main__":
    main()
