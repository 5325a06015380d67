"""Hold the normalised input of a dump against the card, and read mean and deviation out of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from darkroom.bundle.dump import DumpPicture
from darkroom.bundle.dump_reader import DumpFile
from darkroom.export.answer_suspects import spoken_normalisation
from darkroom.export.divergence_report import StepCheck, StepDifference
from darkroom.export.sides import Side
from darkroom.records import Normalisation

__all__ = ["hold_input"]

APART = 2e-3
"""Difference of a normalised value that 16 bits allow; values lie within about ±3."""

LOOKED_AT = 6
"""Pictures out of which mean and deviation are read; a line needs no more."""

FITS = 2e-2
"""Largest difference that a fitted line may leave."""


def hold_input(
    file: DumpFile, pictures: Sequence[DumpPicture], tensors: Mapping[str, np.ndarray], reference: Side
) -> tuple[StepCheck | None, StepDifference | None]:
    """Compares what went into the network; nothing where the dump, or the reference, does not tell.

    Args:
        file: the dump.
        pictures: of it, those whose tensor is known.
        tensors: the tensors by the pictures' names.
        reference: with the card that says how pixels are normalised.
    """
    count, largest, finite = 0, 0.0, True
    wrong: list[str] = []
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    for picture in pictures:
        given = file.step(picture, "normalise")
        expected = None if given is None else reference.normalised(tensors[picture.name][None])
        if given is None or expected is None:
            continue
        given, count = _by_rows(given, expected[0].shape), count + 1
        apart = float(np.abs(given - expected[0]).max()) if given.shape == expected[0].shape else np.inf
        largest, finite = max(largest, apart if np.isfinite(apart) else 0.0), finite and np.isfinite(apart)
        if not apart <= APART:
            wrong.append(picture.name)
            if len(kept) < LOOKED_AT:
                kept.append((given, tensors[picture.name]))
    if not count:
        return None, None
    check = StepCheck(step="normalise", pictures=count, differing=len(wrong), largest=largest)
    if not wrong:
        return check, None
    words, cause = _words([one for one, _ in kept], [one for _, one in kept], reference)
    return check, StepDifference(
        step="normalise",
        pictures=tuple(wrong),
        largest=largest if finite else None,
        cause=cause,
        certainty="exact" if cause else "open",
        words=words,
        do="Give the file the uint8 tensor as it is: normalising is inside. In a file of your own, take "
        "mean and std from model-card.json.",
    )


def _by_rows(given: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Returns an input with channels behind; some libraries hold them in front."""
    turned = given.transpose(1, 2, 0)
    return turned if given.shape != shape and turned.shape == shape else given


def _words(got: Sequence[np.ndarray], tensors: Sequence[np.ndarray], reference: Side) -> tuple[str, str]:
    """Returns what the input is in words, and the cause; "" where none is known."""
    card = reference.card.normalisation
    for one, tensor in zip(got, tensors, strict=True):
        if one.shape != tensor.shape:
            shapes = ["×".join(map(str, array.shape)) for array in (one, tensor)]
            return f"Its input has {shapes[0]} values, expected {shapes[1]}.", ""
    values = np.concatenate([one.reshape(-1, one.shape[-1]) for one in got]).astype(np.float64)
    pixels = np.concatenate([one.reshape(-1, one.shape[-1]) for one in tensors]).astype(np.float64)
    if not np.isfinite(values).all():
        return "Its input holds values that are NaN or infinite.", ""
    if (np.ptp(pixels, axis=0) == 0).any():
        return "Its input is another; its pictures have a single level, which says nothing of why.", ""
    for order, name in ((slice(None), ""), (slice(None, None, -1), "bgr")):
        found = _fitted(values, pixels[:, order])
        if found is None:
            continue
        said = f"It normalises by {spoken_normalisation(found)}, not by {spoken_normalisation(card)}"
        if min(found.std) < 0:
            said += ", so that light becomes dark"
        if name:
            return f"{said}, and exchanges red and blue.", name
        return f"{said}.", "normalisation"
    return "Its input is no normalised form of its tensor: no mean and std per channel give it.", ""


def _fitted(values: np.ndarray, pixels: np.ndarray) -> Normalisation | None:
    """Returns the mean and deviation by which pixels become values; None where no line fits.

    Args:
        values: (n, channels), finite.
        pixels: (n, channels), 0 to 255, not all alike in any channel.
    """
    means, stds = [], []
    for channel in range(values.shape[1]):
        x, y = pixels[:, channel], values[:, channel]
        slope, shift = map(float, np.polyfit(x, y, 1))
        if slope == 0 or np.abs(slope * x + shift - y).max() > FITS * max(1.0, abs(slope) * 10):
            return None
        stds.append(1 / (255 * slope))
        means.append(-shift * stds[-1])
    return Normalisation(mean=tuple(means), std=tuple(stds))
