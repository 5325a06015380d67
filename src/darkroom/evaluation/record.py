"""What an evaluation leaves behind: records that can be read without torch."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from darkroom.evaluation.findings import Calibration, Curves, OperatingFigures, PairCost, Slices
from darkroom.records import Interval, Record, Split, Spread, Task
from darkroom.records.record import Fact, FrozenMap
from darkroom.tasks.figures import ClassificationFigures

__all__ = [
    "ClassSpread",
    "CloneSpread",
    "ClonesSummary",
    "Comparison",
    "EnsembleGain",
    "Evaluation",
    "EvaluationSource",
    "GroupComparison",
    "Judgement",
    "Verdict",
    "WrongAnswer",
]

Verdict = Literal["better", "worse", "no difference shown"]
"""What a paired comparison shows; without evidence it is "no difference shown"."""


class EvaluationSource(Fact):
    """What was evaluated, on what."""

    run: str = ""
    """Run that trained the model."""
    network: str = ""
    """Name in the table of networks."""
    seed: int = 0
    """Seed of the training."""
    epoch: int = 0
    """Epoch whose weights answered."""
    dataset: str = ""
    """name@version."""
    dataset_id: str = ""
    """sha256 of the dataset version."""
    split: Split = "test"
    """The images that were looked at."""


class WrongAnswer(Fact):
    """One image that was answered wrongly."""

    image_id: str
    truth: str
    """Class that the label says."""
    answer: str
    """Class that was answered."""
    probability: float
    """Of the answer."""
    truth_probability: float
    """Of the class that the label says."""
    cost: float | None = None
    """Of this mistake by the brief; None where it sets no costs."""


class Judgement(Record):
    """What all evaluations say, whatever the task: `Evaluation`, or `MaskEvaluation` for segmentation."""

    source: EvaluationSource = EvaluationSource()
    """What was evaluated, on what."""
    labels: tuple[str, ...]
    """Names of the classes in the order of the output."""
    notes: tuple[str, ...] = ()
    """What a reader of the figures must know: classes without images, too few groups, …"""
    looks: int = 1
    """How many times this split of this dataset has been looked at with models of this run."""
    level: float = 0.95
    """Share of the intervals that hold the true figure."""
    draws: int = 2000
    """Bootstrap draws."""
    seed: int = 0
    """Of the bootstrap."""
    predictions: str = ""
    """Name of the file of probabilities beside this one."""
    predictions_sha256: str = ""
    """Of that file."""
    device: str = ""
    """Where the model ran."""
    weights_sha256: str = ""
    """Of the weights that answered; empty where it was not kept."""
    libraries: FrozenMap[str, str] = {}
    """Versions of the packages that can change the answers; empty where they were not kept."""
    images_per_second: float | None = None
    """Reading and predicting, on this host."""
    evaluated_at: AwareDatetime | None = None


class Evaluation(Judgement):
    """How good one classifier is on one split."""

    task: Task = "classification"
    figures: ClassificationFigures
    """The figures, with their intervals."""
    errors: int
    """How many answers were wrong."""
    worst: tuple[WrongAnswer, ...]
    """The dearest first where mistakes have costs, then the most confidently wrong; at most as many as were
    asked for."""
    curves: Curves | None = None
    """Precision against recall and ROC; None where an older version measured."""
    calibration: Calibration | None = None
    """Whether the probabilities mean what they say."""
    operating: OperatingFigures | None = None
    """How it does with its thresholds and "not sure"; None while no operating point was chosen."""
    pair_costs: tuple[PairCost, ...] = ()
    """The dearest kinds of mistakes; none where the brief sets no costs."""
    basis: str = ""
    """sha256 of the costs and the operating point that it was judged by; empty where nobody said."""
    slices: Slices | None = None
    """Accuracy on parts of the images."""


class ClassSpread(Fact):
    """How much the figures of one class move over clones; None where a clone does not define them."""

    label: str
    support: int
    """Images that show the class."""
    precision: Spread | None = None
    recall: Spread | None = None
    f1: Spread | None = None


class ClonesSummary(Record):
    """Several clones, trainings that differ by their seed, on the same images."""

    runs: tuple[str, ...]
    """The clones, in the order of the spreads' values."""
    count: int
    """Images."""
    accuracy: Spread
    macro_f1: Spread
    log_loss: Spread
    classes: tuple[ClassSpread, ...]
    churn: float | None = None
    """Share of images on which two clones answer differently, mean over pairs; None for one clone."""
    alike: bool = True
    """Whether they are clones, apart by chance alone; runs of several recipes stand side by side."""


class Comparison(Fact):
    """Two models on the same images."""

    difference: Interval
    """Accuracy of the first minus that of the second, drawn in pairs; for masks: mean IoU."""
    figure: str = "accuracy"
    """What the difference is of: "accuracy" or "mean IoU"."""
    verdict: Verdict
    """Of the first against the second; needs an interval that does not hold 0."""
    only_first_right: int
    """Images that only the first answers rightly; for masks: that it answers with a larger IoU."""
    only_second_right: int
    """Images that only the second answers rightly; for masks: that it answers with a larger IoU."""
    churn: float
    """Share of images with different answers; for masks: of pixels."""
    same_images: int
    """Images that both were asked about."""
    metrics: FrozenMap[str, Interval] = {}
    """Paired differences of further figures: "log_loss", …"""


class GroupComparison(Fact):
    """The clones of one recipe against those of another, or two runs, on the same images."""

    figure: str
    """What they are compared by: "accuracy" or "mean IoU"."""
    difference: Interval
    """Mean over clones of the first less that of the second."""
    verdict: Verdict
    """Of the first against the second; needs an interval that does not hold 0."""
    first: tuple[float, ...]
    """Figure of each clone of the first."""
    second: tuple[float, ...]
    on_an_image: Interval | None = None
    """Of the images that tell the two apart, on how many the first is ahead: on which its clones are right
    more often, or have the larger IoU. None where no image tells them apart."""
    between_clones: Interval | None = None
    """Chance that a clone of the first has the larger figure than one of the second; None for two runs."""
    same_images: int
    """Images that all were asked about."""
    seeds_counted: bool = False
    """Whether the interval of the difference counts other seeds too: with two clones on each side."""


class EnsembleGain(Fact):
    """The mean of the probabilities of some clones, held against the clones themselves."""

    figure: str
    """What the gain is of: "accuracy" or "mean IoU"."""
    value: float
    """Figure of the ensemble."""
    mean: float
    """Mean of the figures of the clones."""
    gain: Interval
    """The ensemble less the mean clone, on the same images; other images are counted, other clones not."""
    verdict: Verdict
    """Of the ensemble against the mean clone."""
    log_loss: Interval | None = None
    """Log loss of the ensemble less that of the mean clone; below 0 is better. None for masks."""


class CloneSpread(Fact):
    """How much clones differ on the same images, as they are and changed."""

    runs: tuple[str, ...]
    """The clones, in the order of the spreads' values."""
    split: Split
    images: int
    figure: str
    """What decides, as a person calls it."""
    figures: FrozenMap[str, Spread]
    """Each figure over the clones, the deciding one first."""
    stress: FrozenMap[str, FrozenMap[str, Spread]] = {}
    """The same for images that were changed, by what was done to them."""
    churn: float | None = None
    """Share of images on which two clones answer differently, mean over pairs; for masks of pixels."""
    ensemble: EnsembleGain | None = None
    """What the mean of the probabilities gains; None where nobody asked."""
