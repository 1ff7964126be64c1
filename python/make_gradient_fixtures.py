"""Writes tests/fixtures/gradients/*.json: what PyTorch says about gradients.

    python3 python/make_gradient_fixtures.py

Everything is computed in float64. Inputs are not stored: both sides make them
with `value`, whose results are exact in float32. Of each result, enough is
stored to tell it from any other: its norm, its dot product with such values, and
a few entries.
"""

import json
import math
import pathlib

import torch
import torch.nn.functional as F

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "gradients"
MASK = 0xFFFFFFFF

# Which sequence of values is used for what; the same on the Rust side.
IMAGES, LABELS, DRAWS, PROBE, UPSTREAM, WEIGHTS = 1, 2, 3, 4, 5, 100


def value(seed, i):
    """The i-th of a fixed sequence of numbers in [-1, 1), multiples of 2^-23."""
    z = ((i + 1) * 0x9E3779B1 + seed * 0x85EBCA77) & MASK
    z = ((z ^ (z >> 15)) * 0x2C1B3C6D) & MASK
    z = ((z ^ (z >> 12)) * 0x297A2D39) & MASK
    z ^= z >> 15
    return (z >> 8) / 2**23 - 1.0


def values(seed, *shape):
    flat = [value(seed, i) for i in range(math.prod(shape))]
    return torch.tensor(flat, dtype=torch.float64).reshape(shape)


def labels(n, classes=10):
    return torch.tensor([int((value(LABELS, i) + 1.0) / 2.0 * classes) for i in range(n)])


def summary(tensor):
    flat = tensor.detach().reshape(-1)
    return {
        "size": flat.numel(),
        "norm": flat.norm().item(),
        "dot": flat.dot(values(PROBE, flat.numel())).item(),
        "first": flat[:4].tolist(),
    }


ACTIVATIONS = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "relu": torch.relu,
    "gelu": F.gelu,
    "leaky_relu": F.leaky_relu,
    "silu": F.silu,
}

# conv: (out, in, kernel); "p"ool, "a"ctivation, "d"ropout, "f"latten; linear: (out, in).
CNN_S = [(6, 8, 5), "p", "a", "d", (4, 6, 2), "a", "f", (20, 36), "a", "d", (10, 20)]
ARCHS = {
    "cnn_s": ([1, 28, 28], [(8, 1, 5), "p", "a", "d"] + CNN_S),
    "cnn_s_rgb": ([3, 28, 28], [(8, 3, 5), "p", "a", "d"] + CNN_S),
    "cnn_m": (
        [3, 32, 32],
        [(16, 3, 3), "p", "a", "d", (32, 16, 3), "p", "a", "d", (15, 32, 3), "p", "a", "d"]
        + ["f", (20, 60), "a", "d", (10, 20)],
    ),
}


def parameters(layers):
    """Weights in [-1/4, 1/4), biases 0.01 as float32 has it, layer by layer."""
    tensors = []
    for layer in layers:
        if isinstance(layer, tuple):
            shape = layer + layer[2:]  # the kernel is square
            tensors.append(values(WEIGHTS + len(tensors), *shape) / 4)
            tensors.append(torch.full((layer[0],), 0.01, dtype=torch.float32).double())
    return [tensor.requires_grad_() for tensor in tensors]


def forward(layers, tensors, x, activation, rate=0.0):
    tensors, drawn = iter(tensors), 0
    for layer in layers:
        if layer == "p":
            x = F.max_pool2d(x, 2)
        elif layer == "a":
            x = ACTIVATIONS[activation](x)
        elif layer == "d" and rate > 0.0:
            draws = [(value(DRAWS, drawn + i) + 1.0) / 2.0 for i in range(x.numel())]
            drawn += x.numel()
            kept = torch.tensor(draws, dtype=torch.float64).reshape(x.shape) >= rate
            x = x * kept / (1.0 - rate)
        elif layer == "f":
            x = x.flatten(1)
        elif isinstance(layer, tuple):
            step = F.conv2d if len(layer) == 3 else F.linear
            x = step(x, next(tensors), next(tensors))
    return x


def network(arch, activation, batch, rate=0.0):
    shape, layers = ARCHS[arch]
    tensors = parameters(layers)
    logits = forward(layers, tensors, values(IMAGES, batch, *shape), activation, rate)
    loss = F.cross_entropy(logits, labels(batch))
    loss.backward()
    return {
        "arch": arch,
        "activation": activation,
        "batch": batch,
        "dropout": rate,
        "loss": loss.item(),
        "gradients": [summary(tensor.grad) for tensor in tensors],
    }


def layer(name, run, inputs):
    """One layer, with the loss `sum(out * upstream)`."""
    inputs = [tensor.requires_grad_() for tensor in inputs]
    out = run(*inputs)
    (out * values(UPSTREAM, *out.shape)).sum().backward()
    return {
        "layer": name,
        "shapes": [list(tensor.shape) for tensor in inputs],
        "out": summary(out),
        "gradients": [summary(tensor.grad) for tensor in inputs],
    }


def inputs(*shapes):
    return [values(WEIGHTS + i, *shape) for i, shape in enumerate(shapes)]


def layers():
    cases = []
    for x, weight in [
        ((3, 2, 6, 7), (5, 2, 3, 3)),
        ((2, 1, 5, 5), (3, 1, 5, 5)),
        ((2, 3, 4, 12), (4, 3, 2, 2)),
        ((4, 2, 9, 9), (1, 2, 1, 1)),
    ]:
        cases.append(layer("conv2d", F.conv2d, inputs(x, weight, weight[:1])))
    for x, weight in [((3, 7), (5, 7)), ((1, 36), (20, 36)), ((6, 20), (10, 20))]:
        cases.append(layer("linear", F.linear, inputs(x, weight, weight[:1])))
    for x in [(2, 3, 6, 6), (2, 1, 5, 7), (1, 2, 7, 4), (1, 1, 2, 3)]:
        cases.append(layer("max_pool2d", lambda x: F.max_pool2d(x, 2), inputs(x)))
    # Few distinct values: the first of equal maxima gets the whole gradient.
    ties = [torch.floor(2 * tensor) for tensor in inputs((2, 2, 9, 8))]
    cases.append(layer("max_pool2d_ties", lambda x: F.max_pool2d(x, 2), ties))
    for name, run in ACTIVATIONS.items():
        x = 6 * values(WEIGHTS, 60)
        x[::7] = 0.0
        x[1], x[2] = 40.0, -40.0
        cases.append(layer(name, run, [x]))
    return cases


def cross_entropy(batch):
    logits = (8 * values(WEIGHTS, batch, 10)).requires_grad_()
    loss = F.cross_entropy(logits, labels(batch))
    loss.backward()
    return {"batch": batch, "loss": loss.item(), "gradient": summary(logits.grad)}


def make_optimizer(name, tensors, lr, weight_decay, momentum):
    if name == "adam":
        return torch.optim.Adam(tensors, lr=lr, weight_decay=weight_decay)
    return torch.optim.SGD(tensors, lr=lr, weight_decay=weight_decay, momentum=momentum)


def optimizer(name, lr, weight_decay, momentum, steps=7):
    """Gradients are given: sequence 10 + step. Biases are decayed like weights."""
    shapes = [(3, 4), (3,)]
    tensors = [tensor.requires_grad_() for tensor in inputs(*shapes)]
    rule = make_optimizer(name, tensors, lr, weight_decay, momentum)
    for step in range(steps):
        for tensor in tensors:
            tensor.grad = values(10 + step, *tensor.shape)
        rule.step()
    return {
        "optimizer": name,
        "lr": lr,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "steps": steps,
        "shapes": [list(shape) for shape in shapes],
        "parameters": [tensor.detach().reshape(-1).tolist() for tensor in tensors],
    }


def trajectory(arch, activation, name, lr, weight_decay, momentum, batch=4, steps=100):
    """Losses of steps over a small set, batch after batch, round and round."""
    shape, layers = ARCHS[arch]
    images = 8 * batch
    x, y = values(IMAGES, images, *shape), labels(images)
    tensors = parameters(layers)
    rule = make_optimizer(name, tensors, lr, weight_decay, momentum)
    losses = []
    for step in range(steps):
        at = torch.arange(step * batch, (step + 1) * batch) % images
        loss = F.cross_entropy(forward(layers, tensors, x[at], activation), y[at])
        rule.zero_grad()
        loss.backward()
        rule.step()
        losses.append(loss.item())
    return {
        "arch": arch,
        "activation": activation,
        "optimizer": name,
        "lr": lr,
        "weight_decay": weight_decay,
        "momentum": momentum,
        "batch": batch,
        "losses": losses,
    }


def write(name, cases):
    lines = ",\n".join(json.dumps(case) for case in cases)
    (OUT / f"{name}.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    networks = [network("cnn_s", activation, 3) for activation in ACTIVATIONS]
    networks += [network("cnn_s_rgb", "tanh", 2), network("cnn_s_rgb", "gelu", 1)]
    networks += [network("cnn_m", activation, 3) for activation in ["tanh", "relu", "silu"]]
    networks += [network("cnn_s", "relu", 3, 0.25), network("cnn_m", "gelu", 2, 0.5)]
    write("networks", networks)
    write("layers", layers())
    write("cross_entropy", [cross_entropy(1), cross_entropy(5)])
    write(
        "optimizers",
        [
            optimizer("adam", 1e-2, 0.0, 0.9),
            optimizer("adam", 3e-3, 1e-1, 0.9),
            optimizer("sgd", 1e-1, 0.0, 0.0),
            optimizer("sgd", 1e-2, 1e-1, 0.9),
        ],
    )
    write(
        "trajectories",
        [
            trajectory("cnn_s", "tanh", "adam", 1e-3, 1e-3, 0.9),
            trajectory("cnn_m", "gelu", "adam", 3e-4, 1e-4, 0.9, batch=2),
            trajectory("cnn_s_rgb", "silu", "sgd", 1e-2, 1e-3, 0.9),
        ],
    )
