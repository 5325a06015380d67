"""Judge masks that were answered: figures, the worst images, what a reader must know."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from darkroom.evaluation.judgement import FEW_GROUPS, FEW_IMAGES
from darkroom.evaluation.mask_answers import MaskAnswers
from darkroom.evaluation.mask_record import MaskEvaluation, MixUp, WorstMask
from darkroom.evaluation.record import EvaluationSource
from darkroom.tasks.figures import SegmentationFigures
from darkroom.tasks.overlap import confusion_of
from darkroom.tasks.segmentation import HITS, SHOWN, image_miou, measure

__all__ = ["Masks", "judge_masks"]

Masks = Callable[[int], tuple[np.ndarray, np.ndarray]]
"""From the place of an image to the mask that is right and the mask that was answered."""

MOST_MIX_UPS = 3
FEW_PIXELS = 100
"""An IoU over fewer pixels moves by more than a hundredth with each of them."""


def judge_masks(
    answers: MaskAnswers,
    confusion: np.ndarray,
    masks: Masks,
    *,
    classes: Sequence[str],
    source: EvaluationSource,
    draws: int = 2000,
    seed: int = 0,
    worst: int = 24,
) -> MaskEvaluation:
    """Returns the figures of the answers with their intervals, and the worst images.

    Args:
        answers: counts of pixels per image.
        confusion: (C, C) pixels of all images.
        masks: gives the masks of one image; asked for the worst alone.
        classes: names of the C classes.
        source: what is judged.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.
        worst: how many images to list at most.

    Raises:
        Invalid: there are no images, or nothing is said about any pixel.
    """
    figures = measure(
        answers.counts,
        confusion,
        classes,
        answers.groups,
        size_px=answers.size_px,
        tolerance_px=answers.tolerance_px,
        draws=draws,
        seed=seed,
    )
    return MaskEvaluation(
        source=source,
        labels=tuple(classes),
        figures=figures,
        worst=tuple(_worst(answers, masks, classes, worst)),
        notes=tuple(_notes(figures, answers.groups)),
        draws=draws,
        seed=seed,
    )


def _worst(answers: MaskAnswers, masks: Masks, classes: Sequence[str], most: int) -> Iterator[WorstMask]:
    """Yields the images with the smallest IoU, of equal ones that with more wrong pixels, then by id."""
    found = image_miou(answers.counts)
    shown = answers.counts[:, SHOWN].sum(axis=1, dtype=np.int64)
    wrong = shown - answers.counts[:, HITS].sum(axis=1, dtype=np.int64)
    off = np.flatnonzero(np.isfinite(found) & (wrong > 0))
    ids = np.asarray([answers.image_ids[place] for place in off.tolist()], dtype=str)
    for rank in np.lexsort((ids, -wrong[off], found[off]))[:most].tolist():
        place = int(off[rank])
        yield WorstMask(
            image_id=answers.image_ids[place],
            miou=float(found[place]),
            wrong_pixels=int(wrong[place]),
            pixels=int(shown[place]),
            mix_ups=tuple(_mix_ups(*masks(place), classes)),
        )


def _mix_ups(mask: np.ndarray, answer: np.ndarray, classes: Sequence[str]) -> Iterator[MixUp]:
    counts = confusion_of(mask[None], answer[None], len(classes))[0]
    np.fill_diagonal(counts, 0)
    for place in np.argsort(-counts, axis=None, kind="stable")[:MOST_MIX_UPS].tolist():
        truth, given = divmod(int(place), len(classes))
        if counts[truth, given]:
            yield MixUp(
                truth=str(classes[truth]), answer=str(classes[given]), pixels=int(counts[truth, given])
            )


def _notes(figures: SegmentationFigures, groups: Sequence[str | None] | None) -> Iterator[str]:
    absent = [row for row in figures.classes if row.support == 0]
    if absent:
        yield (
            f"No image shows {_listed([row.label for row in absent])} in this split: its IoU is not "
            "defined, and the mean leaves it out."
        )
    invented = [row.label for row in absent if row.answered]
    if invented:
        yield f"{_listed(invented)} was answered all the same; that costs the classes that are right there."
    scarce = [row.label for row in figures.classes if 0 < row.support < FEW_IMAGES]
    if scarce and figures.count >= FEW_IMAGES:
        yield f"Fewer than {FEW_IMAGES} images show {_listed(scarce)}: those figures say little."
    tiny = [row.label for row in figures.classes if 0 < row.pixels < FEW_PIXELS]
    if tiny:
        yield f"Fewer than {FEW_PIXELS} pixels show {_listed(tiny)}: a few pixels decide its IoU."
    known = figures.pixels + figures.ignored
    if figures.ignored:
        share = f"{figures.ignored / known:.1%}"
        yield f"Of {share} of the pixels no mask says what is right: they count for nothing."
    named = {str(group) for group in groups if group} if groups is not None else set()
    if figures.groups is not None and figures.groups < FEW_GROUPS:
        yield f"Only {figures.groups} groups: the intervals are likely too narrow."
    elif named and figures.groups is None and len(named) < figures.count:
        yield "All images lie in one group: the intervals are drawn by image and too narrow."
    if figures.count < FEW_IMAGES:
        yield f"Only {figures.count} images: the intervals say little."


def _listed(names: Sequence[str], most: int = 8) -> str:
    quoted = [f"“{name}”" for name in names[:most]]
    return ", ".join(quoted) + (f" and {len(names) - most} more" if len(names) > most else "")
