"""How many pictures are asked about at a time: answers to all of them need not fit into memory together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from darkroom.records import ModelCard

__all__ = ["MOST_VALUES", "in_portions", "most_at_a_time", "values_of"]

MOST = 64
"""Tensors asked about at a time; bounds the memory of large networks."""

MOST_CELLS = 4_000_000
"""Probabilities of masks that are held at a time: 16 MB on each side."""

MOST_VALUES = 2**27
"""Probabilities that are held against each other in one piece: 512 MiB on each side."""


def most_at_a_time(card: ModelCard) -> int:
    """Returns how many tensors are asked about at a time, 1 at least."""
    if card.task != "segmentation":
        return MOST
    return max(1, min(MOST, MOST_CELLS // values_of(card)))


def values_of(card: ModelCard) -> int:
    """Returns how many probabilities one picture is answered with."""
    if card.task != "segmentation":
        return len(card.labels)
    height, width, _ = card.contract.shape
    return height * width * len(card.labels)


def in_portions(tensors: np.ndarray, card: ModelCard) -> Iterator[np.ndarray]:
    """Yields (N, height, width, channels) tensors in parts that go through a model together.

    Of no tensors it yields the one empty part, so that a model can say the shape of its answers.
    """
    size = most_at_a_time(card)
    for start in range(0, max(1, len(tensors)), size):
        yield tensors[start : start + size]
