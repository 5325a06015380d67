"""Pictures with several labels for tests: real handwritten digits, some of them together in one picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from darkroom.records import Contract
from darkroom.training import CardFacts
from tests.training.digits import MemoryRendering, MemorySplit

LABELS = ("one", "seven", "three", "two", "zero")
DIGITS = {0: "zero", 1: "one", 2: "two", 3: "three", 7: "seven"}
FACTS = CardFacts(
    task="multi-label",
    labels=LABELS,
    contract=Contract(width_px=32, height_px=32, colour="grey"),
    run="r-1",
    dataset="mosaics@1",
    dataset_id="7" * 64,
)


def mosaics(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Returns pictures (N, 32, 32, 1) uint8 of up to four digits each, and which of them show what, (N, 5).

    A place is empty as often as not, so that about one picture in sixteen shows nothing at all but noise.
    """
    bunch = load_digits()
    draw = np.random.default_rng(seed)
    usable = np.flatnonzero(np.isin(bunch.target, list(DIGITS)))
    images = draw.integers(0, 20, (count, 32, 32, 1)).astype(np.uint8)
    truth = np.zeros((count, len(LABELS)), np.int64)
    for number in range(count):
        for top in (0, 16):
            for left in (0, 16):
                if draw.random() < 0.5:
                    continue
                chosen = int(draw.choice(usable))
                pixels = (bunch.images[chosen] * 15.9).astype(np.uint8)
                images[number, top : top + 16, left : left + 16, 0] |= pixels.repeat(2, 0).repeat(2, 1)
                truth[number, LABELS.index(DIGITS[int(bunch.target[chosen])])] = 1
    return images, truth


def rendering(train: int = 400, val: int = 150) -> MemoryRendering:
    """Returns mosaics as a rendering in memory."""
    images, truth = mosaics(train + val)
    return MemoryRendering(
        train=MemorySplit(images[:train], truth[:train]), val=MemorySplit(images[train:], truth[train:])
    )


def put_mosaics(folder: Path, count: int = 120, *, unknown: int = 4, seed: int = 0) -> Path:
    """Writes mosaics and their table; of the last ones the table does not know the labels."""
    images, truth = mosaics(count + unknown, seed)
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["image,labels,camera"]
    for number, (pixels, row) in enumerate(zip(images, truth, strict=True)):
        Image.fromarray(pixels[..., 0]).save(folder / f"{number:03}.png")
        names = "|".join(label for label, holds in zip(LABELS, row, strict=True) if holds) or "|"
        rows.append(f"{number:03}.png,{'' if number >= count else names},{'a' if number % 2 else 'b'}")
    (folder / "annotations.csv").write_text("\n".join(rows) + "\n")
    return folder
