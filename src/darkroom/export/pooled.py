"""Pictures of several splits, pooled: what is said of each split, and which pixels differ."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Sequence

import numpy as np

from darkroom.export.report import ComparedPictures, SplitParity
from darkroom.records import Interval, Split

__all__ = ["MOST_DRAWN", "by_split", "compared_pictures", "packed", "unpacked"]

MOST_DRAWN = 24
"""Pictures of which it is kept which pixels differ."""


def compared_pictures(splits: Sequence[Split]) -> tuple[ComparedPictures, ...]:
    """Returns how many pictures are of which split, in the order of the splits."""
    return tuple(
        ComparedPictures(split=split, count=splits.count(split)) for split in dict.fromkeys(splits)
    )


def by_split(
    splits: Sequence[Split],
    alike: Sequence[float],
    difference: Callable[[np.ndarray], Interval | None],
) -> tuple[SplitParity, ...]:
    """Returns the figures of each split; nothing where all pictures are of one.

    Args:
        splits: of each picture.
        alike: of each picture, the share of equal answers.
        difference: from places of pictures to the metric's paired difference on them.
    """
    names: list[Split] = list(dict.fromkeys(splits))
    if len(names) < 2:
        return ()
    places: dict[Split, np.ndarray] = {
        name: np.flatnonzero([split == name for split in splits]) for name in names
    }
    return tuple(
        SplitParity(
            split=name,
            count=len(rows),
            agreement=float(np.asarray(alike)[rows].mean()),
            difference=difference(rows),
        )
        for name, rows in places.items()
    )


def packed(marks: np.ndarray) -> str:
    """Returns marks (h, w) of yes and no as a short text."""
    return base64.b64encode(zlib.compress(np.packbits(marks).tobytes(), 9)).decode()


def unpacked(text: str, size_px: tuple[int, int]) -> np.ndarray | None:
    """Returns the marks (h, w) that `packed` took; None where the text is not of that size."""
    count = size_px[0] * size_px[1]
    try:
        reader = zlib.decompressobj()
        data = reader.decompress(base64.b64decode(text, validate=True), count)
    except (ValueError, zlib.error):
        return None
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    return bits[:count].reshape(size_px).astype(bool) if bits.size >= count else None
