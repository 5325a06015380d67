"""The figures that a task's answers are measured in; records, so that they can be kept and shown."""

from __future__ import annotations

from typing import Literal

from darkroom.records import Interval
from darkroom.records.record import Fact

__all__ = ["ClassFigures", "ClassificationFigures"]


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
    log_loss: Interval
    """Mean of −ln(probability of the right class); at most 15.9, the smallest float32 step above 0."""
    classes: tuple[ClassFigures, ...]
    """In the order of the model's output."""
    confusion: tuple[tuple[int, ...], ...]
    """Row: the class that is right; column: the class that was answered; images."""
