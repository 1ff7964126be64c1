"""Writes tests/fixtures/spectrum: what WeightWatcher says about real states, and about larger tensors.

    python3 python/make_spectrum_fixture.py STORE

STORE holds models of cnn_s. Needs weightwatcher (0.7.7), torch and pyarrow. Singular values are
numpy's, in float64; everything of them is WeightWatcher's, with the one fit of the power law that
is published: since 0.7.6 it takes another one, which is not, for fewer than 20 eigenvalues.
"""

import json
import math
import pathlib
import sys

import numpy as np
import pyarrow.parquet as pq
import torch
import weightwatcher
from torch import nn
from weightwatcher import WW_powerlaw

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "spectrum"
SHAPES = {
    "conv1": (8, 1, 5, 5),
    "conv2": (6, 8, 5, 5),
    "conv3": (4, 6, 2, 2),
    "fc1": (20, 36),
    "fc2": (10, 20),
}
# Of the size of a ResNet's; the Rust side makes the same numbers, instead of an offset.
LARGE = {"conv": (64, 48, 3, 3), "fc": (100, 512)}
# WeightWatcher's default is the second, for convolutions.
SCALES = {1.0: False, 0.5: True}
COLUMNS = {
    "log_norm": "log_norm",
    "log_spectral_norm": "log_spectral_norm",
    "stable_rank": "stable_rank",
    "entropy": "entropy",
    "alpha": "alpha",
    "xmin": "xmin",
    "D": "D",
    "alpha_hat": "alpha_weighted",
    "eigenvalues": "num_evals",
}


def large(shape):
    """Values in (-1, 1), most of them small."""
    i = np.arange(math.prod(shape), dtype=np.int64)
    value = (i * i % 10007 * 7919 % 10007).astype(np.float64) / 5003.5 - 1.0
    return (value**3).astype(np.float32).reshape(shape)


def spectra(tensors, offset=None):
    """What WeightWatcher says of each tensor, for each scale of its eigenvalues."""
    net = nn.Module()
    offsets = {}
    for name, tensor in tensors.items():
        out, inputs, *kernel = tensor.shape
        layer = nn.Conv2d(inputs, out, tuple(kernel)) if kernel else nn.Linear(inputs, out)
        layer.weight = nn.Parameter(torch.tensor(tensor))
        net.add_module(name, layer)
        offsets[name] = offset
        offset = None if offset is None else offset + tensor.size
    watcher = weightwatcher.WeightWatcher(model=net)
    for scale, norm in SCALES.items():
        table = watcher.analyze(min_evals=1, svd_method="accurate", conv2d_norm=norm)
        for _, row in table.iterrows():
            name = row["name"]
            shape = list(tensors[name].shape)
            if len(shape) == 4 or scale == 1.0:
                yield {
                    "tensor": name,
                    "offset": offsets[name],
                    "shape": shape,
                    "scale": scale,
                    "expected": {ours: float(row[theirs]) for ours, theirs in COLUMNS.items()},
                }


def main():
    WW_powerlaw.SMALL_N_CUTOFF = 0
    file = sorted(pathlib.Path(sys.argv[1]).glob("data/weights_cnn_s/*.parquet"))[0]
    rows = pq.read_table(file).to_pylist()
    weights = np.empty(0, dtype="<f4")
    cases = []
    for row in (rows[0], rows[-1]):
        tensors = {
            name: np.array(row[f"{name}.weight"], dtype="<f4").reshape(shape)
            for name, shape in SHAPES.items()
        }
        cases += spectra(tensors, weights.size)
        weights = np.concatenate([weights, *(tensor.ravel() for tensor in tensors.values())])
    cases += spectra({name: large(shape) for name, shape in LARGE.items()})
    OUT.mkdir(exist_ok=True)
    weights.tofile(OUT / "weights.f32")
    lines = ",\n".join(json.dumps(case) for case in cases)
    (OUT / "spectra.json").write_text(f"[\n{lines}\n]\n")


main()
