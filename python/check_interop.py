"""Checks that other tools read a store: python python/check_interop.py STORE ZOOLAKE

Opens the Parquet files of a store directly with pyarrow, Polars, pandas and
DuckDB, without zoolake, and compares what each computes from them with what
`ZOOLAKE sql` says. Then does the same with exported results. ZOOLAKE is the
binary. Prints one line per reader and `N passed, 0 failed`; exits with 1 if
anything differs. The store must hold models trained with the learning rate of
--lr (0.001), because that value shows whether hyperparameters are doubles.
"""

import argparse
import importlib.metadata
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

QUANTILES = [0, 0.25, 0.5, 0.75, 1]
# SQL accumulates in f64; what is left is the order of summation.
RELATIVE = 1e-6
# Of the size of the terms, for results that are small because terms cancel.
CANCELLED = 1e-12


class Checks:
    """Counts what passed and says what did not."""

    def __init__(self) -> None:
        self.passed = 0
        self.failed = 0
        self.subject = ""

    def check(self, what: str, ok: bool, detail: object = "") -> bool:
        if ok:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {self.subject}: {what}: {detail}")
        return ok

    def equal(self, what: str, ours: object, zoolake: object) -> bool:
        return self.check(what, ours == zoolake, f"reads {ours!r}, zoolake says {zoolake!r}")

    def close(self, what: str, ours: np.ndarray, zoolake: list, scale: np.ndarray) -> bool:
        """Equal within tolerance in every row. Of weights that are not finite
        (a diverged model) nothing but that is expected of SQL."""
        if len(ours) != len(zoolake):
            return self.equal(f"{what}: rows", len(ours), len(zoolake))
        theirs = np.array(
            [math.nan if value is None else value for value in zoolake], dtype=np.float64
        )
        finite = np.isfinite(ours)
        allowed = RELATIVE * np.abs(ours) + CANCELLED * scale
        with np.errstate(invalid="ignore"):
            good = np.where(finite, np.abs(ours - theirs) <= allowed, ~np.isfinite(theirs))
        bad = np.flatnonzero(~good)
        detail = (
            ""
            if len(bad) == 0
            else f"{len(bad)} rows differ, first row {bad[0]}: reads {ours[bad[0]]!r}, zoolake says {zoolake[bad[0]]!r}"
        )
        return self.check(what, len(bad) == 0, detail)

    def exact(self, what: str, ours: np.ndarray, zoolake: list) -> bool:
        """The same float32 in every row, however many digits were printed."""
        theirs = np.array(
            [math.nan if value is None else value for value in zoolake], dtype=np.float32
        )
        same = len(ours) == len(theirs) and bool(
            np.all((ours == theirs) | ~np.isfinite(ours) & ~np.isfinite(theirs))
        )
        return self.check(what, same, "minimum, maximum and the outer quantiles must be exact")


class Zoolake:
    """Answers of the binary."""

    def __init__(self, binary: str, store: str) -> None:
        self.command = [binary, "sql", "--store", store]

    def run(self, *arguments: str) -> str:
        command = [*self.command, *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)}\nexited with {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def rows(self, sql: str) -> list[dict]:
        """All rows of a query; NULLs may be left out of the objects."""
        text = self.run("--format", "json", sql).strip()
        if text.startswith("["):
            return json.loads(text)
        return [json.loads(line) for line in text.splitlines()]

    def value(self, sql: str) -> object:
        [row] = self.rows(sql)
        return next(iter(row.values()), None)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def storage(kind: pa.DataType) -> pa.DataType:
    """The plain type below an extension type such as fixed_shape_tensor."""
    return kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind


class PyArrow:
    package = "pyarrow"

    def __init__(self, tables: dict[str, list[str]]) -> None:
        self.paths = tables
        self.scalars = {table: self.read(table, None) for table in ("models", "epochs")}

    def read(self, table: str, columns: list[str] | None) -> pa.Table:
        # ParquetFile, not read_table: that would take folders for partitions.
        return pa.concat_tables(
            [pq.ParquetFile(path).read(columns=columns) for path in self.paths[table]]
        )

    def rows(self, table: str) -> int:
        return sum(pq.ParquetFile(path).metadata.num_rows for path in self.paths[table])

    def columns(self, table: str) -> list[str]:
        return pq.ParquetFile(self.paths[table][0]).schema_arrow.names

    def double(self, table: str, column: str) -> tuple[bool, object]:
        kind = self.scalars[table].schema.field(column).type
        return kind == pa.float64(), kind

    def vector(self, table: str, column: str, size: int) -> tuple[bool, object]:
        kind = pq.ParquetFile(self.paths[table][0]).schema_arrow.field(column).type
        plain = storage(kind)
        return pa.types.is_fixed_size_list(
            plain
        ) and plain.value_type == pa.float32() and plain.list_size == size, kind

    def column(self, table: str, column: str) -> list:
        return self.scalars[table].column(column).to_pylist()

    def keys(self, table: str) -> list[tuple[int, int]]:
        data = self.read(table, ["model_id", "epoch"])
        return list(zip(data.column("model_id").to_pylist(), data.column("epoch").to_pylist()))

    def vectors(self, table: str, column: str) -> np.ndarray:
        return stacked(self.read(table, [column]).column(column))

    def accuracies(self) -> dict:
        models, epochs = self.scalars["models"], self.scalars["epochs"]
        last = epochs.filter(pc.equal(epochs["epoch"], pc.max(epochs["epoch"])))
        joined = models.select(["model_id", "activation"]).join(
            last.select(["model_id", "test_acc"]), "model_id", join_type="inner"
        )
        groups = joined.group_by("activation").aggregate(
            [("test_acc", "count"), ("test_acc", "mean")]
        )
        return {
            row["activation"]: (row["test_acc_count"], row["test_acc_mean"])
            for row in groups.to_pylist()
        }


def stacked(column: pa.ChunkedArray) -> np.ndarray:
    """A vector column of pyarrow as an array [rows, size]."""
    parts = []
    for chunk in column.chunks:
        chunk = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
        # flatten(), unlike .values, respects the offset of a slice.
        parts.append(chunk.flatten().to_numpy(zero_copy_only=False).reshape(len(chunk), -1))
    return np.concatenate(parts)


class Polars:
    package = "polars"

    def __init__(self, tables: dict[str, list[str]]) -> None:
        self.paths = tables
        self.scalars = {table: pl.read_parquet(tables[table]) for table in ("models", "epochs")}

    def rows(self, table: str) -> int:
        return pl.scan_parquet(self.paths[table]).select(pl.len()).collect().item()

    def columns(self, table: str) -> list[str]:
        return pl.scan_parquet(self.paths[table]).collect_schema().names()

    def double(self, table: str, column: str) -> tuple[bool, object]:
        kind = self.scalars[table].schema[column]
        return kind == pl.Float64, kind

    def vector(self, table: str, column: str, size: int) -> tuple[bool, object]:
        kind = pl.scan_parquet(self.paths[table]).collect_schema()[column]
        return kind == pl.Array(pl.Float32, size), kind

    def column(self, table: str, column: str) -> list:
        return self.scalars[table][column].to_list()

    def keys(self, table: str) -> list[tuple[int, int]]:
        return pl.scan_parquet(self.paths[table]).select("model_id", "epoch").collect().rows()

    def vectors(self, table: str, column: str) -> np.ndarray:
        return pl.scan_parquet(self.paths[table]).select(column).collect()[column].to_numpy()

    def accuracies(self) -> dict:
        models, epochs = self.scalars["models"], self.scalars["epochs"]
        last = epochs.filter(pl.col("epoch") == pl.col("epoch").max())
        acc = pl.col("test_acc")
        groups = (
            models.join(last, on="model_id")
            .group_by("activation")
            .agg(acc.count().alias("n"), acc.mean().alias("mean"))
        )
        return {
            name: (n, mean) for name, n, mean in groups.select("activation", "n", "mean").rows()
        }


class Pandas:
    package = "pandas"

    def __init__(self, tables: dict[str, list[str]]) -> None:
        self.paths = tables
        self.scalars = {table: self.read(table, None) for table in ("models", "epochs")}

    def read(self, table: str, columns: list[str] | None) -> pd.DataFrame:
        frames = [pd.read_parquet(path, columns=columns) for path in self.paths[table]]
        return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)

    def rows(self, table: str) -> int:
        return len(self.read(table, self.columns(table)[:1]))

    def columns(self, table: str) -> list[str]:
        return list(pd.read_parquet(self.paths[table][0]).columns)

    def double(self, table: str, column: str) -> tuple[bool, object]:
        kind = self.scalars[table][column].dtype
        return kind == np.float64, kind

    def vector(self, table: str, column: str, size: int) -> tuple[bool, object]:
        values = self.read(table, [column])[column]
        first = values.iloc[0]
        shown = f"{values.dtype} of {type(first).__name__} {getattr(first, 'dtype', '')}{getattr(first, 'shape', '')}"
        ok = (
            values.dtype == object
            and isinstance(first, np.ndarray)
            and first.dtype == np.float32
            and first.shape == (size,)
        )
        return ok, shown

    def column(self, table: str, column: str) -> list:
        # pandas has one missing value for NULL and NaN.
        return [None if pd.isna(value) else value for value in self.scalars[table][column].tolist()]

    def keys(self, table: str) -> list[tuple[int, int]]:
        data = self.read(table, ["model_id", "epoch"])
        return list(zip(data["model_id"].tolist(), data["epoch"].tolist()))

    def vectors(self, table: str, column: str) -> np.ndarray:
        return np.stack(self.read(table, [column])[column].to_list())

    def accuracies(self) -> dict:
        models, epochs = self.scalars["models"], self.scalars["epochs"]
        joined = models.merge(epochs[epochs["epoch"] == epochs["epoch"].max()], on="model_id")
        groups = joined.groupby("activation", dropna=False)["test_acc"].agg(["count", "mean"])
        return {
            None if pd.isna(name) else name: (int(n), None if pd.isna(mean) else mean)
            for name, n, mean in groups.itertuples()
        }


class DuckDB:
    package = "duckdb"

    def __init__(self, tables: dict[str, list[str]]) -> None:
        self.connection = duckdb.connect()
        for table, paths in tables.items():
            files = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
            self.connection.execute(
                f"CREATE VIEW {quoted(table)} AS SELECT * FROM read_parquet([{files}])"
            )

    def all(self, sql: str) -> list[tuple]:
        return self.connection.execute(sql).fetchall()

    def rows(self, table: str) -> int:
        return self.all(f"SELECT count(*) FROM {quoted(table)}")[0][0]

    def types(self, table: str) -> dict[str, str]:
        return {row[0]: row[1] for row in self.all(f"DESCRIBE {quoted(table)}")}

    def columns(self, table: str) -> list[str]:
        return list(self.types(table))

    def double(self, table: str, column: str) -> tuple[bool, object]:
        kind = self.types(table)[column]
        return kind == "DOUBLE", kind

    def vector(self, table: str, column: str, size: int) -> tuple[bool, object]:
        kind = self.types(table)[column]
        return kind in ("FLOAT[]", f"FLOAT[{size}]"), kind

    def column(self, table: str, column: str) -> list:
        return [value for (value,) in self.all(f"SELECT {quoted(column)} FROM {quoted(table)}")]

    def keys(self, table: str) -> list[tuple[int, int]]:
        return self.all(f"SELECT model_id, epoch FROM {quoted(table)}")

    def vectors(self, table: str, column: str) -> np.ndarray:
        values = self.connection.execute(
            f"SELECT {quoted(column)} AS x FROM {quoted(table)}"
        ).fetchnumpy()["x"]
        return np.stack([np.asarray(value, dtype=np.float32) for value in values])

    def accuracies(self) -> dict:
        return {name: (n, mean) for name, n, mean in self.all(ACCURACIES)}


READERS = [PyArrow, Polars, Pandas, DuckDB]

ACCURACIES = """
SELECT m.activation AS activation, count(e.test_acc) AS n, avg(e.test_acc) AS mean
FROM models m JOIN epochs e ON m.model_id = e.model_id
WHERE e.epoch = (SELECT max(epoch) FROM epochs)
GROUP BY m.activation
"""


def statistics_sql(table: str, tensor: str) -> str:
    x = quoted(tensor)
    functions = {
        "mean": "mean",
        "var": "var",
        "var_samp": "var_samp",
        "stddev": "stddev",
        "skewness": "skewness",
        "kurtosis": "kurtosis",
        "min": "min",
        "max": "max",
        "l1": "l1_norm",
        "l2": "l2_norm",
    }
    columns = [f"vector_{function}({x}) AS {name}" for name, function in functions.items()]
    columns += [f"vector_quantile({x}, {q}) AS q{number}" for number, q in enumerate(QUANTILES)]
    return f"SELECT model_id, epoch, {', '.join(columns)} FROM {quoted(table)}"


def movement_sql(table: str, tensor: str, last: int) -> str:
    a, b = f"a.{quoted(tensor)}", f"b.{quoted(tensor)}"
    return f"""
        SELECT a.model_id AS model_id, vector_dot({a}, {b}) AS dot,
               vector_l2_distance({a}, {b}) AS l2, vector_cosine_distance({a}, {b}) AS cosine
        FROM {quoted(table)} a JOIN {quoted(table)} b ON a.model_id = b.model_id
        WHERE a.epoch = 0 AND b.epoch = {last}"""


class Expected:
    """What zoolake says, asked once and compared with every reader."""

    def __init__(
        self, zoolake: Zoolake, tables: dict[str, list[str]], listed: dict[str, int]
    ) -> None:
        self.listed = listed
        self.rows = {
            table: zoolake.value(f"SELECT count(*) AS n FROM {quoted(table)}") for table in tables
        }
        self.accuracies = {
            row.get("activation"): (row["n"], row.get("mean")) for row in zoolake.rows(ACCURACIES)
        }
        self.rates = sorted(
            row["lr"] for row in zoolake.rows("SELECT DISTINCT lr FROM models WHERE lr IS NOT NULL")
        )
        self.nulls = {}
        for table in ("models", "epochs"):
            names = pq.ParquetFile(tables[table][0]).schema_arrow.names
            counts = ", ".join(
                f"count(*) - count({quoted(name)}) AS c{number}"
                for number, name in enumerate(names)
            )
            [row] = zoolake.rows(f"SELECT {counts} FROM {table}")
            self.nulls[table] = {name: row[f"c{number}"] for number, name in enumerate(names)}
        self.tensors, self.statistics, self.movement, self.last = {}, {}, {}, {}
        for table in (table for table in tables if table.startswith("weights_")):
            arch = table.removeprefix("weights_").replace("'", "''")
            layout = zoolake.rows(
                f'SELECT tensor, "position", "offset", "size" FROM tensors WHERE arch = \'{arch}\' ORDER BY "position"'
            )
            ends = [row["offset"] + row["size"] for row in layout]
            if [row["offset"] for row in layout] != [0, *ends[:-1]]:
                sys.exit(f"FAILED tensors: the offsets of `{arch}` leave gaps: {layout}")
            self.tensors[table] = {row["tensor"]: row["size"] for row in layout}
            self.last[table] = zoolake.value(f"SELECT max(epoch) AS n FROM {quoted(table)}")
            for tensor in self.chosen(table):
                rows = zoolake.rows(statistics_sql(table, tensor))
                self.statistics[table, tensor] = {
                    (row["model_id"], row["epoch"]): row for row in rows
                }
                rows = zoolake.rows(movement_sql(table, tensor, self.last[table]))
                self.movement[table, tensor] = {row["model_id"]: row for row in rows}

    def chosen(self, table: str) -> list[str]:
        """The tensors that statistics are compared on."""
        names = list(self.tensors[table])
        return [name for name in ("conv1.weight", "fc2.bias") if name in names] or list(
            {names[0], names[-1]}
        )


def check_scalars(checks: Checks, reader, expected: Expected, rate: float) -> None:
    for table, rows in expected.rows.items():
        checks.equal(f"rows of {table}", reader.rows(table), rows)
        checks.equal(f"rows of {table} as listed in files", rows, expected.listed[table])

    ours = reader.accuracies()
    if checks.equal("activations", set(ours), set(expected.accuracies)):
        for name, (n, mean) in expected.accuracies.items():
            checks.equal(f"models with activation {name} and a test_acc", ours[name][0], n)
            checks.close(f"mean test_acc of {name}", as_row(ours[name][1]), [mean], np.ones(1))

    ok, kind = reader.double("models", "lr")
    checks.check("models.lr is a double", ok, kind)
    rates = sorted({value for value in reader.column("models", "lr") if value is not None})
    checks.equal("learning rates, exactly", rates, expected.rates)
    checks.check(
        f"lr equals {rate} exactly",
        rate in rates,
        f"the store has {rates}; train with lr = {rate} or pass --lr",
    )

    for table, nulls in expected.nulls.items():
        for name, count in nulls.items():
            values = reader.column(table, name)
            checks.equal(f"NULLs of {table}.{name}", sum(value is None for value in values), count)
            floats = [value for value in values if isinstance(value, float)]
            if floats:
                checks.check(
                    f"{table}.{name} is finite or NULL",
                    all(map(math.isfinite, floats)),
                    "NaN or infinite",
                )
    parents = zip(reader.column("models", "origin"), reader.column("models", "parent_id"))
    checks.check(
        "trained models have no parent",
        all(parent is None for origin, parent in parents if origin == "trained"),
    )


def as_row(value: float | None) -> np.ndarray:
    return np.array([math.nan if value is None else value], dtype=np.float64)


def check_weights(checks: Checks, reader, expected: Expected, table: str) -> None:
    tensors = expected.tensors[table]
    checks.equal(f"columns of {table}", reader.columns(table), ["model_id", "epoch", *tensors])
    for tensor, size in tensors.items():
        ok, kind = reader.vector(table, tensor, size)
        checks.check(f"{table}.{tensor} is a vector of {size} float32", ok, kind)
    keys = [(int(model), int(epoch)) for model, epoch in reader.keys(table)]
    checks.equal(f"{table} has no state twice", len(set(keys)), len(keys))
    for tensor in expected.chosen(table):
        what = f"{table}.{tensor}"
        vectors = reader.vectors(table, tensor)
        if not checks.equal(
            f"{what}: type",
            (str(vectors.dtype), vectors.shape[1:]),
            ("float32", (tensors[tensor],)),
        ):
            continue
        answers = expected.statistics[table, tensor]
        if checks.equal(f"{what}: states", set(keys), set(answers)):
            check_statistics(checks, what, vectors, [answers[key] for key in keys])
        check_movement(
            checks, what, vectors, keys, expected.last[table], expected.movement[table, tensor]
        )


def check_statistics(checks: Checks, what: str, vectors: np.ndarray, answers: list[dict]) -> None:
    def zoolake(name: str) -> list:
        return [answer.get(name) for answer in answers]

    # numpy computes float32 quantiles and sums in float32; SQL does not.
    x = vectors.astype(np.float64)
    size = x.shape[1]
    with np.errstate(invalid="ignore", over="ignore"):
        magnitude = np.abs(x).sum(axis=1)
        square = (x * x).mean(axis=1)
        sums = [None if mean is None else mean * size for mean in zoolake("mean")]
        checks.close(f"{what}: sum", x.sum(axis=1), sums, magnitude)
        checks.close(f"{what}: mean", x.mean(axis=1), zoolake("mean"), magnitude / size)
        checks.close(f"{what}: variance", x.var(axis=1), zoolake("var"), square)
        checks.close(
            f"{what}: standard deviation", x.std(axis=1), zoolake("stddev"), np.sqrt(square)
        )
        sample = x.var(axis=1, ddof=1) if size > 1 else np.full(len(x), math.nan)
        checks.close(f"{what}: sample variance", sample, zoolake("var_samp"), square)
        deviations = x - x.mean(axis=1, keepdims=True)
        # Equal values have no shape, whatever rounding leaves of their variance.
        flat = x.min(axis=1) == x.max(axis=1)
        variance = np.where(flat, math.nan, x.var(axis=1))
        for name, power, normal in [("skewness", 3, 0), ("kurtosis", 4, 3)]:
            shape = (deviations**power).mean(axis=1) / variance ** (power / 2) - normal
            checks.close(f"{what}: {name}", shape, zoolake(name), np.ones(len(x)))
        checks.close(f"{what}: L1 norm", magnitude, zoolake("l1"), magnitude)
        checks.close(f"{what}: L2 norm", np.sqrt((x * x).sum(axis=1)), zoolake("l2"), magnitude)
        quantiles = np.quantile(x, QUANTILES, axis=1)
    checks.exact(f"{what}: minimum", vectors.min(axis=1), zoolake("min"))
    checks.exact(f"{what}: maximum", vectors.max(axis=1), zoolake("max"))
    for number, q in enumerate(QUANTILES):
        if q in (0, 1):
            checks.exact(
                f"{what}: quantile {q}", quantiles[number].astype(np.float32), zoolake(f"q{number}")
            )
        else:
            checks.close(
                f"{what}: quantile {q}", quantiles[number], zoolake(f"q{number}"), magnitude / size
            )


def check_movement(
    checks: Checks, what: str, vectors: np.ndarray, keys: list, last: int, answers: dict
) -> None:
    place = {key: row for row, key in enumerate(keys)}
    models = sorted(model for model, epoch in keys if epoch == 0 and (model, last) in place)
    if not checks.equal(f"{what}: models with epochs 0 and {last}", set(models), set(answers)):
        return
    if not checks.check(
        f"{what}: movement", bool(models), f"no model has both epoch 0 and epoch {last}"
    ):
        return
    first = vectors[[place[model, 0] for model in models]].astype(np.float64)
    final = vectors[[place[model, last] for model in models]].astype(np.float64)

    def zoolake(name: str) -> list:
        return [answers[model].get(name) for model in models]

    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
        norms = np.sqrt((first * first).sum(axis=1) * (final * final).sum(axis=1))
        dot = (first * final).sum(axis=1)
        distance = np.sqrt(((first - final) ** 2).sum(axis=1))
        checks.close(f"{what}: dot product", dot, zoolake("dot"), norms)
        checks.close(f"{what}: L2 distance", distance, zoolake("l2"), norms)
        # One minus the cosine: terms of size 1, whatever is left.
        checks.close(
            f"{what}: cosine distance", 1 - dot / norms, zoolake("cosine"), np.ones(len(models))
        )


def check_exports(
    checks: Checks, zoolake: Zoolake, tables: dict, expected: Expected, table: str
) -> None:
    """Exported `vectors_<arch>` against the tensors in the files, bit by bit."""
    arch = table.removeprefix("weights_")
    source = PyArrow(tables)
    parts = [source.vectors(table, tensor) for tensor in expected.tensors[table]]
    whole = np.concatenate(parts, axis=1)
    place = {key: row for row, key in enumerate(source.keys(table))}
    sql = (
        f"SELECT model_id, epoch, weights FROM {quoted('vectors_' + arch)} ORDER BY epoch, model_id"
    )
    with tempfile.TemporaryDirectory() as folder:
        for form in ("parquet", "arrow"):
            path = str(Path(folder) / f"vectors.{form}")
            zoolake.run("--format", form, "-o", path, sql)
            for name, data in (("pyarrow", export_pyarrow(path)), ("polars", export_polars(path))):
                check_export(checks, f"vectors_{arch} as {form} with {name}", data, place, whole)


def check_export(checks: Checks, what: str, data: tuple, place: dict, whole: np.ndarray) -> None:
    kind, fixed, keys, weights = data
    checks.check(
        f"{what}: type", fixed == whole.shape[1], f"{kind}, expected {whole.shape[1]} float32"
    )
    if not checks.equal(f"{what}: states", sorted(keys), sorted(place)):
        return
    checks.equal(f"{what}: order", keys, sorted(keys, key=lambda key: (key[1], key[0])))
    ours = whole[[place[key] for key in keys]]
    same = (
        weights.shape == ours.shape
        and weights.dtype == np.float32
        and np.array_equal(weights.view(np.uint32), ours.view(np.uint32))
    )
    checks.check(
        f"{what}: weights, bit by bit", same, "differ from the tensors in the files, concatenated"
    )


def export_pyarrow(path: str) -> tuple:
    if path.endswith(".parquet"):
        data = pq.ParquetFile(path).read()
    else:
        with pa.memory_map(path) as file:
            # A file starts with a magic string, a stream does not.
            data = (ipc.open_file if file.read(6) == b"ARROW1" else rewound)(file).read_all()
    kind = storage(data.schema.field("weights").type)
    fixed = (
        kind.list_size
        if pa.types.is_fixed_size_list(kind) and kind.value_type == pa.float32()
        else None
    )
    keys = list(zip(data["model_id"].to_pylist(), data["epoch"].to_pylist()))
    return kind, fixed, keys, stacked(data["weights"])


def rewound(file: pa.NativeFile) -> ipc.RecordBatchStreamReader:
    file.seek(0)
    return ipc.open_stream(file)


def export_polars(path: str) -> tuple:
    if path.endswith(".parquet"):
        data = pl.read_parquet(path)
    else:
        with open(path, "rb") as file:
            is_file = file.read(6) == b"ARROW1"
        data = pl.read_ipc(path) if is_file else pl.read_ipc_stream(path)
    kind = data.schema["weights"]
    fixed = kind.size if isinstance(kind, pl.Array) and kind.inner == pl.Float32 else None
    return (
        kind,
        fixed,
        data.select("model_id", "epoch").rows(),
        np.ascontiguousarray(data["weights"].to_numpy()),
    )


def guarded(checks: Checks, what: str, function, *arguments) -> None:
    """An exception of a reader is a failed check, not the end."""
    try:
        function(*arguments)
    except Exception as error:
        checks.check(what, False, f"{type(error).__name__}: {error}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", help="path of the store, on this machine")
    parser.add_argument("zoolake", help="path of the binary")
    parser.add_argument(
        "--lr", type=float, default=0.001, help="a learning rate that the store has"
    )
    options = parser.parse_args()
    zoolake = Zoolake(options.zoolake, options.store)

    tables, listed = {}, {}
    for row in zoolake.rows('SELECT path, "table", "rows", "bytes" FROM files ORDER BY path'):
        path = Path(options.store) / row["path"]
        if not path.is_file():
            sys.exit(f"FAILED files: `{path}` is listed but is not there")
        if path.stat().st_size != row["bytes"]:
            sys.exit(
                f"FAILED files: `{path}` has {path.stat().st_size} bytes, listed are {row['bytes']}"
            )
        tables.setdefault(row["table"], []).append(str(path))
        listed[row["table"]] = listed.get(row["table"], 0) + row["rows"]
    weights = [table for table in tables if table.startswith("weights_")]
    if not {"models", "epochs"} <= set(tables) or not weights:
        sys.exit(
            f"FAILED files: need models, epochs and a weights table, the store has {sorted(tables)}"
        )
    expected = Expected(zoolake, tables, listed)

    passed = failed = 0
    subjects = [(kind.package, kind) for kind in READERS] + [("export", None)]
    for name, kind in subjects:
        checks = Checks()
        checks.subject = name
        if kind is None:
            version = "to Parquet and Arrow"
            for table in weights:
                guarded(checks, table, check_exports, checks, zoolake, tables, expected, table)
        else:
            version = importlib.metadata.version(name)
            guarded(
                checks, "reading", check_reader, checks, kind, tables, expected, weights, options.lr
            )
        print(f"{name} {version}: {checks.passed} passed, {checks.failed} failed")
        passed += checks.passed
        failed += checks.failed
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


def check_reader(
    checks: Checks, kind: type, tables: dict, expected: Expected, weights: list[str], rate: float
) -> None:
    reader = kind(tables)
    check_scalars(checks, reader, expected, rate)
    for table in weights:
        guarded(checks, table, check_weights, checks, reader, expected, table)


if __name__ == "__main__":
    main()
