"""Statistics of vectors beside numpy, Polars and DuckDB, each on one core, in turns.

    cargo bench --no-run && python3 python/bench_statistics.py [--rows N]

Every engine has the same arrays in memory: the ten tensors of the published small CNN,
of N states of random normal numbers. Two questions: the quartiles of every vector (five
quantiles), and twelve statistics of it. The answers are compared. Polars is asked in both
ways that its users know, with expressions over lists and with groups of exploded rows, and
the faster one counts. Seconds are those of the processor, so that what else a machine does
does not count. Prints the median of each engine as a Markdown table. Needs numpy,
polars, duckdb and pyarrow, as python/requirements.txt has them.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

os.environ["POLARS_MAX_THREADS"] = "1"
for library in ("OMP", "OPENBLAS", "MKL"):
    os.environ[f"{library}_NUM_THREADS"] = "1"

import duckdb  # noqa: E402
import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
import pyarrow as pa  # noqa: E402

SIZES = [200, 8, 1200, 6, 96, 4, 720, 20, 200, 10]
FRACTIONS = [0, 0.25, 0.5, 0.75, 1]
QUARTILES = [f"q{fraction}" for fraction in FRACTIONS]
TWELVE = [*QUARTILES, "mean", "var", "stddev", "skewness", "kurtosis", "l1_norm", "l2_norm"]


def executable():
    """The benchmark that `cargo bench --no-run` built."""
    command = ["cargo", "bench", "--no-run", "--message-format=json"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("kind") == ["bench"] and message.get("executable"):
            return message["executable"]
    raise SystemExit("cargo built no benchmark")


class Engine:
    """Answers with the means, over states and tensors, of each statistic, and takes the time."""

    def __init__(self, arrays):
        self.arrays = arrays

    def timed(self, names):
        begun = time.process_time()
        answer = self.answer(names)
        return time.process_time() - begun, answer


class Numpy(Engine):
    def answer(self, names):
        found = [self.of(array, names) for array in self.arrays]
        return [np.mean([tensor[name].mean() for tensor in found]) for name in names]

    def of(self, x, names):
        quantiles = np.quantile(x, FRACTIONS, axis=1)
        found = dict(zip(QUARTILES, quantiles, strict=True))
        if names == TWELVE:
            mean = x.mean(axis=1, dtype=np.float64)
            deviation = x - mean[:, None]
            square = deviation * deviation
            variance = square.mean(axis=1)
            found |= {"mean": mean, "var": variance, "stddev": np.sqrt(variance)}
            found["skewness"] = (square * deviation).mean(axis=1) / variance**1.5
            found["kurtosis"] = (square * square).mean(axis=1) / variance**2 - 3
            found["l1_norm"] = np.abs(x).sum(axis=1, dtype=np.float64)
            found["l2_norm"] = np.sqrt((x * x).sum(axis=1, dtype=np.float64))
        return found


def polars_statistic(name, x):
    if name.startswith("q"):
        return x.quantile(float(name[1:]), "linear")
    return {
        "mean": x.mean(),
        "var": x.var(ddof=0),
        "stddev": x.std(ddof=0),
        "skewness": x.skew(),
        "kurtosis": x.kurtosis(),
        "l1_norm": x.abs().sum(),
        "l2_norm": (x * x).sum().sqrt(),
    }[name]


class PolarsLists(Engine):
    def __init__(self, arrays):
        self.frames = [pl.DataFrame({"x": array}).cast(pl.List(pl.Float32)) for array in arrays]

    def answer(self, names):
        columns = [
            pl.col("x").list.eval(polars_statistic(name, pl.element())).list.first().mean().alias(name)
            for name in names
        ]
        found = [frame.select(columns).row(0) for frame in self.frames]
        return np.mean(found, axis=0)


class PolarsGroups(PolarsLists):
    def answer(self, names):
        columns = [polars_statistic(name, pl.col("x")).alias(name) for name in names]
        found = [
            frame.lazy().with_row_index().explode("x").group_by("index").agg(columns)
            .select(pl.col(names).mean()).collect().row(0)
            for frame in self.frames
        ]  # fmt: skip
        return np.mean(found, axis=0)


class DuckDB(Engine):
    def __init__(self, arrays):
        self.connection = duckdb.connect()
        self.connection.execute("SET threads = 1")
        self.connection.execute("SET enable_progress_bar = false")
        for number, array in enumerate(arrays):
            lists = pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])
            given = pa.table({"x": lists.cast(pa.list_(pa.float32()))})
            self.connection.register("given", given)
            self.connection.execute(f"CREATE TABLE t{number} AS SELECT x FROM given")
        self.tables = len(arrays)

    def answer(self, names):
        functions = {
            "mean": "list_avg(x)",
            "var": "list_var_pop(x)",
            "stddev": "list_stddev_pop(x)",
            # DuckDB's is that of a sample.
            "skewness": "list_aggregate(x, 'skewness') * (len(x) - 2) / sqrt(len(x) * (len(x) - 1))",
            "kurtosis": "list_aggregate(x, 'kurtosis_pop')",
            "l1_norm": "list_sum(list_transform(x, lambda v: abs(v)))",
            "l2_norm": "sqrt(list_inner_product(x, x))",
        }
        columns = ["list_aggregate(x, 'quantile_cont', [0, 0.25, 0.5, 0.75, 1]) AS q"]
        columns += [f"{functions[name]} AS {name}" for name in names if name in functions]
        means = [f"avg(q[{place}])" for place in range(1, 6)]
        means += [f"avg({name})" for name in names if name in functions]
        found = [
            self.connection.execute(
                f"SELECT {', '.join(means)} FROM (SELECT {', '.join(columns)} FROM t{number})"
            ).fetchone()
            for number in range(self.tables)
        ]
        return np.mean(found, axis=0)


class Zoolake:
    """A process of its own each time, which times the second of two runs."""

    def __init__(self, binary, path):
        self.binary, self.path = binary, path

    def timed(self, names):
        tensors = [f"vector_statistics(t{number}, {quoted(names)}) AS t{number}"
                   for number in range(len(SIZES))]  # fmt: skip
        means = [
            " + ".join(f"avg(t{number}['{name}'])" for number in range(len(SIZES)))
            for name in names
        ]
        means = ", ".join(f"({mean}) / {len(SIZES)} AS \"{name}\"" for mean, name in zip(means, names, strict=True))
        sql = f"SELECT {means} FROM (SELECT {', '.join(tensors)} FROM weights)"
        command = [self.binary, "--statistics", self.path, sql]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        seconds, answer = out.splitlines()
        return float(seconds), np.array([float(number) for number in answer.split(",")])


def quoted(names):
    return ", ".join(f"'{name}'" for name in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5_100, help="states")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    binary = executable()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    random = np.random.default_rng(7)
    arrays = [random.standard_normal((options.rows, size), dtype=np.float32) for size in SIZES]
    megabytes = sum(array.nbytes for array in arrays) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "weights.arrow")
        lists = {
            f"t{number}": pa.FixedSizeListArray.from_arrays(pa.array(array.ravel()), array.shape[1])
            for number, array in enumerate(arrays)
        }
        table = pa.table(lists)
        with pa.ipc.new_file(path, table.schema) as file:
            file.write_table(table, max_chunksize=400)
        engines = {
            "zoolake": Zoolake(binary, path),
            "numpy": Numpy(arrays),
            "Polars, lists": PolarsLists(arrays),
            "Polars, groups": PolarsGroups(arrays),
            "DuckDB": DuckDB(arrays),
        }
        print(f"{options.rows} states, {megabytes:.0f} MB, one core\n")
        print("| question | engine | seconds | MB/s | times as long as zoolake |")
        print("|---|---|---:|---:|---:|")
        for question, names in [("quartiles", QUARTILES), ("12 statistics", TWELVE)]:
            seconds = {name: [] for name in engines}
            for _ in range(options.rounds):
                for name, engine in engines.items():
                    taken, answer = engine.timed(names)
                    seconds[name].append(taken)
                    if name == "zoolake":
                        expected = answer
                    # The others compute partly in single precision.
                    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5, err_msg=name)
            ours = statistics.median(seconds["zoolake"])
            for name, taken in seconds.items():
                median = statistics.median(taken)
                ratio = median / ours
                print(f"| {question} | {name} | {median:.3f} | {megabytes / median:,.0f} | {ratio:.1f} |")


if __name__ == "__main__":
    main()
