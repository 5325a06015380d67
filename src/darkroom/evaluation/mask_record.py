"""What an evaluation of masks leaves behind: records that can be read without torch."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag, TypeAdapter

from darkroom.evaluation.label_set_record import LabelSetEvaluation
from darkroom.evaluation.record import Evaluation, Judgement
from darkroom.records import Record, Spread
from darkroom.records.record import Fact
from darkroom.tasks.figures import SegmentationFigures

__all__ = [
    "AnyEvaluation",
    "MaskClassSpread",
    "MaskClonesSummary",
    "MaskEvaluation",
    "MixUp",
    "WorstMask",
    "any_evaluation",
]


class MixUp(Fact):
    """One class taken for another, in pixels."""

    truth: str
    """Class that the mask says."""
    answer: str
    """Class that was answered."""
    pixels: int


class WorstMask(Fact):
    """One image and how far its answer is off."""

    image_id: str
    miou: float
    """Mean IoU within this image, over the classes that it shows."""
    wrong_pixels: int
    pixels: int
    """Pixels of which the mask says what is right."""
    mix_ups: tuple[MixUp, ...] = ()
    """What was taken for what, the most pixels first; at most three."""


class MaskEvaluation(Judgement):
    """How good the masks of one model are on one split."""

    task: Literal["segmentation"] = "segmentation"
    figures: SegmentationFigures
    """The figures, with their intervals."""
    worst: tuple[WorstMask, ...]
    """The images with the smallest mean IoU first; at most as many as were asked for."""


class MaskClassSpread(Fact):
    """How much the figures of one class move over clones; None where a clone does not define them."""

    label: str
    support: int
    """Images that show the class."""
    iou: Spread | None = None
    boundary_f1: Spread | None = None


class MaskClonesSummary(Record):
    """Several clones, trainings that differ by their seed, on the same images."""

    runs: tuple[str, ...]
    """The clones, in the order of the spreads' values."""
    count: int
    """Images."""
    miou: Spread
    pixel_accuracy: Spread
    boundary_f1: Spread | None = None
    """None where no image shows an outline."""
    classes: tuple[MaskClassSpread, ...]
    churn: float | None = None
    """Share of pixels on which two clones answer differently, mean over pairs; None for one clone."""
    alike: bool = True
    """Whether they are clones; see `ClonesSummary`."""


def _kind(value: Any) -> str:
    task = value.get("task") if isinstance(value, dict) else getattr(value, "task", None)
    return task if task in ("segmentation", "multi-label") else "classification"


AnyEvaluation = Annotated[
    Annotated[Evaluation, Tag("classification")]
    | Annotated[LabelSetEvaluation, Tag("multi-label")]
    | Annotated[MaskEvaluation, Tag("segmentation")],
    Discriminator(_kind),
]
"""An evaluation of any task; `figures.kind` says of which."""

_ANY: TypeAdapter[Evaluation | LabelSetEvaluation | MaskEvaluation] = TypeAdapter(AnyEvaluation)


def any_evaluation(text: str | bytes) -> Evaluation | LabelSetEvaluation | MaskEvaluation:
    """Reads an evaluation of any task; one that says no task is of a classifier.

    Raises:
        ValidationError: it is no evaluation.
    """
    return _ANY.validate_json(text)
