"""The figures that a task's answers are measured in; records, so that they can be kept and shown."""

from __future__ import annotations

from typing import Literal

from darkroom.records import Interval
from darkroom.records.record import Fact, FrozenMap

__all__ = [
    "ClassFigures",
    "ClassificationFigures",
    "LabelFigures",
    "MaskClassFigures",
    "MultiLabelFigures",
    "SegmentationFigures",
]


class ClassFigures(Fact):
    """How well one class is found; None stands for "not defined", which is not 0."""

    label: str
    """Name of the class."""
    support: int
    """Images that show it."""
    answered: int
    """Images for which it was the answer."""
    hits: int
    """Images that show it and for which it was the answer."""
    precision: Interval | None = None
    """Of the images for which it was the answer, how many show it; None when it never was."""
    recall: Interval | None = None
    """Of the images that show it, for how many it was the answer; None when there are none."""
    f1: Interval | None = None
    """Harmonic mean of the two; 0 when there are images and none was found; None without images."""


class ClassificationFigures(Fact):
    """How good the answers to one set of images are."""

    kind: Literal["classification"] = "classification"
    count: int
    """Images."""
    groups: int | None = None
    """Groups that were drawn as a whole; None where each image was drawn alone."""
    accuracy: Interval
    """Share of right answers."""
    macro_f1: Interval
    """Mean F1 of the classes that have images."""
    balanced_accuracy: Interval | None = None
    """Mean recall of the classes that have images; None where an older version measured."""
    top_k: FrozenMap[int, Interval] = {}
    """k → share of images whose right class is among the k most probable; only k below the classes."""
    log_loss: Interval
    """Mean of −ln(probability of the right class); at most 15.9, that of float32's step at 1."""
    classes: tuple[ClassFigures, ...]
    """In the order of the model's output."""
    confusion: tuple[tuple[int, ...], ...]
    """Row: the class that is right; column: the class that was answered; images."""


class MaskClassFigures(Fact):
    """How well the pixels of one class are found; None stands for "not defined", which is not 0."""

    label: str
    """Name of the class."""
    support: int
    """Images that show it somewhere."""
    pixels: int
    """Pixels that are right for it."""
    answered: int
    """Pixels for which it was the answer."""
    hits: int
    """Pixels for which it is right and was the answer."""
    iou: Interval | None = None
    """Right and answered, of right or answered; None where no image shows it."""
    precision: Interval | None = None
    """Of the pixels for which it was the answer, how many are right; None where it never was."""
    recall: Interval | None = None
    """Of the pixels that are right for it, for how many it was the answer; None where there are none."""
    boundary_f1: Interval | None = None
    """How well its outline is met; None where no image shows an outline of it."""


class SegmentationFigures(Fact):
    """How good the masks that were answered to one set of images are, over all pixels of all images."""

    kind: Literal["segmentation"] = "segmentation"
    count: int
    """Images."""
    groups: int | None = None
    """Groups that were drawn as a whole; None where each image was drawn alone."""
    pixels: int
    """Pixels of which a mask says what is right; the others count for nothing."""
    ignored: int = 0
    """Pixels of which nothing is said."""
    height_px: int
    """Height of the masks: that of the tensor."""
    width_px: int
    miou: Interval
    """Mean IoU of the classes that the images show."""
    pixel_accuracy: Interval
    """Share of right pixels."""
    boundary_f1: Interval | None = None
    """Mean over the classes that have an outline."""
    tolerance_px: int
    """How far apart two outlines may lie to count as met."""
    classes: tuple[MaskClassFigures, ...]
    """In the order of the model's output."""
    confusion: tuple[tuple[int, ...], ...]
    """Row: the class that is right; column: the class that was answered; pixels."""


class LabelFigures(Fact):
    """How well one of several labels is found; None stands for "not defined", which is not 0."""

    label: str
    """Name of the label."""
    support: int
    """Images that have it."""
    answered: int
    """Images that were given it."""
    hits: int
    """Images that have it and were given it."""
    threshold: float = 0.5
    """Probability from which on it is given."""
    precision: Interval | None = None
    """Of the images that were given it, how many have it; None when none was."""
    recall: Interval | None = None
    """Of the images that have it, how many were given it; None when there are none."""
    f1: Interval | None = None
    """Harmonic mean of the two; 0 when there are images and none was found; None without images."""
    average_precision: Interval | None = None
    """How well its probability ranks the images, whatever the threshold; None without images."""


class MultiLabelFigures(Fact):
    """How good the sets of labels are that were given to some images."""

    kind: Literal["multilabel"] = "multilabel"
    count: int
    """Images."""
    empty: int = 0
    """Images that have none of the labels."""
    groups: int | None = None
    """Groups that were drawn as a whole; None where each image was drawn alone."""
    exact_match: Interval
    """Share of images whose labels are all right."""
    hamming_loss: Interval
    """Share of wrong answers over all images and labels."""
    macro_f1: Interval
    """Mean F1 of the labels that have images."""
    micro_precision: Interval | None = None
    """Of all labels that were given, how many are right; None when none was given."""
    micro_recall: Interval | None = None
    """Of all labels that images have, how many were given; None when no image has any."""
    micro_f1: Interval
    """Harmonic mean of these two."""
    mean_ap: Interval | None = None
    """Mean average precision of the labels that have images; None when no image has any."""
    micro_ap: Interval | None = None
    """Average precision of all pairs of image and label ranked together; None when no image has a label."""
    log_loss: Interval
    """Mean binary cross-entropy over images and labels; at most 15.9 for each."""
    classes: tuple[LabelFigures, ...]
    """In the order of the model's output."""
    draws: int = 0
    """How many times the images were drawn for the intervals; of average precisions a fixed number."""
