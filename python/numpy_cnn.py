"""CNN(s) in numpy, in double precision: logits, and how they change with the input of each layer.

Written from the published architecture, without zoolake: for python/check_features.py.
"""

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

LAYERS = ["conv1", "conv2", "conv3", "fc1", "fc2"]
POOLED = {"conv1", "conv2"}
SIGMOID = lambda x: 1 / (1 + np.exp(-x))
PHI = lambda x: (1 + np.vectorize(math.erf)(x / math.sqrt(2))) / 2
DENSITY = lambda x: np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)

# Each with its derivative.
ACTIVATIONS = {
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (SIGMOID, lambda x: SIGMOID(x) * (1 - SIGMOID(x))),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    "leaky_relu": (lambda x: np.where(x > 0, x, 0.01 * x), lambda x: np.where(x > 0, 1, 0.01)),
    "silu": (lambda x: x * SIGMOID(x), lambda x: SIGMOID(x) * (1 + x * (1 - SIGMOID(x)))),
    "gelu": (lambda x: x * PHI(x), lambda x: PHI(x) + x * DENSITY(x)),
}


def convolved(x, weight):
    windows = sliding_window_view(x, weight.shape[2:], axis=(2, 3))
    return np.einsum("nihwab,oiab->nohw", windows, weight, optimize=True)


def spread(slopes, weight):
    """Slopes by the input of a convolution from those by its output."""
    rim = [(0, 0), (0, 0), *((size - 1, size - 1) for size in weight.shape[2:])]
    return convolved(np.pad(slopes, rim), weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1])


def blocks(x):
    """The values that each place of a 2 x 2 maximum is taken of."""
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).transpose(0, 1, 2, 4, 3, 5).reshape(n, c, h // 2, w // 2, 4)


def unpooled(slopes, x):
    """Slopes by the input of a pooling from those by its output: of the largest values."""
    is_largest = np.arange(4) == blocks(x).argmax(-1)[..., None]
    n, c, h, w = slopes.shape
    spread = (is_largest * slopes[..., None]).reshape(n, c, h, w, 2, 2)
    return spread.transpose(0, 1, 2, 4, 3, 5).reshape(x.shape)


class Cnn:
    """The network with the weights of one state: tensors by name."""

    def __init__(self, tensors, activation):
        self.tensors = tensors
        self.act, self.slope = ACTIVATIONS[activation]

    def run(self, images):
        """The logits; and of each layer its input, its output, and the latter as pooled."""
        x, steps = images, {}
        for layer in LAYERS:
            weight, bias = (self.tensors[f"{layer}.{kind}"] for kind in ("weight", "bias"))
            if layer == "fc1":
                x = x.reshape(len(x), -1)
            out = convolved(x, weight) + bias[:, None, None] if "conv" in layer else x @ weight.T + bias
            pooled = blocks(out).max(-1) if layer in POOLED else out
            steps[layer] = x, out, pooled
            x = self.act(pooled)
        return out, steps

    def margins(self, images, labels):
        """Of each layer the lead of each image's label over the best other one, normalised as in
        Jiang et al. (2019), equations 3 and 4, at the layer's input; and the largest logit in place
        of a lead, whose rounding leads have."""
        logits, steps = self.run(images)
        rows = np.arange(len(images))
        others = logits.copy()
        others[rows, labels] = -np.inf
        best = others.argmax(1)
        leads = logits[rows, labels] - logits[rows, best]
        slopes = np.zeros_like(logits)
        slopes[rows, labels], slopes[rows, best] = 1, -1
        found = {}
        for layer in reversed(LAYERS):
            x, out, pooled = steps[layer]
            if layer != "fc2":
                slopes = slopes.reshape(pooled.shape) * self.slope(pooled)
            if layer in POOLED:
                slopes = unpooled(slopes, out)
            weight = self.tensors[f"{layer}.weight"]
            slopes = spread(slopes, weight) if "conv" in layer else slopes @ weight
            length = (slopes.reshape(len(x), -1) ** 2).sum(1)
            flat = x.reshape(len(x), -1)
            variance = flat.var(0).sum()
            if variance < 1e-12 * (flat**2).mean(0).sum():
                variance = np.nan  # All images look the same, but for rounding.
            unit = np.sqrt(1e-6 + length) * np.sqrt(variance)
            found[layer] = leads / unit, (np.abs(logits).max(1) / unit).max()
        return {layer: found[layer] for layer in LAYERS}
