"""The benchmarks read MNIST in one place, and find in its files what their format says."""

from __future__ import annotations

import gzip
import runpy
import struct
from pathlib import Path

import numpy as np

from tests.tree import ROOT

BENCHMARKS = ROOT / "benchmarks"


def test_idx_files_are_read_in_one_place() -> None:
    readers = [path.name for path in BENCHMARKS.glob("*.py") if "ubyte.gz" in path.read_text("utf-8")]
    assert readers == ["mnist.py"]


def test_what_was_written_as_idx_is_read(tmp_path: Path) -> None:
    pictures = np.arange(3 * 28 * 28, dtype=np.uint32).astype(np.uint8).reshape(3, 28, 28)
    with gzip.open(tmp_path / "t10k-images-idx3-ubyte.gz", "wb") as file:
        file.write(struct.pack(">IIII", 2051, 3, 28, 28) + pictures.tobytes())
    with gzip.open(tmp_path / "t10k-labels-idx1-ubyte.gz", "wb") as file:
        file.write(struct.pack(">II", 2049, 3) + bytes([7, 1, 9]))
    read_mnist = runpy.run_path(str(BENCHMARKS / "mnist.py"))["read_mnist"]
    images, labels = read_mnist(tmp_path, "t10k", 2)
    assert (images.shape, images.dtype, labels.dtype) == ((2, 28, 28, 1), np.uint8, np.int64)
    assert np.array_equal(images[..., 0], pictures[:2])
    assert labels.tolist() == [7, 1]
