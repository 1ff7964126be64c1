"""A training step of ResNet-18 beside PyTorch: seconds on one core, batch 32.

    cargo bench --no-run && python3 python/bench_resnet.py [--rounds N]

Runs zoolake's candle engine and PyTorch's eager mode in turns, on the same core, so
that whatever else the machine does meets both: forward, backward and update by SGD of
the network for CIFAR-10. Prints the median of each and the ratio.
"""

import argparse
import os
import statistics
import time

import torch
import torch.nn.functional as F
from bench_training import executable, zoolake
from make_gradient_fixtures import RESNETS, ResNet

BATCH, STEPS = 32, 2
CASE = ("resnet18_c10", "relu", "sgd", 0.0)


class Torch:
    """The network and what moves it."""

    def __init__(self):
        side, channels = RESNETS[CASE[0]]
        self.net = ResNet(channels)
        self.rule = torch.optim.SGD(
            self.net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-3
        )
        self.x = torch.randn(BATCH, 3, side, side)
        self.y = torch.arange(BATCH) % 10

    def seconds(self, steps):
        begun = time.perf_counter()
        for _ in range(steps):
            self.rule.zero_grad()
            F.cross_entropy(self.net(self.x), self.y).backward()
            self.rule.step()
        return time.perf_counter() - begun


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    binary = executable()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    model = Torch()
    model.seconds(1)
    ours, theirs = [], []
    for _ in range(options.rounds):
        theirs.append(model.seconds(STEPS) / STEPS)
        (seconds,) = zoolake(binary, "candle", CASE, STEPS, BATCH)
        ours.append(seconds / STEPS)
    ours, theirs = statistics.median(ours), statistics.median(theirs)
    print(f"PyTorch {torch.__version__}: {theirs:.3f} s, zoolake: {ours:.3f} s per step;", end=" ")
    print(f"ratio {theirs / ours:.2f}")


if __name__ == "__main__":
    main()
