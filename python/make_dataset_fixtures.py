"""Writes the fixtures of image data sets: python python/make_dataset_fixtures.py [DATA]

What Pillow, scipy and numpy make of small images: `pillow.json` (resizing, grey),
`*.jpg` and `*.png` with their decoded pixels in `pictures.json`, `*.mat`,
`*.npy`. They go to tests/fixtures/dataset. With DATA, a folder with `usps/zip.test.gz`
and `cifar10/cifar-10-binary.tar.gz`, it prints the digests of real images resized
to 28 x 28, which src/dataset/usps_tests.rs and cifar_tests.rs have. Needs pillow
below 12, numpy, scipy: as in the days of the published zoos, Pillow then resized
rows before columns; Pillow 13 chooses the order by the sizes, unless they are square.
"""

import gzip
import hashlib
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import PIL
from PIL import Image
from scipy.io import savemat

FOLDER = Path(__file__).resolve().parent.parent / "tests/fixtures/dataset"

# USPS and CIFAR-10 to CNN (s), STL-10 to both, uneven sizes, one axis, one pixel.
RESIZES = [
    ((16, 16), (28, 28)),
    ((32, 32), (28, 28)),
    ((96, 96), (28, 28)),
    ((96, 96), (32, 32)),
    ((9, 14), (5, 23)),
    ((7, 12), (7, 5)),
    ((12, 7), (5, 7)),
    ((1, 1), (2, 3)),
    ((50, 3), (1, 1)),
]


def noise(count: int) -> np.ndarray:
    """Bytes of the generator that the tests have too."""
    state, values = 1, []
    for _ in range(count):
        state = (state * 1_664_525 + 1_013_904_223) % 2**32
        values.append(state >> 24)
    return np.array(values, np.uint8)


def resize(source: tuple[int, int], target: tuple[int, int]) -> dict:
    image = Image.fromarray(noise(source[0] * source[1]).reshape(source))
    resized = image.resize(target[::-1], Image.Resampling.BILINEAR)
    return {"from": source, "to": target, "pixels": np.asarray(resized).flatten().tolist()}


def grey() -> dict:
    steps = [0, 1, 63, 128, 200, 255]
    colours = np.array([[r, g, b] for r in steps for g in steps for b in steps], np.uint8)
    luma = np.asarray(Image.fromarray(colours[None]).convert("L"))
    red, green, blue = colours.T.tolist()
    return {"red": red, "green": green, "blue": blue, "grey": luma.flatten().tolist()}


def photograph(size: int) -> np.ndarray:
    """Smooth shapes and some texture, as JPEG is made for."""
    y, x = np.mgrid[0:size, 0:size] / size
    planes = [np.sin(6 * x + 2 * y), np.cos(5 * y - x * x), np.sin(9 * x * y)]
    smooth = np.stack(planes, -1) * 90 + 128
    texture = noise(size * size * 3).reshape(size, size, 3) / 255 * 24 - 12
    return np.clip(smooth + texture, 0, 255).astype(np.uint8)


def pictures() -> dict:
    colour = Image.fromarray(photograph(64))
    palette = Image.fromarray(photograph(8)).quantize(6)
    alpha = Image.fromarray(photograph(8)).copy()
    alpha.putalpha(200)
    deep = Image.fromarray(noise(12 * 2).view(np.uint16).reshape(3, 4))
    files = {
        "colour.jpg": (colour, {"quality": 85}),
        "grey.jpg": (colour.convert("L"), {"quality": 85}),
        "full.jpg": (colour, {"quality": 90, "subsampling": 0}),
        "cmyk.jpg": (colour.resize((8, 8)).convert("CMYK"), {}),
        "colour.png": (colour.resize((8, 8)), {}),
        "grey.png": (colour.resize((8, 8)).convert("L"), {}),
        "palette.png": (palette, {}),
        "alpha.png": (alpha, {}),
        "deep.png": (deep, {}),
    }
    decoded = {}
    for name, (image, options) in files.items():
        image.save(FOLDER / name, **options)
        if name in ("cmyk.jpg", "alpha.png", "deep.png"):
            continue  # refused
        back = Image.open(FOLDER / name)
        if back.mode == "P":
            back = back.convert("RGB")
        pixels = np.asarray(back)
        pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
        decoded[name] = {"shape": pixels.shape, "pixels": pixels.flatten().tolist()}
    return decoded


def matlab() -> None:
    """SVHN's layout: X is height x width x channels x images, y one label each."""
    pixels = noise(32 * 32 * 3 * 3).reshape(32, 32, 3, 3)
    labels = np.array([[1], [10], [5]], np.uint8)
    savemat(FOLDER / "svhn.mat", {"X": pixels, "y": labels}, do_compression=True)
    savemat(FOLDER / "svhn_plain.mat", {"X": pixels[..., :1], "y": labels[:1].astype(float)})
    for name in ("svhn.mat", "svhn_plain.mat"):
        # The header's text has the time of writing.
        file = bytearray((FOLDER / name).read_bytes())
        file[:116] = b"MATLAB 5.0 MAT-file".ljust(116)
        (FOLDER / name).write_bytes(file)


def arrays() -> None:
    colour = noise(2 * 4 * 5 * 3).reshape(2, 4, 5, 3)
    np.save(FOLDER / "colour.npy", colour)
    np.save(FOLDER / "fortran.npy", np.asfortranarray(colour[..., 0]))
    np.save(FOLDER / "labels.npy", np.array([3, 0, 200], np.int64))


def digest(planes: np.ndarray) -> str:
    """SHA-256 of planes [N, H, W] resized to 28 x 28, one after the other."""
    resized = hashlib.sha256()
    for plane in planes:
        image = Image.fromarray(plane).resize((28, 28), Image.Resampling.BILINEAR)
        resized.update(np.asarray(image).tobytes())
    return resized.hexdigest()


def digests(data: Path) -> None:
    with gzip.open(data / "usps/zip.test.gz", "rt") as file:
        values = np.array([line.split()[1:] for line in file], np.float32)
    # As torchvision.datasets.USPS makes them bytes.
    usps = ((values.reshape(-1, 16, 16) + 1) / 2 * 255).astype(np.uint8)
    print("usps", digest(usps))
    with tarfile.open(data / "cifar10/cifar-10-binary.tar.gz") as archive:
        batch = archive.extractfile("cifar-10-batches-bin/data_batch_1.bin").read()
    cifar = np.frombuffer(batch, np.uint8).reshape(-1, 3073)[:, 1:].reshape(-1, 32, 32)
    print("cifar10", digest(cifar))


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    fixture = {
        "pillow": PIL.__version__,
        "resize": [resize(*sizes) for sizes in RESIZES],
        "grey": grey(),
    }
    # One list per line: a change shows as a few lines of a diff.
    def write(name: str, value: dict) -> None:
        text = json.dumps(value, separators=(",", ":"))
        (FOLDER / name).write_text(text.replace("],", "],\n").replace("},", "},\n") + "\n")

    write("pillow.json", fixture)
    write("pictures.json", pictures())
    matlab()
    arrays()
    print(FOLDER)
    if len(sys.argv) > 1:
        digests(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
