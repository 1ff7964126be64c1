"""Writes the bilinear fixture: python python/make_resize_fixture.py [FILE]

Enlarges a few images with PyTorch's interpolate(mode="bilinear",
align_corners=False, antialias=False) in float32 and in float64. The test of
src/dataset/resize.rs compares with both. Needs torch. FILE defaults to
tests/fixtures/dataset/resize_bilinear_torch.json of this repository.
"""

import json
import sys
from pathlib import Path

import torch
from torch.nn.functional import interpolate

# Digits to CNN (s) and CNN (m), MNIST to CNN (m), uneven sizes, one pixel.
CASES = [
    ((8, 8), (28, 28)),
    ((8, 8), (32, 32)),
    ((28, 28), (32, 32)),
    ((3, 5), (7, 6)),
    ((1, 1), (2, 3)),
]


def case(source: tuple[int, int], target: tuple[int, int]) -> dict:
    # Multiples of 1/16: exact in either precision and short in the file.
    image = torch.randint(0, 17, (1, 1, *source)).to(torch.float64) / 16

    def enlarged(dtype: torch.dtype) -> list[float]:
        out = interpolate(
            image.to(dtype), size=target, mode="bilinear", align_corners=False, antialias=False
        )
        return out.flatten().tolist()

    return {
        "from": source,
        "to": target,
        "input": image.flatten().tolist(),
        "float32": [round(value, 9) for value in enlarged(torch.float32)],
        "float64": [round(value, 12) for value in enlarged(torch.float64)],
    }


def main() -> None:
    default = (
        Path(__file__).resolve().parent.parent / "tests/fixtures/dataset/resize_bilinear_torch.json"
    )
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    torch.manual_seed(0)
    fixture = {"torch": torch.__version__, "cases": [case(*sizes) for sizes in CASES]}
    path.parent.mkdir(parents=True, exist_ok=True)
    # One list per line: a change shows as a few lines of a diff.
    text = json.dumps(fixture).replace('"from"', '\n"from"').replace('], "', '],\n"')
    path.write_text(text + "\n")
    print(f"{path}: {len(CASES)} cases")


if __name__ == "__main__":
    main()
