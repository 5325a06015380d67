"""What an evaluation of label sets leaves behind: records that can be read without torch."""

from __future__ import annotations

from typing import Literal

from darkroom.evaluation.findings import Curves
from darkroom.evaluation.record import Judgement
from darkroom.records import OperatingPoint, Record, Spread
from darkroom.records.record import Fact, FrozenMap
from darkroom.tasks.figures import MultiLabelFigures

__all__ = ["LabelSetClonesSummary", "LabelSetEvaluation", "LabelSpread", "WrongSet"]


class WrongSet(Fact):
    """One image with at least one wrong label."""

    image_id: str
    truth: tuple[str, ...]
    """Labels that it has."""
    missed: FrozenMap[str, float] = {}
    """Those of them that it was not given → their probability."""
    invented: FrozenMap[str, float] = {}
    """Labels that it was given and does not have → their probability."""
    log_loss: float
    """Mean binary cross-entropy over its labels."""


class LabelSetEvaluation(Judgement):
    """How good the label sets of one model are on one split."""

    task: Literal["multi-label"] = "multi-label"
    figures: MultiLabelFigures
    """The figures, with their intervals, of what is given at the operating point."""
    errors: int
    """Images with at least one wrong label."""
    worst: tuple[WrongSet, ...]
    """The images with the largest log loss first; at most as many as were asked for."""
    curves: Curves | None = None
    """Precision against recall and ROC of each label."""
    point: OperatingPoint = OperatingPoint()
    """The thresholds that the figures were measured at."""
    at_half: FrozenMap[str, float] = {}
    """Where thresholds were chosen: macro F1, micro F1 and exact match as they would be at 0.5."""
    basis: str = ""
    """sha256 of the operating point: at another one the answers are judged anew."""


class LabelSpread(Fact):
    """How much the figures of one label move over clones; None where a clone does not define them."""

    label: str
    support: int
    """Images that have it."""
    average_precision: Spread | None = None
    f1: Spread | None = None


class LabelSetClonesSummary(Record):
    """Several clones, trainings that differ by their seed, on the same images."""

    runs: tuple[str, ...]
    """The clones, in the order of the spreads' values."""
    count: int
    """Images."""
    mean_ap: Spread | None = None
    """None where no image has a label."""
    macro_f1: Spread
    micro_f1: Spread
    exact_match: Spread
    hamming_loss: Spread
    classes: tuple[LabelSpread, ...]
    churn: float | None = None
    """Share of images to which two clones give different labels, mean over pairs; None for one clone."""
    alike: bool = True
    """Whether they are clones; runs of different recipes only stand side by side."""
