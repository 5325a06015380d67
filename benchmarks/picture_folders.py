"""Folders of pictures for whole jobs: MNIST as files, and a few pictures of a larger folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import NamedTuple

import numpy as np
from mnist import read_mnist
from PIL import Image

__all__ = ["MNIST", "QUICK_MNIST", "MnistCounts", "few_pictures", "shorten", "write_mnist"]

QUICK_EPOCHS, QUICK_PER_FOLDER = 2, 12


class MnistCounts(NamedTuple):
    """How many pictures of MNIST."""

    train: int
    val: int
    test: int | None = None
    """All that there are where nothing is said."""


MNIST = MnistCounts(50_000, 10_000)
QUICK_MNIST = MnistCounts(400, 100, 100)


def write_mnist(data: Path, folder: Path, counts: MnistCounts = MNIST) -> Path:
    """Writes MNIST as PNG in folders of splits and classes; val comes from the end of its train part."""
    images, labels = read_mnist(data, "train", counts.train + counts.val)
    parts = {
        "train": (images[: counts.train], labels[: counts.train]),
        "val": (images[counts.train :], labels[counts.train :]),
        "test": read_mnist(data, "t10k", counts.test),
    }
    for split, (pictures, digits) in parts.items():
        for digit in range(10):
            (folder / split / str(digit)).mkdir(parents=True)
        _write(folder / split, pictures[..., 0], digits)
    return folder


def _write(folder: Path, pictures: np.ndarray, digits: np.ndarray) -> None:
    for number, (pixels, digit) in enumerate(zip(pictures, digits.tolist(), strict=True)):
        Image.fromarray(pixels).save(folder / str(digit) / f"{number:05d}.png")


def few_pictures(data: Path, folder: Path, count: int = QUICK_PER_FOLDER) -> Path:
    """Copies the first pictures of each class; of pictures with masks three times as many."""
    if (data / "classes.txt").is_file():
        kept = sorted((data / "images").iterdir())[: 3 * count]
        for part, suffixes in (("images", None), ("masks", ".png")):
            (folder / part).mkdir(parents=True)
            for path in kept:
                name = path.name if suffixes is None else path.stem + suffixes
                shutil.copy(data / part / name, folder / part / name)
        shutil.copy(data / "classes.txt", folder)
        return folder
    for label in sorted(path for path in data.iterdir() if path.is_dir()):
        (folder / label.name).mkdir(parents=True)
        for path in sorted(label.iterdir())[:count]:
            shutil.copy(path, folder / label.name)
    return folder


def shorten(project: Path, epochs: int = QUICK_EPOCHS) -> None:
    """Sets the epochs of a darkroom.toml."""
    lines = project.read_text("utf-8").split("\n")
    short = [f"epochs = {epochs}" if line.startswith("epochs = ") else line for line in lines]
    project.write_text("\n".join(short), encoding="utf-8")
