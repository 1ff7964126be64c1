"""Training beside PyTorch: steps per second of one model on one core.

    cargo bench --no-run && python3 python/bench_training.py [--quick]

Runs zoolake's kernel engine and PyTorch's eager mode in turns, on the same core, so
that whatever else the machine does meets both; before that, on one core and on two. The networks, the loss, the optimiser
and the loop are those of the published zoos: batch 10, a shuffled gather from a set in
memory, loss and accuracy read after every step. Prints the median of each and the ratio
as a Markdown table. PyTorch is needed for this script alone.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import time

import torch
from torch import nn

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "sigmoid": nn.Sigmoid, "gelu": nn.GELU}
BATCH = 10


def cnn_s(act, rate, channels=1):
    dropout = [nn.Dropout(rate)] if rate > 0 else []
    return nn.Sequential(
        nn.Conv2d(channels, 8, 5), nn.MaxPool2d(2), act(), *dropout,
        nn.Conv2d(8, 6, 5), nn.MaxPool2d(2), act(), *dropout,
        nn.Conv2d(6, 4, 2), act(), nn.Flatten(),
        nn.Linear(36, 20), act(), *dropout, nn.Linear(20, 10),
    )  # fmt: skip


def cnn_m(act, rate):
    return nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.MaxPool2d(2), act(), nn.Dropout(rate),
        nn.Conv2d(16, 32, 3), nn.MaxPool2d(2), act(), nn.Dropout(rate),
        nn.Conv2d(32, 15, 3), nn.MaxPool2d(2), act(), nn.Dropout(rate), nn.Flatten(),
        nn.Linear(60, 20), act(), nn.Dropout(rate), nn.Linear(20, 10),
    )  # fmt: skip


ARCHS = {"cnn_s": (cnn_s, (1, 28, 28)), "cnn_m": (cnn_m, (3, 32, 32))}


class Torch:
    """A model as the published code trains it."""

    def __init__(self, arch, activation, optimizer, rate):
        make, shape = ARCHS[arch]
        count = 50_000 * 28 * 28 // math.prod(shape)
        self.images = torch.randn(count, *shape)
        self.labels = torch.arange(count) % 10
        self.net = make(ACTIVATIONS[activation], rate)
        rule = torch.optim.Adam if optimizer == "adam" else torch.optim.SGD
        extra = {} if optimizer == "adam" else {"momentum": 0.9}
        self.rule = rule(self.net.parameters(), lr=1e-3, weight_decay=1e-3, **extra)
        self.criterion = nn.CrossEntropyLoss()

    def seconds(self, steps):
        self.net.train()
        order = torch.randperm(len(self.labels))
        begun = time.perf_counter()
        total, correct = 0.0, 0
        for step in range(steps):
            first = step * BATCH % len(order)
            indices = order[first : first + BATCH]
            x, y = self.images[indices], self.labels[indices]
            self.rule.zero_grad()
            out = self.net(x)
            loss = self.criterion(out, y)
            loss.backward()
            self.rule.step()
            total += loss.item() * len(y)
            correct += (out.argmax(1) == y).sum().item()
        return time.perf_counter() - begun


def executable():
    """The benchmark that `cargo bench --no-run` built."""
    command = ["cargo", "bench", "--no-run", "--message-format=json"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    for line in out.splitlines():
        message = json.loads(line)
        if message.get("target", {}).get("kind") == ["bench"] and message.get("executable"):
            return message["executable"]
    raise SystemExit("cargo built no benchmark")


def zoolake(binary, engine, case, steps, *batch):
    """Seconds of `steps` steps, and without a batch size, of evaluating 10,000 images."""
    arguments = [binary, "--steps", engine, *map(str, case), str(steps), *map(str, batch)]
    out = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    return [float(seconds) for seconds in out.split()]


def both_cores(binary, engine, case, steps, rounds):
    """How many times the steps of one core two make, each with a model of its own, in turns."""
    cores = sorted(os.sched_getaffinity(0))[:2]

    def seconds(cores):
        words = [binary, "--steps", engine, *map(str, case), str(steps), str(BATCH)]
        run = lambda core: subprocess.Popen(
            ["taskset", "-c", str(core), *words], stdout=subprocess.PIPE, text=True
        )
        return [float(process.communicate()[0]) for process in [run(core) for core in cores]]

    ratios = []
    for _ in range(rounds):
        alone = [seconds([core])[0] for core in cores]
        ratios.append(sum(1 / s for s in seconds(cores)) / statistics.mean(1 / s for s in alone))
    return ratios


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer steps and rounds")
    parser.add_argument("--engine", default="kernel_avx512", help="zoolake's engine")
    options = parser.parse_args()
    rounds, scale = (3, 0.25) if options.quick else (7, 1)
    binary = executable()
    if len(os.sched_getaffinity(0)) > 1:
        steps = int(16000 * scale)
        ratios = both_cores(binary, options.engine, ("cnn_s", "tanh", "adam", 0.0), steps, rounds)
        median, low, high = statistics.median(ratios), min(ratios), max(ratios)
        print(f"two cores make {median:.2f} times the steps of one ({low:.2f} to {high:.2f})\n")
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    cases = [("cnn_s", act, "adam", 0.0) for act in ACTIVATIONS]
    cases += [("cnn_s", "tanh", "adam", 0.5), ("cnn_s", "tanh", "sgd", 0.0)]
    cases += [("cnn_m", act, "adam", 0.0) for act in ("tanh", "gelu")]
    cases += [("cnn_m", "gelu", "adam", 0.5)]
    print(f"PyTorch {torch.__version__}, engine {options.engine}, one core, batch {BATCH}\n")
    print("| network | PyTorch steps/s | zoolake steps/s | ratio | epoch of MNIST / its steps |")
    print("|---|---:|---:|---:|---:|")
    for case in cases:
        small = case[0] == "cnn_s"
        ours, theirs = int((8000 if small else 1500) * scale), int((400 if small else 200) * scale)
        model = Torch(*case)
        model.seconds(20)
        mine, evaluation, torchs = [], [], []
        for _ in range(rounds):
            torchs.append(model.seconds(theirs) / theirs)
            trained, evaluated = zoolake(binary, options.engine, case, ours)
            mine.append(trained / ours)
            evaluation.append(evaluated)
        step, peer = statistics.median(mine), statistics.median(torchs)
        # 50,000 images to train on, 10,000 each to validate and to test on.
        epoch = 1 + 2 * statistics.median(evaluation) / (5000 * step)
        arch, act, rule, rate = case
        name = f"{arch}, {act}, {rule}" + (f", dropout {rate}" if rate else "")
        print(f"| {name} | {1 / peer:,.0f} | {1 / step:,.0f} | {peer / step:.1f} | {epoch:.3f} |", flush=True)


if __name__ == "__main__":
    main()
