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
    names, got, want, from_tensors = [], [], [], []
    for picture in pictures:
        given = file.step(picture, "normalise")
        expected = None if given is None else reference.normalised(tensors[picture.name][None])
        if given is None or expected is None:
            continue
        names.append(picture.name)
        got.append(_by_rows(given, expected[0].shape))
        want.append(expected[0])
        from_tensors.append(tensors[picture.name])
    if not names:
        return None, None
    largest = [
        float(np.abs(one - other).max()) if one.shape == other.shape else np.inf
        for one, other in zip(got, want, strict=True)
    ]
    wrong = [place for place, apart in enumerate(largest) if not apart <= APART]
    finite = [apart for apart in largest if np.isfinite(apart)]
    check = StepCheck(
        step="normalise", pictures=len(names), differing=len(wrong), largest=max(finite, default=0.0)
    )
    if not wrong:
        return check, None
    words, cause = _words(
        [got[place] for place in wrong], [from_tensors[place] for place in wrong], reference
    )
    return check, StepDifference(
        step="normalise",
        pictures=tuple(names[place] for place in wrong),
        largest=max(finite, default=None),
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
    card = reference.card.normalisation
    if got[0].shape != tensors[0].shape:
        shapes = ["×".join(map(str, one[0].shape)) for one in (got, tensors)]
        return f"Its input has {shapes[0]} values, expected {shapes[1]}.", ""
    values = np.concatenate([one.reshape(-1, one.shape[-1]) for one in got]).astype(np.float64)
    pixels = np.concatenate([one.reshape(-1, one.shape[-1]) for one in tensors]).astype(np.float64)
    for order, name in ((slice(None), ""), (slice(None, None, -1), "bgr")):
        found = _fitted(values, pixels[:, order])
        if found is None:
            continue
        said = f"It normalises by {spoken_normalisation(found)}, not by {spoken_normalisation(card)}"
        if name:
            return f"{said}, and exchanges red and blue.", name
        return f"{said}.", "normalisation"
    return "Its input is no normalised form of its tensor: no mean and std per channel give it.", ""


def _fitted(values: np.ndarray, pixels: np.ndarray) -> Normalisation | None:
    """Returns the mean and deviation by which pixels become values; None where no line fits."""
    means, stds = [], []
    for channel in range(values.shape[1]):
        x, y = pixels[:, channel], values[:, channel]
        if not np.isfinite(y).all() or np.ptp(x) == 0:
            return None
        slope, shift = np.polyfit(x, y, 1)
        if slope == 0 or np.abs(slope * x + shift - y).max() > FITS * max(1.0, abs(slope) * 10):
            return None
        stds.append(1 / (255 * slope))
        means.append(-shift * stds[-1])
    return Normalisation(mean=tuple(map(float, means)), std=tuple(map(float, stds)))
