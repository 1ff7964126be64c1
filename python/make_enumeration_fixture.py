"""Writes tests/fixtures/zoo/enumeration.json: what Ray Tune makes of the search spaces of the 27
published zoos, the number of trials and the hyperparameters of some of them.

The search spaces are those of the zoos' own generators (ModelZooDataset,
`code/zoo_generators/train_zoo_*.py`), with their keys; Ray enumerates them. Needs ray[tune].

    python python/make_enumeration_fixture.py
"""

import json
import random
from pathlib import Path

from ray import tune
from ray.tune.search.variant_generator import generate_variants

INITS = ["uniform", "normal", "kaiming_uniform", "kaiming_normal"]
ACTIVATIONS = ["tanh", "relu", "sigmoid", "gelu"]
GRIDS = [
    # zoo, init and activation and lr and wd of Seed, then optimizer, lr, wd, dropout of Hyp
    ("mnist", ("uniform", "tanh", 3e-4, 0), (["adam", "sgd"], [1e-3, 1e-4], [1e-3, 1e-4], [0, 0.5])),
    ("fashion_mnist", ("uniform", "tanh", 3e-4, 0), (["adam", "sgd"], [1e-3, 1e-4], [1e-3, 1e-4], [0, 0.5])),
    ("svhn", ("uniform", "tanh", 3e-3, 0), (["sgd"], [1e-2, 1e-3, 1e-4], [0, 1e-3, 1e-1], [0, 0.3, 0.5])),
    ("usps", ("uniform", "tanh", 3e-4, 1e-3), (["adam", "sgd"], [1e-3, 1e-4], [1e-2, 1e-3], [0, 0.5])),
    ("cifar10_s", ("kaiming_uniform", "gelu", 1e-4, 1e-2), (["adam", "sgd"], [1e-3], [1e-2, 1e-3], [0, 0.5])),
    ("cifar10_m", ("kaiming_uniform", "gelu", 1e-4, 1e-2), (["adam", "sgd"], [1e-3], [1e-2, 1e-3], [0, 0.5])),
    ("stl10_s", ("kaiming_uniform", "tanh", 1e-4, 1e-3), (["adam", "sgd"], [1e-3, 1e-4], [1e-2, 1e-3], [0, 0.5])),
    ("stl10_m", ("kaiming_uniform", "tanh", 1e-4, 1e-3), (["adam", "sgd"], [1e-3, 1e-4], [1e-2, 1e-3], [0, 0.5])),
]
RESNETS = [
    ("cifar10_resnet18", 0.05, 50, 256),
    ("cifar100_resnet18", 0.1, 60, 128),
    ("tiny_imagenet_resnet18", 0.1, 60, 128),
]
SPOTS = 8


def space(init, activation, optimizer, lr, wd, dropout, seed):
    return {
        "model::dropout": dropout,
        "model::init_type": init,
        "model::nlin": activation,
        "optim::lr": lr,
        "optim::optimizer": optimizer,
        "optim::wd": wd,
        "seed": seed,
    }


def enumerate_zoo(zoo, epochs, batch_size, config):
    configs = [trial for _, trial in generate_variants({"config": config})]
    draw = random.Random(zoo)
    indices = {0, 1, len(configs) - 1, *draw.sample(range(len(configs)), SPOTS)}
    trials = []
    for index in sorted(indices):
        trial = configs[index]["config"]
        trials.append(
            {
                "index": index,
                "dropout": trial["model::dropout"],
                "init": trial["model::init_type"],
                "activation": trial["model::nlin"],
                "lr": trial["optim::lr"],
                "optimizer": trial["optim::optimizer"],
                "weight_decay": trial["optim::wd"],
                # Hyp-10-rand drew from an unseeded generator.
                "seed": None if zoo.endswith("_rand") else trial["seed"],
            }
        )
    return {"zoo": zoo, "models": len(configs), "epochs": epochs, "batch_size": batch_size, "trials": trials}


def main():
    grid = tune.grid_search
    zoos = []
    for name, (init, activation, lr, wd), (optimizers, lrs, wds, dropouts) in GRIDS:
        seeds = grid(list(range(1, 1001)))
        seed = space(init, activation, "adam", lr, wd, 0, seeds)
        zoos.append(enumerate_zoo(f"{name}_seed", 50, 10, seed))
        for kind, seeds in [
            ("rand", grid([tune.randint(0, 1_000_000)] * 10)),
            ("fix", grid(list(range(1, 11)))),
        ]:
            axes = [grid(axis) for axis in (INITS, ACTIVATIONS, optimizers, lrs, wds, dropouts)]
            zoos.append(enumerate_zoo(f"{name}_hyp_{kind}", 50, 10, space(*axes, seeds)))
    for name, lr, epochs, batch_size in RESNETS:
        config = space("kaiming_uniform", "relu", "sgd", lr, 5e-4, 0, grid(list(range(1, 1001))))
        zoos.append(enumerate_zoo(f"{name}_seed", epochs, batch_size, config))
    path = Path(__file__).parent.parent / "tests/fixtures/zoo/enumeration.json"
    path.parent.mkdir(exist_ok=True)
    lines = ",\n".join(json.dumps(zoo) for zoo in zoos)
    path.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
