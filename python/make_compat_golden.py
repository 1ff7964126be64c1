"""Writes what a golden store of tests/compat holds, row by row, as pyarrow reads it.

    python python/make_compat_golden.py tests/compat/v1

reads the store in tests/compat/v1/store, as its log tells without zoolake, and writes one
tab-separated file per table beside it. See tests/compat/README.md.
"""

import hashlib
import json
import struct
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

KEYS = {
    "models": ["model_id"],
    "epochs": ["model_id", "epoch"],
    "tensors": ["arch", "position"],
    "results": ["run", "target", "features", "predictor", "part", "metric", "truth", "predicted"],
    "predictions": ["run", "target", "features", "predictor", "part", "model_id", "epoch"],
}


def text(value):
    """A number with all its digits; a vector as the SHA-256 of its little-endian floats."""
    if value is None:
        return "NULL"
    if isinstance(value, list):
        return hashlib.sha256(struct.pack(f"<{len(value)}f", *value)).hexdigest()
    return repr(value) if isinstance(value, float) else str(value)


def write(path, columns, rows):
    lines = ["\t".join(columns)] + ["\t".join(map(text, row)) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(folder):
    store = folder / "store"
    files, commits = {}, []
    for path in sorted((store / "log").glob("[0-9]*[0-9].json")):
        entry = json.loads(path.read_text())
        for removed in entry["remove"]:
            del files[removed]
        files.update((added["path"], added["table"]) for added in entry["add"])
        commits.append(
            [
                entry["version"],
                entry["operation"],
                entry["message"],
                len(entry["models"]),
                len(entry["add"]),
                len(entry["remove"]),
                sum(added["bytes"] for added in entry["add"]),
            ]
        )
    columns = "version operation message models files_added files_removed bytes_added".split()
    write(folder / "snapshots.tsv", columns, commits)
    for table in sorted(set(files.values())):
        paths = [store / path for path, name in files.items() if name == table]
        rows = pa.concat_tables([pq.read_table(path) for path in paths])
        keys = KEYS.get(table, ["model_id", "epoch"])
        rows = rows.sort_by([(key, "ascending") for key in keys])
        write(folder / f"{table}.tsv", rows.column_names, zip(*(column.to_pylist() for column in rows.columns)))


main(Path(sys.argv[1]))
