"""Reading weights beside everybody else: one core, warm, the same states.

    cargo build --release && cargo bench --no-run
    python3 python/bench_scan.py STORE FOLDER [--rounds N] [--peers a,b]

Takes the states of `weights_cnn_s` in STORE (1,000 models of 51 states, 503 MB, if it has
them, else the same models again under other ids), and writes them to FOLDER: as a store of
each encoding, written by zoolake, and as each peer likes them best. Then asks every reader
four questions in turns, and prints the median milliseconds as Markdown.

    scan    all tensors of all states, into Arrow
    tensor  conv1.weight of all states
    epoch   all tensors of the last epoch
    state   all tensors of one state

Needs numpy, pyarrow, polars, duckdb, pylance, vortex-data, h5py and torch.
"""

import argparse
import glob
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import time

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

MODELS = 1000
TENSOR = "conv1.weight"
ENCODINGS = ("plain", "split")


ORDER = [("epoch", "ascending"), ("model_id", "ascending")]


def other_ids(ids, copy):
    """Ids for a copy of models, so that it does not lie beside what it is a copy of."""
    mixed = (ids.to_numpy().astype(np.uint64) + np.uint64(copy)) * np.uint64(0x9E3779B97F4A7C15)
    return pa.array((mixed >> np.uint64(1)).astype(np.int64)) if copy else ids


def states(store, models=MODELS):
    """The states of so many models, sorted as zoolake sorts them."""
    table = ds.dataset(f"{store}/data/weights_cnn_s").to_table()
    ids = pc.unique(table["model_id"]).to_numpy()[:models]
    table = table.filter(pc.is_in(table["model_id"], pa.array(ids)))
    copies = []
    for copy in range(-(-models // len(ids))):
        rows = table.filter(pc.is_in(table["model_id"], pa.array(ids[: models - copy * len(ids)])))
        columns = {"model_id": other_ids(rows["model_id"], copy), "epoch": rows["epoch"]}
        for name in table.column_names[2:]:
            # The same weights again would compress as nothing else does.
            vectors = rows[name].combine_chunks()
            values = vectors.flatten().to_numpy() * np.float32(1 + copy / 1000)
            columns[name] = pa.FixedSizeListArray.from_arrays(values, vectors.type.list_size)
        copies.append(pa.table(columns))
    return pa.concat_tables(copies).sort_by(ORDER).combine_chunks()


def write_stores(store, folder, program, count=MODELS):
    """The states of so many models, and a store with them in each encoding, written by zoolake."""
    table = states(store, count)
    ids = pc.unique(table["model_id"])
    models = ds.dataset(f"{store}/data/models").to_table()
    copies = [models.set_column(0, "model_id", other_ids(models["model_id"], copy))
              for copy in range(-(-count // len(models)))]  # fmt: skip
    models = pa.concat_tables(copies)
    models = models.filter(pc.is_in(models["model_id"], ids)).sort_by("model_id")
    # From another program first, since a store that is copied as it is keeps its files.
    given = f"{folder}/given"
    make_store(given, table, "PLAIN", "none")
    os.makedirs(f"{given}/data/models")
    pq.write_table(models, f"{given}/data/models/all.parquet")
    commit(given, {"models": models, "weights_cnn_s": table}, ids.to_pylist())
    source = given
    for encoding in ENCODINGS:
        target = f"{folder}/{encoding}"
        shutil.rmtree(target, ignore_errors=True)
        command = [program, "copy", source, target, "--weights", encoding]
        subprocess.run(command, check=True, capture_output=True)
        source = target
    shutil.rmtree(given)
    return table


def weights_file(store):
    """The one file with the weights of a store."""
    (path,) = glob.glob(f"{store}/data/weights_cnn_s/*.parquet")
    return path


def make_store(folder, table, encoding, compression, level=1, page=512 << 10):
    """A store of one file, as another program may write it; seconds of encoding it."""
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(f"{folder}/data/weights_cnn_s")
    path = "data/weights_cnn_s/all.parquet"
    tensors = table.column_names[2:]
    start = time.perf_counter()
    pq.write_table(
        table, f"{folder}/{path}", data_page_version="2.0", compression=compression,
        compression_level=level if compression == "zstd" else None, use_dictionary=False,
        column_encoding={f"{name}.list.element": encoding for name in tensors},
        write_statistics=["model_id", "epoch"], write_page_index=True,
        data_page_size=page, row_group_size=(32 << 20) // (4 * 2464),
    )  # fmt: skip
    seconds = time.perf_counter() - start
    commit(folder, {"weights_cnn_s": table})
    return seconds


def commit(folder, tables, models=()):
    """Makes a store of `all.parquet` of each table, written before."""
    now = {"time": "2026-01-01T00:00:00Z", "writer": "another program"}
    add = []
    for name, table in tables.items():
        path = f"data/{name}/all.parquet"
        with open(f"{folder}/{path}", "rb") as file:
            digest = hashlib.sha256(file.read()).hexdigest()
        size = os.path.getsize(f"{folder}/{path}")
        file = {"table": name, "path": path, "rows": len(table), "bytes": size, "sha256": digest}
        for key in set(table.column_names) & {"model_id", "epoch"}:
            file[key] = [pc.min(table[key]).as_py(), pc.max(table[key]).as_py()]
        add.append(file)
    with open(f"{folder}/zoolake.json", "w") as file:
        json.dump({"format": 1, "created": now["time"], "writer": now["writer"]}, file)
    entry = {"format": 1, "version": 1, "id": "bench", **now, "operation": "import",
             "message": "tables", "add": add, "remove": [], "models": list(models)}  # fmt: skip
    os.makedirs(f"{folder}/log", exist_ok=True)
    with open(f"{folder}/log/{1:020}.json", "w") as file:
        json.dump(entry, file)


def bench_program():
    """What `cargo bench --no-run` built last, or what BENCH says."""
    newest = lambda: max(glob.glob("target/release/deps/benches-*[!.d]"), key=os.path.getmtime)
    return os.environ.get("BENCH") or newest()


class Sql:
    """zoolake, or DataFusion by itself, over a store; times measured inside."""

    def __init__(self, bench, engine, store, last, state):
        self.bench, self.engine, self.store = bench, engine, store
        where = {"epoch": f" WHERE epoch = {last}",
                 "state": f" WHERE model_id = {state} AND epoch = {last}"}  # fmt: skip
        self.queries = {kind: f"SELECT * FROM weights_cnn_s{where.get(kind, '')}"
                        for kind in ("scan", "epoch", "state")}  # fmt: skip
        self.queries["tensor"] = f'SELECT "{TENSOR}" FROM weights_cnn_s'
        if engine == "zoolake":
            self.queries["vectors"] = "SELECT weights FROM vectors_cnn_s"

    def ask(self, kind):
        command = [self.bench, "--sql", self.engine, self.store, "4", self.queries[kind]]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split("\n")
        runs = [line.split() for line in lines if line]
        return statistics.median(float(seconds) for seconds, _ in runs[1:]), int(runs[0][1])


class Timed:
    """A reader in this process: `open` gives what reads a question and counts the rows."""

    def __init__(self, readers):
        self.readers = readers

    def ask(self, kind):
        if kind not in self.readers:
            return None
        start = time.perf_counter()
        rows = self.readers[kind]()
        return time.perf_counter() - start, rows


def arrow_rows(batches):
    return sum(batch.num_rows for batch in batches)


def parquet_readers(path, last, state):
    import duckdb
    import polars as pl

    one = (ds.field("model_id") == state) & (ds.field("epoch") == last)
    data = lambda: ds.dataset(path)
    batches = lambda **options: arrow_rows(data().to_batches(use_threads=False, batch_size=512, **options))
    yield "pyarrow", Timed({
        "scan": lambda: arrow_rows(pq.ParquetFile(path).iter_batches(512, use_threads=False)),
        "tensor": lambda: arrow_rows(pq.ParquetFile(path).iter_batches(8192, columns=[TENSOR], use_threads=False)),
        "epoch": lambda: batches(filter=ds.field("epoch") == last),
        "state": lambda: batches(filter=one),
    })  # fmt: skip
    lazy = lambda: pl.scan_parquet(path)
    rows = lambda frame: len(frame.collect())
    yield "Polars", Timed({
        "scan": lambda: rows(lazy()),
        "tensor": lambda: rows(lazy().select(TENSOR)),
        "epoch": lambda: rows(lazy().filter(pl.col("epoch") == last)),
        "state": lambda: rows(lazy().filter((pl.col("epoch") == last) & (pl.col("model_id") == state))),
    })  # fmt: skip
    connection = duckdb.connect()
    connection.execute("SET threads = 1")
    sql = lambda what, where="": arrow_rows(
        connection.execute(f"SELECT {what} FROM '{path}' {where}").to_arrow_reader(2048))
    yield "DuckDB", Timed({
        "scan": lambda: sql("*"),
        "tensor": lambda: sql(f'"{TENSOR}"'),
        "epoch": lambda: sql("*", f"WHERE epoch = {last}"),
        "state": lambda: sql("*", f"WHERE epoch = {last} AND model_id = {state}"),
    })  # fmt: skip


def own_format_readers(folder, table, last, state):
    """Peers with formats of their own, each tensor a column where they have columns."""
    import h5py
    import lance
    import vortex

    path = f"{folder}/lance"
    lance_tensor = TENSOR.replace(".", "_")
    if not os.path.exists(path):
        names = [name.replace(".", "_") for name in table.column_names]
        lance.write_dataset(table.rename_columns(names), path)
    data = lance.dataset(path)
    lance_rows = lambda **options: arrow_rows(data.to_batches(batch_size=512, **options))
    yield "Lance", Timed({
        "scan": lance_rows,
        "tensor": lambda: lance_rows(columns=[lance_tensor]),
        "epoch": lambda: lance_rows(filter=f"epoch = {last}"),
        "state": lambda: lance_rows(filter=f"epoch = {last} AND model_id = {state}"),
    })  # fmt: skip

    in_vortex = f"{folder}/states.vortex"
    if not os.path.exists(in_vortex):
        vortex.io.write(table.to_reader(), in_vortex)
    import vortex.expr as ve
    read = lambda *columns, where=None: arrow_rows(
        vortex.open(in_vortex).to_arrow(list(columns) or None, expr=where, batch_size=512))
    epoch = ve.column("epoch") == last
    yield "Vortex", Timed({
        "scan": read,
        "tensor": lambda: read(TENSOR),
        "epoch": lambda: read(where=epoch),
        "state": lambda: read(where=ve.and_(epoch, ve.column("model_id") == state)),
    })  # fmt: skip

    in_arrow = f"{folder}/states.arrow"
    if not os.path.exists(in_arrow):
        with pa.ipc.new_file(in_arrow, table.schema) as writer:
            writer.write_table(table, max_chunksize=3400)
    # Nothing is read before somebody looks: so each value is, once.
    touch = lambda column: float(np.sum(column.flatten().to_numpy(zero_copy_only=False)))
    ipc = lambda: pa.ipc.open_file(pa.memory_map(in_arrow))
    def touched(names):
        file = ipc()
        batches = [file.get_batch(index) for index in range(file.num_record_batches)]
        for batch in batches:
            for name in names:
                touch(batch.column(name))
        return arrow_rows(batches)
    yield "Arrow IPC, mmap, summed", Timed({
        "scan": lambda: touched(table.column_names[2:]),
        "tensor": lambda: touched([TENSOR]),
    })  # fmt: skip

    in_hdf5 = f"{folder}/states.h5"
    if not os.path.exists(in_hdf5):
        with h5py.File(in_hdf5, "w") as file:
            for name in table.column_names[:2]:
                file[name] = table[name].to_numpy()
            for name in table.column_names[2:]:
                values = table[name].combine_chunks().flatten().to_numpy()
                file[name] = values.reshape(len(table), -1)
    def hdf5(names, rows=slice(None)):
        with h5py.File(in_hdf5) as file:
            if rows == "epoch":
                rows = slice(*np.searchsorted(file["epoch"][:], [last, last + 1]))
            return [len(file[name][rows]) for name in names][0]
    yield "HDF5", Timed({
        "scan": lambda: hdf5(table.column_names),
        "tensor": lambda: hdf5([TENSOR]),
        "epoch": lambda: hdf5(table.column_names, "epoch"),
    })  # fmt: skip


def torch_files(folder, table, last, state):
    """A state dict in a file of its own for every state, as the zoos were published."""
    import torch

    path = lambda model, epoch: f"{folder}/torch/{model}/{epoch:06}.pt"
    models, epochs = table["model_id"].to_pylist(), table["epoch"].to_pylist()
    if not os.path.exists(f"{folder}/torch"):
        for name in set(models):
            os.makedirs(f"{folder}/torch/{name}")
        names = table.column_names[2:]
        columns = [table[name].combine_chunks().flatten().to_numpy() for name in names]
        columns = [torch.from_numpy(values.reshape(len(table), -1).copy()) for values in columns]
        for row, key in enumerate(zip(models, epochs)):
            torch.save({name: values[row].clone() for name, values in zip(names, columns)}, path(*key))

    def read(keys, names=None):
        for key in keys:
            states = torch.load(path(*key), weights_only=True)
            for name in names or states:
                states[name].numpy()
        return len(keys)

    of_last = [key for key in zip(models, epochs) if key[1] == last]
    yield "torch files", Timed({
        "scan": lambda: read(list(zip(models, epochs))),
        "tensor": lambda: read(list(zip(models, epochs)), [TENSOR]),
        "epoch": lambda: read(of_last),
        "state": lambda: read([(state, last)]),
    })  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("store")
    parser.add_argument("folder")
    parser.add_argument("--zoolake", default="target/release/zoolake")
    parser.add_argument("--core", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3, help="more of them where the machine is busy")
    parser.add_argument("--peers", default="", help="only those whose names hold one of these words")
    arguments = parser.parse_args()
    os.sched_setaffinity(0, {arguments.core})
    os.environ.update(POLARS_MAX_THREADS="1", LANCE_CPU_THREADS="1", LANCE_IO_THREADS="1")
    pa.set_cpu_count(1)
    bench = bench_program()

    stores = {name: f"{arguments.folder}/{name}" for name in ENCODINGS}
    if all(os.path.exists(f"{store}/zoolake.json") for store in stores.values()):
        table = pq.read_table(weights_file(stores["plain"]))
    else:
        table = write_stores(arguments.store, arguments.folder, arguments.zoolake)
    last = pc.max(table["epoch"]).as_py()
    state = table["model_id"][len(table) - MODELS // 2].as_py()

    readers = []
    for name, store in stores.items():
        readers.append((f"zoolake, {name}", Sql(bench, "zoolake", store, last, state)))
        readers.append((f"DataFusion, {name}", Sql(bench, "datafusion", store, last, state)))
        peers = parquet_readers(weights_file(store), last, state)
        readers += [(f"{peer}, {name}", reader) for peer, reader in peers]
    readers += own_format_readers(arguments.folder, table, last, state)
    asked = lambda name: any(word in name for word in arguments.peers.split(","))
    if asked("torch files"):
        readers += torch_files(arguments.folder, table, last, state)
    readers = [reader for reader in readers if asked(reader[0])]
    del table

    kinds = {"scan": 51 * MODELS, "tensor": 51 * MODELS, "epoch": MODELS, "state": 1}
    times = {}
    for _ in range(arguments.rounds):
        for name, reader in readers:
            for kind, rows in kinds.items():
                answer = reader.ask(kind)
                if answer is not None:
                    assert answer[1] == rows, (name, kind, answer)
                    times.setdefault((name, kind), []).append(1000 * answer[0])
    print(f"| reader | {' | '.join(kinds)} |\n|---|{'---:|' * len(kinds)}")
    for name, _ in readers:
        cells = (times.get((name, kind)) for kind in kinds)
        cells = (f"{statistics.median(cell):.1f}" if cell else "" for cell in cells)
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
