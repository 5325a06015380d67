"""What a deeper look at a classifier's answers finds; records, kept with the evaluation."""

from __future__ import annotations

from typing import Literal

from darkroom.records import Interval, OperatingPoint
from darkroom.records.record import Fact, FrozenMap

__all__ = [
    "Band",
    "Calibration",
    "CalibrationFigures",
    "ClassCurves",
    "ClassDecisions",
    "Curves",
    "OperatingFigures",
    "PairCost",
    "ReliabilityBin",
    "Slice",
    "SliceVerdict",
    "Slices",
]


class Band(Fact):
    """A curve at the places of a grid, with the band that other images would move it in."""

    value: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


class ClassCurves(Fact):
    """How well the probability of one class tells its images from the others."""

    label: str
    support: int
    """Images that show the class."""
    average_precision: Interval | None = None
    """Area below precision against recall, in steps; None without images of the class."""
    roc_area: Interval | None = None
    """Share of pairs ranked the right way round; None without images of the class, or of others."""
    precision_recall: Band | None = None
    """Precision at each recall of the grid; None where only the figures are kept."""
    roc: Band | None = None
    """Share found at each share of false alarms of the grid."""


class Curves(Fact):
    """Precision against recall, and ROC: each class against the others, and their means."""

    grid: tuple[float, ...]
    """Recalls, and shares of false alarms, from 0 to 1."""
    macro_average_precision: Interval | None = None
    """Mean over the classes that have one."""
    macro_roc_area: Interval | None = None
    """Mean over the classes that have one."""
    precision_recall: Band | None = None
    """Mean of the classes' curves."""
    roc: Band | None = None
    classes: tuple[ClassCurves, ...] = ()
    """In the order of the model's output."""
    draws: int = 0
    """Bootstrap draws of these intervals."""


class ReliabilityBin(Fact):
    """Images of about the same confidence."""

    low: float
    """Least confidence."""
    high: float
    """Largest confidence."""
    count: int
    confidence: float
    """Mean probability of the answers."""
    accuracy: Interval
    """Share of right answers."""


class CalibrationFigures(Fact):
    """Whether the probabilities mean what they say, at one temperature."""

    temperature: float = 1.0
    ece_equal_mass: Interval
    """Expected calibration error over bins of equally many images."""
    ece_equal_width: Interval
    """The same over bins of equal width, from 0 to 1."""
    brier: Interval
    """Mean over images of the squared distance to the right answer, from 0 to 2."""
    log_loss: Interval
    bins: tuple[ReliabilityBin, ...] = ()
    """Of equally many images, the least confident first."""


class Calibration(Fact):
    """Calibration of the probabilities as the model gives them, and at the fitted temperature."""

    before: CalibrationFigures
    after: CalibrationFigures | None = None
    """None while no temperature was fitted."""


class ClassDecisions(Fact):
    """What became of the images whose most probable class is this one."""

    label: str
    threshold: float
    """From which probability on the answer counts; 0 for always."""
    answered: int
    right: int
    """Right answers among those given."""
    not_sure: int


class OperatingFigures(Fact):
    """How the model does at its operating point: with its temperature, its thresholds and "not sure"."""

    point: OperatingPoint
    count: int
    coverage: Interval
    """Share of images that get an answer."""
    accuracy_of_answered: Interval | None = None
    """Share of right answers among those given; None where none is given."""
    expected_cost: Interval | None = None
    """Mean cost per image, "not sure" included; None where the brief sets no costs."""
    cost_if_all_answered: Interval | None = None
    """Mean cost per image if every answer counted."""
    saved: Interval | None = None
    """The second minus the first, drawn in pairs."""
    verdict: Literal["better", "worse", "no difference shown", ""] = ""
    """Of answering at the operating point, against answering always."""
    not_sure_cost: float | None = None
    classes: tuple[ClassDecisions, ...] = ()
    """In the order of the model's output."""


class PairCost(Fact):
    """What one kind of mistake costs on average over all images."""

    truth: str
    answer: str
    """A class, or "not sure"."""
    count: int
    cost: float
    """Of one."""
    expected_cost: Interval
    """Per image of the split."""


SliceVerdict = Literal["better", "worse", "no difference shown", "too few"]


class Slice(Fact):
    """The images that share a fact about them."""

    attribute: str
    """"origin", "camera", "hour", …"""
    value: str
    count: int
    accuracy: Interval
    """Of these images."""
    others: float
    """Accuracy of all other images."""
    p_value: float | None = None
    """How likely a difference as large would be by chance, if this were the only look; None: too few."""
    adjusted_p_value: float | None = None
    """The same, corrected for all looks."""
    verdict: SliceVerdict
    """Against all other images; needs evidence that stands after the correction."""


class Slices(Fact):
    """Accuracy on parts of the images."""

    slices: tuple[Slice, ...] = ()
    """Those called out first, then by attribute."""
    looks: int = 0
    """How many slices were compared."""
    smallest: int = 30
    """A slice, and what lies outside it, needs as many images for a verdict."""
    level: float = 0.05
    """Largest corrected p-value that is called out."""
    left_out: FrozenMap[str, str] = {}
    """Attribute → why it shows nothing."""
