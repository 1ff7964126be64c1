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
from torch import nn

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


class Block(nn.Module):
    """torchvision's BasicBlock."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = nn.Sequential()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.downsample(x))


class ResNet(nn.Module):
    """torchvision's resnet18 with a 3x3 stem of stride 1 and no max pooling; stages
    of `channels`."""

    def __init__(self, channels, classes=10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, channels[0], 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels[0])
        before = [channels[0], *channels]
        for stage, outputs in enumerate(channels):
            blocks = Block(before[stage], outputs, 2 if stage else 1), Block(outputs, outputs, 1)
            setattr(self, f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels[-1], classes)

    def forward(self, x):
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(x.mean((2, 3)))


# Side of an image, and channels.
RESNETS = {
    "resnet_narrow": (8, (4, 6, 8, 10)),
    "resnet18_c10": (32, (64, 128, 256, 512)),
}


def resnet(arch):
    """The tensor at place `i` of the state dict (without `num_batches_tracked`) is
    made of sequence WEIGHTS + i: weights and shifts in [-1/4, 1/4), scales in [3/4,
    5/4), biases 0.01, all as float32 has them; running statistics start at 0 and 1."""
    side, channels = RESNETS[arch]
    net = ResNet(channels).double()
    state = net.state_dict()
    names = [name for name in state if not name.endswith("num_batches_tracked")]
    for i, name in enumerate(names):
        tensor = state[name]
        made = values(WEIGHTS + i, *tensor.shape) / 4
        if name == "fc.bias":
            made = torch.full_like(tensor, 0.01, dtype=torch.float32).double()
        elif name.endswith("weight") and tensor.dim() == 1:
            made = (made + 1.0).float().double()
        elif name.endswith("running_mean"):
            made = torch.zeros_like(tensor)
        elif name.endswith("running_var"):
            made = torch.ones_like(tensor)
        tensor.copy_(made)
    return net, side


def residual_network(arch, batch):
    """In training; then the loss of the same images in evaluation."""
    net, side = resnet(arch)
    x, y = values(IMAGES, batch, 3, side, side), labels(batch)
    loss = F.cross_entropy(net(x), y)
    loss.backward()
    with torch.no_grad():
        evaluated = F.cross_entropy(net.eval()(x), y)
    statistics = [value for name, value in net.named_buffers() if "running" in name]
    return {
        "arch": arch,
        "batch": batch,
        "loss": loss.item(),
        "gradients": [summary(parameter.grad) for parameter in net.parameters()],
        "statistics": [summary(value) for value in statistics],
        "evaluated": evaluated.item(),
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


def running_statistics(*shape):
    """What a batch normalisation remembers of two batches."""
    (x,) = inputs(shape)
    norm = torch.nn.BatchNorm2d(shape[1], dtype=torch.float64)
    norm(x), norm(2 * x + 1)
    out = torch.cat([norm.running_mean, norm.running_var])
    return {
        "layer": "batch_norm2d_running",
        "shapes": [list(shape)],
        "out": summary(out),
        "gradients": [],
    }


def layers():
    cases = []
    for x, weight in [
        ((3, 2, 6, 7), (5, 2, 3, 3)),
        ((2, 1, 5, 5), (3, 1, 5, 5)),
        ((2, 3, 4, 12), (4, 3, 2, 2)),
        ((4, 2, 9, 9), (1, 2, 1, 1)),
    ]:
        cases.append(layer("conv2d", F.conv2d, inputs(x, weight, weight[:1])))
    for x, weight, stride, padding in [
        ((2, 3, 8, 8), (7, 3, 3, 3), 1, 1),
        ((3, 4, 4, 4), (17, 4, 3, 3), 1, 1),
        ((2, 3, 5, 16), (4, 3, 1, 1), 1, 0),
        ((2, 33, 6, 6), (5, 33, 3, 3), 1, 1),
        ((9, 33, 7, 9), (35, 33, 3, 3), 1, 1),
        ((33, 32, 4, 4), (40, 32, 3, 3), 1, 1),
        ((3, 32, 8, 7), (32, 32, 3, 3), 1, 0),
        ((2, 3, 8, 8), (5, 3, 3, 3), 2, 1),
        ((2, 3, 7, 9), (5, 3, 3, 3), 2, 1),
        ((2, 4, 6, 6), (3, 4, 1, 1), 2, 0),
        ((1, 2, 9, 8), (3, 2, 4, 4), 3, 2),
    ]:
        name = f"conv2d_{stride}_{padding}"
        run = lambda x, w: F.conv2d(x, w, stride=stride, padding=padding)
        cases.append(layer(name, run, inputs(x, weight)))
    for x in [(3, 4, 5, 5), (2, 3, 4, 8), (1, 2, 1, 3)]:
        shapes = [x, x[1:2], x[1:2]]
        norm = lambda x, scale, shift: F.batch_norm(x, None, None, scale, shift, training=True)
        cases.append(layer("batch_norm2d", norm, inputs(*shapes)))
        run = lambda *tensors: F.relu(norm(*tensors))
        cases.append(layer("batch_norm2d_relu", run, inputs(*shapes)))
    cases.append(running_statistics(3, 4, 5, 5))
    for x in [(2, 3, 4, 4), (1, 5, 1, 1)]:
        cases.append(layer("global_avg_pool", lambda x: x.mean((2, 3)), inputs(x)))
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


def one_cycle(rule, lr, epochs, steps_per_epoch):
    return torch.optim.lr_scheduler.OneCycleLR(
        rule, max_lr=lr, epochs=epochs, steps_per_epoch=steps_per_epoch
    )


def schedule(lr, epochs, images, batch):
    """Step, learning rate and momentum of some steps."""
    rule = torch.optim.SGD([torch.zeros(1)], lr=lr, momentum=0.9)
    steps_per_epoch = -(-images // batch)
    scheduler, paces = one_cycle(rule, lr, epochs, steps_per_epoch), []
    for step in range(epochs * steps_per_epoch):
        paces.append((step, rule.param_groups[0]["lr"], rule.param_groups[0]["momentum"]))
        rule.step()
        scheduler.step()
    shown = range(len(paces)) if len(paces) < 20 else range(0, len(paces), len(paces) // 12)
    return {
        "lr": lr,
        "epochs": epochs,
        "images": images,
        "batch": batch,
        "paces": [paces[step] for step in sorted({*shown, len(paces) - 1})],
    }


def optimizer(name, lr, weight_decay, momentum, steps=7, scheduler="constant"):
    """Gradients are given: sequence 10 + step. Biases are decayed like weights."""
    shapes = [(3, 4), (3,)]
    tensors = [tensor.requires_grad_() for tensor in inputs(*shapes)]
    rule = make_optimizer(name, tensors, lr, weight_decay, momentum)
    cycle = one_cycle(rule, lr, steps, 1) if scheduler == "one_cycle" else None
    for step in range(steps):
        for tensor in tensors:
            tensor.grad = values(10 + step, *tensor.shape)
        rule.step()
        if cycle:
            cycle.step()
    return {
        "optimizer": name,
        "scheduler": scheduler,
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
    write(
        "residual_networks",
        [residual_network("resnet_narrow", 6), residual_network("resnet18_c10", 2)],
    )
    write("cross_entropy", [cross_entropy(1), cross_entropy(5)])
    write(
        "optimizers",
        [
            optimizer("adam", 1e-2, 0.0, 0.9),
            optimizer("adam", 3e-3, 1e-1, 0.9),
            optimizer("sgd", 1e-1, 0.0, 0.0),
            optimizer("sgd", 1e-2, 1e-1, 0.9),
            optimizer("sgd", 1e-1, 5e-4, 0.9, 12, "one_cycle"),
            optimizer("adam", 1e-2, 1e-3, 0.9, 12, "one_cycle"),
        ],
    )
    # CIFAR-10 of the paper, and trainings of very few steps.
    sizes = [(0.05, 50, 40_000, 256), (0.1, 2, 33, 10), (0.1, 1, 3, 1), (0.1, 1, 2, 1)]
    write("schedules", [schedule(*size) for size in sizes])
    write(
        "trajectories",
        [
            trajectory("cnn_s", "tanh", "adam", 1e-3, 1e-3, 0.9),
            trajectory("cnn_m", "gelu", "adam", 3e-4, 1e-4, 0.9, batch=2),
            trajectory("cnn_s_rgb", "silu", "sgd", 1e-2, 1e-3, 0.9),
        ],
    )
