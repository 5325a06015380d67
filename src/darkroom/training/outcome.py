"""What a training is told about its dataset, and what it hands back."""

from __future__ import annotations

from darkroom.records import Contract, Fact, MetricPoint, Task
from darkroom.training.plan import BatchChoice, Costs, RateChoice

__all__ = ["CardFacts", "TrainOutcome"]


class CardFacts(Fact):
    """What the model card says and the training itself cannot know."""

    task: Task = "classification"
    labels: tuple[str, ...]
    """Names of the classes in the order of the labels."""
    contract: Contract
    """How the pictures were made into tensors."""
    run: str = ""
    """Id of the run."""
    dataset: str = ""
    """name@version."""
    dataset_id: str = ""
    """sha256 of the dataset version."""
    intended_use: str = ""
    not_for: str = ""
    human_review: str = ""
    """Which answers a person must look at."""
    licence: str = ""
    """Licence of the model."""


class TrainOutcome(Fact):
    """How a training ended."""

    epochs: int
    """Epochs that were trained."""
    best_epoch: int
    """Epoch whose weights are in `weights`; the last one when there was nothing to validate on."""
    best: MetricPoint
    """Figures of the best epoch."""
    last: MetricPoint
    """Figures of the last epoch."""
    stopped_early: bool
    """Whether early stopping ended it."""
    resumed_from: int = 0
    """Epoch after which this call went on; 0 when it began at the start."""
    weights: str
    """File of the best weights, relative to the run's folder."""
    device: str
    threads: int
    duration_s: float
    """Wall time of all epochs, over all calls."""
    measured: Costs
    """What it took: time over all calls, memory of this one, disk as it now is."""
    foreseen: Costs | None = None
    """What its first batches said that all epochs would take."""
    batch: BatchChoice | None = None
    """A smaller batch that was taken, as memory did not hold the recipe's."""
    rate: RateChoice | None = None
    """The learning rate that was measured, where the recipe says so."""
