"""Writes the augmentation fixture: python python/make_augment_fixture.py

What torchvision makes of an image by the steps of `RandomCrop` with padding and
`RandomHorizontalFlip`, and of `RandomHorizontalFlip` and `RandomRotation`, given
what these would have drawn. The pixels of an image are 1, 2, 3, …; 0 is where it
has none. Needs torchvision.
"""

import json
from pathlib import Path

import torch
from torchvision.transforms import functional as F

OUT = Path(__file__).resolve().parent.parent / "tests/fixtures/dataset/augment_torchvision.json"


def image(height, width):
    return torch.arange(1.0, height * width + 1).reshape(1, height, width)


def crop(height, width, pad, top, left, flip):
    out = F.crop(F.pad(image(height, width), [pad] * 4), top, left, height, width)
    out = F.hflip(out) if flip else out
    draws = {"pad": pad, "top": top, "left": left, "flip": flip}
    return {"height": height, "width": width, **draws, "out": out.flatten().int().tolist()}


def rotate(height, width, flip, angle):
    x = image(height, width)
    out = F.rotate(F.hflip(x) if flip else x, angle)
    draws = {"flip": flip, "angle": angle}
    return {"height": height, "width": width, **draws, "out": out.flatten().int().tolist()}


def write(cases):
    lines = ",\n".join(json.dumps(case) for case in cases)
    return f"[\n{lines}\n]"


if __name__ == "__main__":
    crops = [crop(5, 6, 4, 0, 8, False), crop(5, 6, 4, 3, 2, True), crop(8, 8, 2, 4, 0, True)]
    # Angles that float32 has exactly.
    rotations = [rotate(9, 7, False, 20.0), rotate(9, 7, True, -13.75), rotate(8, 8, True, 0.0)]
    rotations += [rotate(16, 16, False, angle) for angle in [-19.9375, 3.125, 11.5]]
    OUT.write_text(f'{{"crops": {write(crops)},\n"rotations": {write(rotations)}}}\n')
