"""MNIST for the benchmarks: read its idx.gz files, and hold pictures in memory as a rendering."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data" / "mnist"
"""Where the files are looked for when nobody says otherwise."""


def read_mnist(folder: Path, part: str = "train", count: int | None = None):
    """Returns the first pictures (N, 28, 28, 1) uint8 and their labels (N,) int64.

    Source: yann.lecun.com/exdb/mnist, "File formats for the MNIST database".
    """
    with gzip.open(folder / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28, 1)[:count]
    with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)[:count].astype(np.int64)
    return images, labels


class MemoryRendering:
    """Pictures in memory as a training takes them: all of them in train, none in val."""

    def __init__(self, images, labels):
        self.splits = {"train": _Split(images, labels), "val": _Split(images[:0], labels[:0])}

    def split(self, name):
        return self.splits[name]


class _Split:
    def __init__(self, images, labels):
        self.images, self.labels, self.shape = images, labels, images.shape[1:]
        self.image_ids = [str(index) for index in range(len(images))]

    def __len__(self):
        return len(self.images)

    def gather(self, indices, out=None):
        return np.take(self.images, indices, axis=0, out=out, mode="clip")
