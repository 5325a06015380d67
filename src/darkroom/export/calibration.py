"""The pictures that quantising looks at: some of each class, from train, as the contract makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from darkroom.errors import Invalid

__all__ = [
    "PICTURES",
    "Calibration",
    "choose_pictures",
    "choose_pictures_of_masks",
    "load_tensors",
    "refuse_lack",
    "save_tensors",
]

PICTURES = 200
"""How many pictures are looked at; ranges settle with one or two hundred. Source: Krishnamoorthi,
Quantizing deep convolutional networks for efficient inference, 2018, sec. 3.2: about 100 mini-batches."""


class Calibration(NamedTuple):
    """Which pictures of a split are looked at."""

    rows: np.ndarray
    """(n,) int64: their places in the split, in order."""
    classes: int
    """How many kinds of pictures the split has to draw from: its classes; of several labels also "none"."""


def choose_pictures(labels: np.ndarray, *, most: int = PICTURES, seed: int = 0) -> Calibration:
    """Draws the same number of pictures of each class, as far as they go.

    Where a picture may have several labels, those without any count as one more class: a model is asked
    about such pictures too. With more classes than pictures, the classes are drawn as well.

    Args:
        labels: (n,) index of each picture's class, or (n, classes) of 0 and 1 where it may have several.
        most: how many pictures at most.
        seed: the same seed draws the same pictures.

    Raises:
        Invalid: there is no picture, or all are of a single class.
    """
    if labels.ndim == 2:
        bare = np.flatnonzero(~labels.any(axis=1))
        return _choose([*(np.flatnonzero(column) for column in labels.T), bare], most, seed)
    return _choose([np.flatnonzero(labels == place) for place in np.unique(labels)], most, seed)


def choose_pictures_of_masks(
    masks: Callable[[np.ndarray], np.ndarray], count: int, *, most: int = PICTURES, seed: int = 0
) -> Calibration:
    """Draws pictures of a split with masks; the classes of their pixels count.

    Args:
        masks: gives the masks (n, height, width) uint8 of rows (n,); 255 where nothing is said.
        count: pictures of the split.
        most: how many pictures at most.
        seed: the same seed draws the same pictures.

    Raises:
        Invalid: there is no picture, or their masks hold a single class.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(count)[:most])
    seen: set[int] = set()
    for row in rows:
        seen |= set(np.unique(masks(np.array([row]))).tolist())
    return _checked(rows, len(seen - {255}))


def save_tensors(path: Path, tensors: np.ndarray) -> None:
    """Writes calibration tensors (n, height, width, channels) uint8 for the converters."""
    np.save(path, np.ascontiguousarray(tensors, np.uint8), allow_pickle=False)


def load_tensors(path: Path | None, shape: tuple[int, ...]) -> np.ndarray:
    """Returns calibration tensors, of (height, width, channels).

    Raises:
        Invalid: there are none, or they have another shape.
    """
    if path is None:
        raise refuse_lack("int8")
    found = np.load(path, mmap_mode="r", allow_pickle=False)
    if found.dtype != np.uint8 or found.shape[1:] != shape or not len(found):
        raise Invalid(
            "calibration.shape",
            "Calibration tensors are {dtype} {found}. Expected: uint8 (n, {height}, {width}, {channels}).",
            do="Convert again, which makes them anew: darkroom export convert --run RUN --precision int8",
            dtype=found.dtype,
            found=found.shape,
            height=shape[0],
            width=shape[1],
            channels=shape[2],
        )
    return found


def refuse_lack(precision: str) -> Invalid:
    """Returns the error for a precision that needs pictures where there are none."""
    return Invalid(
        "calibration.none",
        "{precision} needs pictures: the range of each activation follows from them, and there are none.",
        do="Convert a run whose dataset has train pictures, or choose a precision without calibration: "
        "float16, weight-int8, dynamic-int8.",
        precision=precision,
    )


def _choose(places: list[np.ndarray], most: int, seed: int) -> Calibration:
    """Deals the pictures out class by class, until there are enough or none is left."""
    random = np.random.default_rng(seed)
    decks = [random.permutation(one).tolist() for one in places]
    if len(decks) > most:
        decks = [decks[place] for place in random.permutation(len(decks))]
    chosen: dict[int, None] = {}
    for turn in range(max((len(deck) for deck in decks), default=0)):
        for deck in decks:
            if turn < len(deck) and len(chosen) < most:
                chosen[deck[turn]] = None
    rows = np.sort(np.fromiter(chosen, np.int64, len(chosen)))
    return _checked(rows, sum(bool(len(one)) for one in places))


def _checked(rows: np.ndarray, classes: int) -> Calibration:
    if not len(rows):
        raise refuse_lack("int8")
    if classes < 2:
        raise Invalid(
            "calibration.one-class",
            "All {count} calibration pictures are of a single class. The ranges would fit that class, and "
            "the others would be cut off.",
            do="Freeze a dataset whose train split has pictures of every class: darkroom dataset freeze",
            count=len(rows),
        )
    return Calibration(rows, classes)
