"""Writes tests/fixtures/gradients/boundaries.json: margins by PyTorch's autograd.

    python3 python/make_margin_fixture.py

Of each image and each step of a network (a convolution, a linear layer, a residual block), the lead
of its label's logit over the best other one, over sqrt(1e-6 + |g|^2) with the lead's gradient g with
respect to the input of the step; and the sum of the variances of that input's values over the images
(Jiang et al. 2019, equations 3 and 4). Networks, images and labels are those of
make_gradient_fixtures.py, in float64 and in evaluation mode.
"""

import json

import torch
from make_gradient_fixtures import (
    ARCHS,
    IMAGES,
    OUT,
    Block,
    forward,
    labels,
    parameters,
    resnet,
    values,
)


def cnn(arch, activation, images):
    """The logits, and the input of every step."""
    shape, layers = ARCHS[arch]
    tensors = iter(parameters(layers))
    x = values(IMAGES, images, *shape).requires_grad_()
    inputs = []
    for layer in layers:
        own = []
        if isinstance(layer, tuple):
            inputs.append(x)
            own = [next(tensors), next(tensors)]
        x = forward([layer], own, x, activation)
    return x, inputs


def residual(arch, images):
    net, side = resnet(arch)
    net.eval()
    inputs = []
    for module in (net.conv1, *(m for m in net.modules() if isinstance(m, Block)), net.fc):
        module.register_forward_pre_hook(lambda _, x: inputs.append(x[0]))
    x = values(IMAGES, images, 3, side, side).requires_grad_()
    return net(x), inputs


def case(arch, activation, images):
    logits, inputs = residual(arch, images) if "resnet" in arch else cnn(arch, activation, images)
    own = logits.gather(1, labels(images)[:, None])[:, 0]
    others = logits.scatter(1, labels(images)[:, None], -torch.inf)
    leads = own - others.max(1).values
    gradients = torch.autograd.grad(leads.sum(), inputs)
    steps = []
    for x, gradient in zip(inputs, gradients):
        distances = leads / (1e-6 + gradient.flatten(1).square().sum(1)).sqrt()
        variance = x.flatten(1).var(0, correction=0).sum()
        steps.append({"distances": distances.tolist(), "variance": variance.item()})
    return {"arch": arch, "activation": activation, "images": images, "steps": steps}


cases = [
    case("cnn_s", "tanh", 5),
    case("cnn_m", "gelu", 3),
    case("resnet_narrow", "relu", 4),
]
(OUT / "boundaries.json").write_text(json.dumps(cases) + "\n")
