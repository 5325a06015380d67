"""Measure masks that were answered: IoU of each class, mean IoU, pixel accuracy, F1 of outlines.

What all figures follow from is a few counts of pixels per image and class. They are added up over images,
and the figure is that of the sums; an interval says what other images would change, so images are drawn,
never pixels: the pixels of one image go together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from darkroom.errors import Invalid
from darkroom.records import Interval
from darkroom.statistics import group_codes, percentile_interval, resampled_counts, wilson
from darkroom.statistics.bootstrap import Groups
from darkroom.tasks.figures import MaskClassFigures, SegmentationFigures
from darkroom.tasks.outlines import outline_counts
from darkroom.tasks.overlap import IGNORE, confusion_of

__all__ = [
    "EDGE",
    "HITS",
    "ROWS",
    "SHOWN",
    "Resampled",
    "answers_of",
    "count_classes",
    "count_pixels",
    "image_miou",
    "interval_of",
    "measure",
    "miou_of",
    "paired_miou",
    "resample",
    "shared_figure",
]

ROWS = ("hits", "shown", "answered", "outline", "outline found", "outline answered", "outline right")
"""The counts that are kept per image and class, (7, C): pixels right and answered, right, answered; then of
outlines, as `outline_counts` gives them."""

HITS, SHOWN, ANSWERED, EDGE, EDGE_FOUND, EDGE_ANSWERED, EDGE_RIGHT = range(len(ROWS))

OF_A_CLASS = ("iou", "precision", "recall", "boundary_f1")
"""The figures that each class has."""


def answers_of(probabilities: np.ndarray) -> np.ndarray:
    """Returns the class that is answered for each pixel, (…) uint8; of equally probable ones the first.

    Args:
        probabilities: (…, C); at most 255 classes.
    """
    return probabilities.argmax(axis=-1).astype(np.uint8)


def count_pixels(
    masks: np.ndarray, answers: np.ndarray, classes: int, tolerance_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Counts the pixels of some images.

    Args:
        masks: (N, H, W) uint8, what is right; 255 counts for nothing.
        answers: (N, H, W) uint8 of class indices.
        classes: how many classes there are.
        tolerance_px: how far apart two outlines may lie to count as met.

    Returns:
        The counts (N, 7, C) uint32, see `ROWS`; and the confusion of all of them, (C, C) int64.

    Raises:
        Invalid: masks and answers are of different sizes, or hold what is no class.
    """
    _check(masks, answers, classes)
    confusion = confusion_of(masks, answers, classes)
    rows = _rows_of(confusion)
    for place, (mask, answer) in enumerate(zip(masks, answers, strict=True)):
        rows[place, EDGE:] = outline_counts(mask, answer, classes, tolerance_px)
    return rows, confusion.sum(axis=0)


def count_classes(masks: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """Returns the counts (N, 7, C) uint32 as `count_pixels`, those of outlines left at 0.

    Raises:
        Invalid: as `count_pixels`.
    """
    _check(masks, answers, classes)
    return _rows_of(confusion_of(masks, answers, classes))


def measure(
    counts: np.ndarray,
    confusion: np.ndarray,
    classes: Sequence[str],
    groups: Groups = None,
    *,
    size_px: tuple[int, int],
    tolerance_px: int,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> SegmentationFigures:
    """Returns all figures with their bootstrap intervals.

    Args:
        counts: (N, 7, C), see `count_pixels`.
        confusion: (C, C) of all images.
        classes: names of the C classes.
        groups: images of one group are drawn together.
        size_px: height and width of the masks.
        tolerance_px: how far apart two outlines may lie to count as met.
        level: share of such intervals that hold the true figure.
        draws: how many times the images are drawn.
        seed: the same seed gives the same intervals.

    Raises:
        Invalid: there are no images, or not a pixel of which is said what is right.
    """
    if len(counts) == 0 or not confusion.any():
        raise Invalid(
            "evaluation.no-known-pixels",
            "There is not one pixel to evaluate on: of {images} images no mask says what is right.",
            do="Give the split images with masks: a larger share in [dataset.freeze], or more of them.",
            images=len(counts),
        )
    drawn = resample(counts, groups, draws=draws, seed=seed, level=level)
    pixels = int(confusion.sum())
    return SegmentationFigures(
        count=len(counts),
        groups=drawn.groups,
        pixels=pixels,
        ignored=len(counts) * size_px[0] * size_px[1] - pixels,
        height_px=size_px[0],
        width_px=size_px[1],
        miou=_known(interval_of(drawn, "miou")),
        pixel_accuracy=_known(interval_of(drawn, "pixel_accuracy")),
        boundary_f1=interval_of(drawn, "boundary_f1"),
        tolerance_px=tolerance_px,
        classes=tuple(_class_figures(drawn, place, name) for place, name in enumerate(classes)),
        confusion=tuple(tuple(int(cell) for cell in row) for row in confusion),
    )


def _rows_of(confusion: np.ndarray) -> np.ndarray:
    """Returns counts (N, 7, C) of confusions (N, C, C), those of outlines 0."""
    rows = np.zeros((len(confusion), len(ROWS), confusion.shape[-1]), np.uint32)
    rows[:, HITS] = np.diagonal(confusion, axis1=1, axis2=2)
    rows[:, SHOWN], rows[:, ANSWERED] = confusion.sum(axis=2), confusion.sum(axis=1)
    return rows


class Resampled(NamedTuple):
    """Sums over images, as they are and as they come out when images are drawn anew."""

    whole: np.ndarray
    """(7, C) int64."""
    drawn: np.ndarray
    """(draws, 7, C) float64."""
    shown: np.ndarray
    """(C,) images that show each class."""
    units: np.ndarray
    """(4, C) images, or groups, that the figures of each class rest on, in the order of `OF_A_CLASS`."""
    images: int
    groups: int | None
    level: float
    method: str


def resample(
    counts: np.ndarray, groups: Groups, *, draws: int = 2000, seed: int = 0, level: float = 0.95
) -> Resampled:
    """Draws images, or groups, and adds their counts up; the same seed draws the same images.

    Args:
        counts: (N, 7, C).
        groups: images of one group are drawn together.
        draws: how many times they are drawn.
        seed: decides what is drawn.
        level: of the intervals that are made of it.

    Source: the bootstrap of a ratio of sums, Davison and Hinkley, Bootstrap Methods and their Application,
        1997, sec. 2.4; whole groups as in sec. 3.8.
    """
    codes, method = group_codes(groups, len(counts))
    units = len(counts) if codes is None else int(codes.max()) + 1
    table = np.zeros((units, counts.shape[1] * counts.shape[2]))
    np.add.at(table, np.arange(units) if codes is None else codes, counts.reshape(len(counts), -1))
    drawn = [
        chosen @ table for chosen in resampled_counts(np.ones(units, np.int64), draws=draws, seed=seed)
    ]
    by_unit = table.reshape(units, *counts.shape[1:])
    return Resampled(
        whole=counts.sum(axis=0, dtype=np.int64),
        drawn=np.concatenate(drawn).reshape(-1, *counts.shape[1:]),
        shown=(counts[:, SHOWN] > 0).sum(axis=0),
        units=_units(by_unit > 0),
        images=len(counts),
        groups=None if codes is None else units,
        level=level,
        method=method,
    )


def interval_of(drawn: Resampled, figure: str, place: int | None = None) -> Interval | None:
    """Returns one figure with its interval; None where it is not defined.

    Where no draw can differ (all pixels right, or none, or a figure that rests on a single image) Wilson's
    interval of a share of the images stands in. The draws of a mean over classes are shifted so that their
    mean is the figure: a draw without a class leaves it out, which moves the mean.

    Args:
        drawn: of the images.
        figure: "iou", "precision", "recall", "boundary_f1", "miou" or "pixel_accuracy".
        place: the class; None for the mean over classes.

    Source: the bootstrap estimate of bias, Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
        ch. 10.
    """
    value = float(_figure(drawn.whole, figure, place))
    if not np.isfinite(value):
        return None
    images = drawn.groups or drawn.images
    units = images if place is None else max(1, int(drawn.units[OF_A_CLASS.index(figure), place]))
    count = drawn.images if place is None else int(drawn.shown[place])
    if value in (0.0, 1.0) or units == 1:
        return wilson(value * units, units, level=drawn.level).model_copy(
            update={"count": count, "value": value}
        )
    found = _figure(drawn.drawn, figure, place)
    if place is None and figure != "pixel_accuracy":
        found = np.clip(found + value - np.nanmean(found), 0, 1)
    return percentile_interval(value, found, level=drawn.level, count=count, method=drawn.method)


def shared_figure(drawn: Sequence[Resampled], figure: str, place: int | None = None) -> Interval | None:
    """Returns the mean over clones of one figure, with the interval that other images would give it.

    Args:
        drawn: of each clone, with the same seed on the same images.
        figure: as for `interval_of`.
        place: the class; None for the mean over classes.
    """
    alone = [interval_of(one, figure, place) for one in drawn]
    known = [one for one in alone if one is not None]
    if len(known) < len(alone):
        return None
    value = float(np.mean([one.value for one in known]))
    if any(one.method == "wilson" for one in known):  # no draw of that clone says how much images decide
        ends = {end: float(np.mean([getattr(one, end) for one in known])) for end in ("low", "high")}
        return known[0].model_copy(update={"value": value, **ends})
    found = np.mean([_figure(one.drawn, figure, place) for one in drawn], axis=0)
    found = np.clip(found + value - np.nanmean(found), 0, 1)
    first = drawn[0]
    return percentile_interval(value, found, level=first.level, count=known[0].count, method=first.method)


def paired_miou(
    first: np.ndarray,
    second: np.ndarray,
    groups: Groups = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Returns the mean IoU of one model less that of another, each image drawn with both of its answers.

    Where the two answer alike no draw can differ; the interval then reaches as far as Wilson's for "0 of N
    images".

    Args:
        first: (N, 7, C) counts of one model.
        second: those of the other, on the same images in the same order.
        groups: images of one group are drawn together.
        level: share of such intervals that hold the true difference.
        draws: how many times the images are drawn.
        seed: the same seed gives the same interval.
    """
    one, other = (resample(counts, groups, draws=draws, seed=seed) for counts in (first, second))
    value = float(miou_of(one.whole) - miou_of(other.whole))
    if np.array_equal(first, second) or len(first) == 1:
        reach = wilson(0, one.groups or one.images, level=level).high
        ends = {"low": max(-1.0, value - reach), "high": min(1.0, value + reach)}
        return Interval(value=value, level=level, count=len(first), method="wilson", **ends)
    drawn = miou_of(one.drawn) - miou_of(other.drawn)
    return percentile_interval(value, drawn, level=level, count=len(first), method=one.method)


def miou_of(sums: np.ndarray) -> np.ndarray:
    """Returns the mean IoU of the classes that are shown, (…) of counts (…, 7, C); NaN where none is."""
    return _figure(sums, "miou", None)


def image_miou(counts: np.ndarray) -> np.ndarray:
    """Returns the mean IoU within each image, (N,), over the classes it shows; NaN where none is."""
    return miou_of(counts.astype(np.float64))


def _figure(sums: np.ndarray, figure: str, place: int | None) -> np.ndarray:
    """Returns a figure of sums (…, 7, C), (…); NaN where it is not defined."""
    sums = np.asarray(sums, np.float64)
    hits, shown, answered = sums[..., HITS, :], sums[..., SHOWN, :], sums[..., ANSWERED, :]
    if figure == "pixel_accuracy":
        return _ratio(hits.sum(-1), shown.sum(-1))
    if figure in ("iou", "miou"):
        found = np.where(shown > 0, _ratio(hits, shown + answered - hits), np.nan)
    elif figure == "precision":
        found = _ratio(hits, answered)
    elif figure == "recall":
        found = _ratio(hits, shown)
    else:
        found = _outline_f1(sums)
    return found[..., place] if place is not None else _mean(found)


def _units(has: np.ndarray) -> np.ndarray:
    """Returns how many units the figures of each class rest on, (4, C), of what units have, (U, 7, C)."""
    shown, answered = has[:, SHOWN], has[:, ANSWERED]
    outlined = has[:, EDGE] | has[:, EDGE_ANSWERED]
    return np.stack([rests.sum(axis=0) for rests in (shown | answered, answered, shown, outlined)])


def _outline_f1(sums: np.ndarray) -> np.ndarray:
    """Returns 2·P·R / (P + R) of outlines (…, C), pooled over images; NaN for a class without an outline.

    Source: Csurka, Larlus and Perronnin, 2013, who take the mean over images; sums over images do not jump
        where an image shows a few pixels only.
    """
    recall = _ratio(sums[..., EDGE_FOUND, :], sums[..., EDGE, :])
    precision = np.nan_to_num(_ratio(sums[..., EDGE_RIGHT, :], sums[..., EDGE_ANSWERED, :]))
    both = _ratio(2 * precision * recall, precision + recall)
    return np.where(np.isnan(recall), np.nan, np.nan_to_num(both))


def _mean(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(-1), known.sum(-1))


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.divide(above, below, out=np.full(above.shape, np.nan), where=below > 0)


def _class_figures(drawn: Resampled, place: int, name: str) -> MaskClassFigures:
    return MaskClassFigures(
        label=name,
        support=int(drawn.shown[place]),
        pixels=int(drawn.whole[SHOWN, place]),
        answered=int(drawn.whole[ANSWERED, place]),
        hits=int(drawn.whole[HITS, place]),
        **{figure: interval_of(drawn, figure, place) for figure in OF_A_CLASS},
    )


def _known(figure: Interval | None) -> Interval:
    assert figure is not None  # a pixel is known, so that there is a class that is shown
    return figure


def _check(masks: np.ndarray, answers: np.ndarray, classes: int) -> None:
    if masks.shape != answers.shape:
        raise Invalid(
            "evaluation.masks-do-not-fit",
            "Expected an answer for each pixel of the masks, {masks}. Received: {answers}.",
            masks=masks.shape,
            answers=answers.shape,
        )
    for what, array, also in (("A mask", masks, IGNORE), ("An answer", answers, -1)):
        wrong = array[(array >= classes) & (array != also)]
        if wrong.size:
            raise Invalid(
                "evaluation.mask-value",
                "{what} holds {value}; the classes go from 0 to {last}.",
                what=what,
                value=int(wrong[0]),
                last=classes - 1,
            )
