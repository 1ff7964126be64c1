"""Writes the built-in digits as idx files: python python/make_digits.py [FOLDER]

Takes the 1,797 handwritten digits that scikit-learn ships (the test part of the
UCI "Optical Recognition of Handwritten Digits") and writes them, in their order
and with their values 0..16 unchanged, in the file format of MNIST. The output is
the same bytes every time: no time stamp, no file name in the gzip header.

Needs scikit-learn. FOLDER defaults to src/dataset/digits of this repository.
"""

import gzip
import io
import struct
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits

UNSIGNED_BYTE = 0x08


def idx(array: np.ndarray) -> bytes:
    """An array of bytes as an idx file: magic, dimensions (big-endian), values."""
    header = struct.pack(">BBBB", 0, 0, UNSIGNED_BYTE, array.ndim)
    header += struct.pack(f">{array.ndim}I", *array.shape)
    return header + np.ascontiguousarray(array, dtype=np.uint8).tobytes()


def compress(data: bytes) -> bytes:
    """gzip -9 without anything that differs from run to run."""
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=buffer, mtime=0) as file:
        file.write(data)
    return buffer.getvalue()


def main() -> None:
    default = Path(__file__).resolve().parent.parent / "src" / "dataset" / "digits"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    digits = load_digits()
    if digits.images.shape != (1797, 8, 8) or not np.array_equal(
        digits.images, digits.images.round()
    ):
        sys.exit(
            f"unexpected data: shape {digits.images.shape}; this needs scikit-learn's 1,797 digits"
        )
    if digits.images.min() < 0 or digits.images.max() > 16 or set(digits.target) != set(range(10)):
        sys.exit("unexpected data: pixels must be 0..16 and labels 0..9")
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in [
        ("digits-images-idx3-ubyte.gz", digits.images),
        ("digits-labels-idx1-ubyte.gz", digits.target),
    ]:
        data = compress(idx(array))
        (folder / name).write_bytes(data)
        print(f"{folder / name}: {len(data)} bytes")


if __name__ == "__main__":
    main()
