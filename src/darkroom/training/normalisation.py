"""Measure what is subtracted from pictures and what they are divided by, over the train split.

Everything comes from whole-number sums, so that the order of pictures, the chunks and the machine cannot
change it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from darkroom.records import Normalisation
from darkroom.training.pixels import RenderedSplit, chunks

__all__ = ["measure_mean_image", "measure_normalisation", "normalisation_of"]


def normalisation_of(
    kind: str,
    split: RenderedSplit,
    source: str,
    *,
    of_weights: Normalisation | None = None,
    mean_image: Tensor | None = None,
) -> tuple[Normalisation, Tensor | None]:
    """Returns the normalisation that a recipe asks for, and the mean picture where one is subtracted.

    Args:
        kind: the recipe's `normalisation`.
        split: the pictures to train on.
        source: what the card says about them.
        of_weights: what the weights that training begins with were trained with, for "auto".
        mean_image: (H, W, C) float32, the mean picture that goes with it.

    Returns:
        The normalisation, and (H, W, C) float32 or None.
    """
    if kind == "auto" and of_weights is not None:
        return of_weights, mean_image
    if kind == "mean-image":
        return measure_mean_image(split, source)
    channels = split.shape[2]
    if kind == "none":
        return Normalisation(kind="none", mean=(0.0,) * channels, std=(1.0,) * channels), None
    measured = measure_normalisation(split, source)
    if kind == "mean-pixel":
        measured = measured.model_copy(update={"kind": "mean-pixel", "std": (1.0,) * channels})
    return measured, None


def measure_mean_image(split: RenderedSplit, source: str) -> tuple[Normalisation, Tensor]:
    """Returns the mean picture (H, W, C) float32, 0..1, of a split, and the normalisation with it."""
    sums = np.zeros(split.shape, np.int64)
    for indices in chunks(len(split)):
        sums += split.gather(indices).sum(0, dtype=np.int64)
    exact = sums / (255 * len(split))
    image = exact.astype("<f4")
    return Normalisation(
        kind="mean-image",
        mean=tuple(exact.mean((0, 1)).tolist()),
        std=(1.0,) * split.shape[2],
        source=source,
        image_sha256=hashlib.sha256(image.tobytes()).hexdigest(),
    ), torch.from_numpy(image.astype(np.float32))


def measure_normalisation(split: RenderedSplit, source: str) -> Normalisation:
    """Returns mean and standard deviation of each channel over all pictures of a split, exactly.

    They come from counts of the 256 values. A channel without variation gets the deviation of one step.
    """
    channels = split.shape[2]
    counts = np.zeros((channels, 256), np.int64)
    for indices in chunks(len(split)):
        chunk = split.gather(indices)
        for channel in range(channels):
            counts[channel] += np.bincount(chunk[..., channel].ravel(), minlength=256)
    moments = [_mean_and_deviation([int(count) for count in row]) for row in counts]
    return Normalisation(
        mean=tuple(mean for mean, _ in moments), std=tuple(std for _, std in moments), source=source
    )


def _mean_and_deviation(counts: Sequence[int]) -> tuple[float, float]:
    number = sum(counts)
    total = sum(value * count for value, count in enumerate(counts))
    squares = sum(value * value * count for value, count in enumerate(counts))
    mean = Fraction(total, number * 255)
    variance = Fraction(number * squares - total * total, (number * 255) ** 2)
    return float(mean), max(math.sqrt(variance), 1 / 255)
