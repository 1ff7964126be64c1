"""Checks feature sets against numpy: python python/check_features.py STORE ZOOLAKE

Reads the weights and metrics of STORE with pyarrow, without zoolake, computes every feature
set as its source defines it, and compares names, order and numbers with what `ZOOLAKE
features` writes: features to 1e-5, weights to the bit. With torch at hand, the set of the
NFN paper is computed by it. What networks make of images is computed from the logits that SQL
yields; and logits and margins themselves by a network in numpy, for `cnn_s`, on images of this
script. Prints one line per set and `N passed, 0 failed`; exits with 1 if anything differs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from check_interop import Checks, Zoolake, stacked
from numpy_cnn import Cnn

try:
    import torch
except ImportError:
    torch = None

TOLERANCE = 1e-5
BUFFERS = ("running_mean", "running_var")
METRICS = ["train_loss", "train_acc", "val_loss", "val_acc", "test_loss", "test_acc"]


class Stored:
    """The states of one architecture, sorted by epoch and model."""

    def __init__(self, folder: Path, zoolake: Zoolake, arch: str) -> None:
        self.folder, self.zoolake, self.arch = folder, zoolake, arch
        weights = self.table(f"weights_{arch}")
        self.keys = list(zip(weights["epoch"].to_pylist(), weights["model_id"].to_pylist()))
        names = [name for name in weights.column_names if name not in ("model_id", "epoch")]
        names = [name for name in names if not name.endswith(BUFFERS)]
        self.tensors = {name: stacked(weights[name]).astype(np.float64) for name in names}
        shapes = zoolake.rows(f"SELECT tensor, shape FROM tensors WHERE arch = '{arch}'")
        self.shapes = {row["tensor"]: json.loads(row["shape"]) for row in shapes}

    def table(self, name: str) -> pa.Table:
        files = self.zoolake.rows(f"SELECT path FROM files WHERE \"table\" = '{name}' ORDER BY path")
        parts = [pq.ParquetFile(self.folder / file["path"]).read() for file in files]
        table = pa.concat_tables(parts)
        order = [(key, "ascending") for key in ("epoch", "model_id") if key in table.column_names]
        return table.sort_by(order)

    def layers(self) -> dict[str, dict[str, np.ndarray]]:
        layers: dict = {}
        for name, values in self.tensors.items():
            layer, kind = name.rsplit(".", 1)
            layers.setdefault(layer, {})[kind] = values
        return layers


def unterthiner(x: np.ndarray) -> dict[str, np.ndarray]:
    low, q25, median, q75, high = np.percentile(x, [0, 25, 50, 75, 100], axis=1)
    return {"min": low, "q25": q25, "median": median, "q75": q75, "max": high,
            "std": x.std(axis=1), "mean": x.mean(axis=1)}  # fmt: skip


def nfn(x: np.ndarray) -> dict[str, np.ndarray]:
    names = ["mean", "var", "q0", "q25", "q50", "q75", "q100"]
    fractions = [0.0, 0.25, 0.5, 0.75, 1.0]
    if torch is None:
        values = [x.mean(axis=1), x.var(axis=1, ddof=1), *np.quantile(x, fractions, axis=1)]
    else:
        t = torch.from_numpy(x)
        quantiles = torch.quantile(t, torch.tensor(fractions, dtype=t.dtype), dim=1)
        values = [t.mean(dim=1).numpy(), t.var(dim=1).numpy(), *quantiles.numpy()]
    return dict(zip(names, values, strict=True))


def quintiles(x: np.ndarray) -> dict[str, np.ndarray]:
    percentiles = np.percentile(x, [1, 25, 50, 75, 99], axis=1)
    names = ["mean", "var", "p1", "p25", "p50", "p75", "p99"]
    return dict(zip(names, [x.mean(axis=1), x.var(axis=1), *percentiles], strict=True))


def norms(x: np.ndarray) -> dict[str, np.ndarray]:
    return {"l1": np.linalg.norm(x, 1, axis=1), "l2": np.linalg.norm(x, 2, axis=1)}


def per_tensor(stored: Stored, statistics, order: list[str]) -> dict[str, np.ndarray]:
    return {
        f"{layer}.{kind}.{name}": values
        for layer, tensors in stored.layers().items()
        for kind in order
        if kind in tensors
        for name, values in statistics(tensors[kind]).items()
    }


def whole(stored: Stored) -> np.ndarray:
    return np.concatenate(list(stored.tensors.values()), axis=1)


def power_law(x: np.ndarray) -> tuple[float, float, float]:
    """alpha, xmin and D of the tail of ascending values that is most like a power law."""
    fits = []
    for start in range(len(x) - 1):
        tail, n = x[start:] / x[start], len(x) - start
        with np.errstate(divide="ignore", invalid="ignore"):
            alpha = 1 + n / np.log(tail).sum()
            distance = np.abs(1 - tail ** (1 - alpha) - np.arange(n) / n).max()
        fits.append((distance, alpha, x[start]))
    distance, alpha, xmin = min(fits, key=lambda fit: fit[0])
    return alpha, xmin, distance


def spectrum(tensor: np.ndarray, scale: float) -> list[float]:
    """What `spectral_v1` says of a matrix, or of a convolution with its kernel positions in front."""
    values = np.sort(np.linalg.svd(tensor, compute_uv=False).ravel() ** 2 * scale)
    total, largest = values.sum(), values[-1]
    shares = values[values > 0] / total
    rank = (np.sqrt(values) > np.sqrt(largest) * max(tensor.shape[-2:]) * np.finfo(float).eps).sum()
    fitted = values[values > 1e-5]
    law = power_law(fitted) if len(fitted) >= 10 else (np.nan,) * 3
    log = np.log10(largest)
    return [np.log10(total), log, total / largest, -(shares * np.log(shares)).sum() / np.log(rank),
            *law, law[0] * log, len(values), len(fitted)]  # fmt: skip


def spectral(stored: Stored, of_convolutions: float = 1.0) -> dict[str, np.ndarray]:
    names = ["log_norm", "log_spectral_norm", "stable_rank", "entropy", "alpha", "xmin", "D",
             "alpha_hat", "eigenvalues", "fitted"]  # fmt: skip
    found = {}
    for tensor, vectors in stored.tensors.items():
        shape = stored.shapes[tensor]
        if len(shape) not in (2, 4):
            continue
        scale = of_convolutions if len(shape) == 4 else 1.0
        rows = [
            spectrum(np.moveaxis(vector.reshape(shape), (0, 1), (-2, -1)), scale)
            if np.isfinite(vector).all() else [np.nan] * 10
            for vector in vectors
        ]  # fmt: skip
        found |= {f"{tensor}.{name}": values for name, values in zip(names, np.array(rows).T)}
    return found


def responses(stored: Stored, function: str, dataset: str, images: int, *options: str) -> np.ndarray:
    """What an SQL function says of every state, shown images of a data set."""
    query = (
        f"SELECT {function}(v.weights, s.arch, s.activation, {dataset}, 'train', {images}) AS l "
        f"FROM vectors_{stored.arch} v JOIN states s ON v.model_id = s.model_id AND "
        "v.epoch = s.epoch ORDER BY v.epoch, v.model_id"
    )
    rows = json.loads(stored.zoolake.run("--format", "json", *options, query))
    return np.array([row["l"] for row in rows], dtype=np.float64)


def logits(stored: Stored, dataset: str, images: int, *options: str) -> np.ndarray:
    """Of every state and image, by SQL."""
    found = responses(stored, "network_logits", dataset, images, *options)
    # Written with the digits that tell one single from another.
    found = found.astype(np.float32).astype(np.float64)
    return found.reshape(len(found), images, -1)


def activations(stored: Stored, images: int) -> dict[str, np.ndarray]:
    z = logits(stored, "s.dataset", images)
    found = {}
    for index in range(z.shape[2]):
        found[f"logit{index}.mean"] = z[:, :, index].mean(1)
        found[f"logit{index}.stddev"] = z[:, :, index].std(1)
    leads = np.sort(z, axis=2)
    leads = leads[:, :, -1] - leads[:, :, -2]
    for percent in (0, 25, 50, 75, 100):
        found[f"lead.q{percent}"] = np.percentile(leads, percent, axis=1)
    p = np.exp(z - z.max(2, keepdims=True))
    p /= p.sum(2, keepdims=True)
    entropy = lambda p: -(p * np.log(np.maximum(p, 1e-300))).sum(-1)
    found["confidence"] = p.max(2).mean(1)
    found["entropy"] = entropy(p).mean(1)
    found["variety"] = entropy(p.mean(1))
    # The first of the same images.
    found["probes"] = z[:, :PROBES].reshape(len(z), -1)
    return found


def margins(stored: Stored, dataset: str, images: int, *options: str) -> np.ndarray:
    """Signatures of every state, by SQL."""
    return responses(stored, "network_margins", dataset, images, *options)


def signature(margins: np.ndarray) -> np.ndarray:
    """Quartiles and fences of positive margins."""
    positive = margins[margins > 0]
    if len(positive) == 0 or not np.isfinite(margins).all():
        return np.full(5, np.nan)
    q1, q2, q3 = np.quantile(positive, [0.25, 0.5, 0.75])
    reach = 1.5 * (q3 - q1)
    return np.array([max(q1 - reach, positive.min()), q1, q2, q3, min(q3 + reach, positive.max())])


def trajectory(stored: Stored) -> dict[str, np.ndarray]:
    """The path of each model, step by step."""
    names = ["start_distance", "step_length", "path_length", "straightness", "turning_angle",
             "curvature"]  # fmt: skip
    found = {name: np.full(len(stored.keys), np.nan) for name in names}
    vectors, rows_of = whole(stored), {}
    for row, (_, model) in enumerate(stored.keys):
        rows_of.setdefault(model, []).append(row)
    for rows in rows_of.values():
        w = vectors[rows]
        steps = np.diff(w, axis=0)
        lengths = np.linalg.norm(steps, axis=1)
        path = np.concatenate([[0.0], np.cumsum(lengths)])
        start = np.linalg.norm(w - w[0], axis=1)
        found["start_distance"][rows], found["path_length"][rows] = start, path
        found["step_length"][rows[1:]] = lengths
        found["straightness"][rows[1:]] = start[1:] / path[1:]
        for place in range(2, len(rows)):
            a, b = steps[place - 2], steps[place - 1]
            cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
            angle = np.arccos(np.clip(cosine, -1, 1))
            found["turning_angle"][rows[place]] = angle
            found["curvature"][rows[place]] = angle / lengths[place - 2 : place].mean()
    return found


def hyper(stored: Stored) -> dict[str, np.ndarray]:
    models = stored.table("models").to_pylist()
    of = {model["model_id"]: model for model in models}
    rows = [of[model] for _, model in stored.keys]
    nan = lambda value, missing: missing if value is None else value
    found = {
        name: np.array([nan(row[name], missing) for row in rows], dtype=np.float64)
        for name, missing in [("lr", np.nan), ("weight_decay", np.nan), ("dropout", np.nan),
                              ("momentum", 0), ("batch_size", np.nan), ("epochs", np.nan)]
    }  # fmt: skip
    for name in ("activation", "init", "optimizer", "scheduler"):
        for value in sorted({model[name] for model in models} - {None}):
            found[f"{name}={value}"] = np.array([row[name] == value for row in rows], np.float64)
    return found


def learning_curve(stored: Stored, last: int) -> dict[str, np.ndarray]:
    rows = stored.table("epochs").to_pylist()
    of = {(row["model_id"], row["epoch"]): row for row in rows}
    found = {}
    for epoch in range(last + 1):
        for metric in METRICS:
            values = [of.get((model, epoch), {}).get(metric) for _, model in stored.keys]
            found[f"epoch{epoch}.{metric}"] = np.array(values, dtype=np.float64)
    return found


WEIGHT_FIRST = ["weight", "bias"]
CURVE = 2
IMAGES = 50
PROBES = 32
SETS = {
    "unterthiner_v1": lambda stored: per_tensor(stored, unterthiner, ["bias", "weight"]),
    "nfn_statnn_v1": lambda stored: per_tensor(stored, nfn, WEIGHT_FIRST),
    "hsg_quintiles_v1": lambda stored: per_tensor(stored, quintiles, WEIGHT_FIRST),
    "hsg_quintiles_weights_v1": lambda stored: per_tensor(stored, quintiles, ["weight"]),
    "global7_v1": lambda stored: unterthiner(whole(stored)),
    "norms_v1": lambda stored: per_tensor(stored, norms, WEIGHT_FIRST),
    "spectral_v1": spectral,
    "spectral_halved_v1": lambda stored: spectral(stored, 0.5),
    "trajectory_v1": trajectory,
    "hyper": hyper,
    f"learning_curve_v1({CURVE})": lambda stored: learning_curve(stored, CURVE),
    f"activations_v1({IMAGES})": lambda stored: activations(stored, IMAGES),
}


def features(zoolake: str, store: str, call: str, arch: str, path: Path) -> pa.Table:
    command = [zoolake, "features", call, "-s", store, "--arch", arch, "--epoch", "all"]
    subprocess.run([*command, "-o", str(path)], check=True)
    return pq.read_table(path)


def check_set(checks: Checks, call: str, table: pa.Table, stored: Stored) -> None:
    expected = SETS[call](stored)
    # No row of a learning curve looks ahead.
    first = CURVE if call.startswith("learning_curve") else 0
    kept = np.array([epoch >= first for epoch, _ in stored.keys])
    keys = [key for key, keep in zip(stored.keys, kept) if keep]
    theirs = list(zip(table["epoch"].to_pylist(), table["model_id"].to_pylist()))
    checks.equal("states, in order", keys, theirs)
    checks.equal("names, in order", ["model_id", "epoch", *expected], table.column_names)
    if checks.failed:
        return
    for name, values in expected.items():
        ours = values[kept]
        column = table[name]
        found = stacked(column) if ours.ndim == 2 else column.to_numpy(zero_copy_only=False)
        ours, found = ours.ravel(), found.astype(np.float64).ravel()
        scale = np.abs(ours[np.isfinite(ours)]).mean() if np.isfinite(ours).any() else 1.0
        # Missing and not finite are the same to numpy.
        near = np.isclose(found, ours, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True)
        bad = np.flatnonzero(~(near | ~np.isfinite(ours) & ~np.isfinite(found)))
        detail = f"{len(bad)} rows differ"
        if len(bad):
            detail += f", the first reads {ours[bad[0]]!r}, zoolake says {found[bad[0]]!r}"
        checks.check(name, len(bad) == 0, detail)


def check_weights(checks: Checks, table: pa.Table, stored: Stored) -> None:
    checks.equal("names, in order", ["model_id", "epoch", *stored.tensors], table.column_names)
    for name, values in stored.tensors.items():
        same = np.array_equal(stacked(table[name]), values.astype(np.float32), equal_nan=True)
        checks.check(f"{name}, bit by bit", same)


def check_networks(checks: Checks, table: pa.Table, stored: Stored, folder: Path) -> None:
    """Margins as the set has them are those of the SQL function; and the function's, and logits, are
    those of numpy on images of our own, whose order, which zoolake draws, decides nothing."""
    layers = [name.removesuffix(".weight") for name in stored.tensors if name.endswith(".weight")]
    names = [f"{layer}.{end}" for layer in layers for end in ("lower", "q1", "q2", "q3", "upper")]
    checks.equal("names, in order", ["model_id", "epoch", *names], table.column_names)
    by_sql = margins(stored, "s.dataset", IMAGES)
    by_set = np.stack([table[name].to_numpy(zero_copy_only=False) for name in names], 1)
    checks.check("the set is what SQL says", np.array_equal(by_set, by_sql, equal_nan=True))

    rng = np.random.default_rng(1810)
    bytes_of = rng.integers(0, 256, (IMAGES, 28, 28), dtype=np.uint8)
    labels = rng.permutation(IMAGES) % 10
    for part in ("train", "test"):
        np.save(folder / f"{part}_images.npy", bytes_of)
        np.save(folder / f"{part}_labels.npy", labels)
    data = ["--data", str(folder / "data")]
    subprocess.run([stored.zoolake.command[0], "datasets", "add", "noise", str(folder), *data],
                   check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    pixels = bytes_of / 255.0
    images = ((pixels - pixels.mean()) / pixels.std())[:, None]
    theirs = np.sort(logits(stored, "'noise'", IMAGES, *data), axis=1)
    their_margins = margins(stored, "'noise'", IMAGES, *data)
    activation = {row["model_id"]: row["activation"] for row in stored.table("models").to_pylist()}
    # The last states of models do: the function knows no epochs.
    for model, row in {model: row for row, (_, model) in enumerate(stored.keys)}.items():
        tensors = {n: v[row].reshape(stored.shapes[n]) for n, v in stored.tensors.items()}
        if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
            continue
        net = Cnn(tensors, activation[model])
        ours = np.sort(net.run(images)[0], axis=0)
        near = np.abs(ours - theirs[row]).max() <= TOLERANCE * np.abs(ours).max()
        checks.check(f"logits of {model}", near, np.abs(ours - theirs[row]).max())
        for layer, (ours, scale) in net.margins(images, labels).items():
            ours, found = signature(ours), their_margins[row][5 * layers.index(layer) :][:5]
            near = np.isclose(found, ours, rtol=TOLERANCE, atol=TOLERANCE * scale, equal_nan=True)
            detail = f"reads {ours}, zoolake says {found}"
            checks.check(f"margins of {model}, {layer}", near.all(), detail)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", help="path of the store, on this machine")
    parser.add_argument("zoolake", help="path of the binary")
    options = parser.parse_args()
    zoolake = Zoolake(options.zoolake, options.store)
    archs = [row["arch"] for row in zoolake.rows("SELECT DISTINCT arch FROM models ORDER BY arch")]
    passed = failed = 0
    with tempfile.TemporaryDirectory() as folder:
        for arch in archs:
            stored = Stored(Path(options.store), zoolake, arch)
            others = zoolake.value(f"SELECT count(*) FROM models WHERE dataset <> 'digits' AND arch = '{arch}'")
            calls = [*SETS, "weights", f"margins_v1({IMAGES})"]
            if arch != "cnn_s" or others:
                calls = [call for call in calls if not call.startswith(("activations", "margins"))]
                print(f"SKIPPED: networks of {arch} (they have to be cnn_s and of the built-in digits)")
            for call in calls:
                path = Path(folder) / "features.parquet"
                table = features(options.zoolake, options.store, call, arch, path)
                checks = Checks()
                checks.subject = f"{call} of {arch}"
                if call == "weights":
                    check_weights(checks, table, stored)
                elif call.startswith("margins"):
                    with np.errstate(invalid="ignore"):
                        check_networks(checks, table, stored, Path(folder))
                else:
                    with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
                        check_set(checks, call, table, stored)
                print(f"{checks.subject}: {checks.passed} passed, {checks.failed} failed")
                passed += checks.passed
                failed += checks.failed
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
