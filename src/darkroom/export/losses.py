"""What a file of another precision than float32 loses, held against the brief."""

from __future__ import annotations

from darkroom.export.report import FileParity
from darkroom.records import Interval, Limits, Task
from darkroom.statistics import Standing, against_limit

__all__ = ["DECIDES_FROM", "METRIC", "hold_loss", "loss_of", "loss_on_test", "metric_of"]

DECIDES_FROM = 1_000
"""Pictures from which on the far end of the interval decides, and not the measured loss alone."""

METRIC: dict[Task, str] = {
    "classification": "accuracy",
    "multi-label": "pictures whose labels are all right",
    "segmentation": "mean IoU",
}
"""What the loss is a loss of."""


def metric_of(file: FileParity) -> float:
    """Returns a file's own metric: accuracy, or mean IoU where it answers masks."""
    if file.pixels is not None and file.pixels.miou is not None:
        return file.pixels.miou
    return file.accuracy


def loss_of(file: FileParity) -> Interval | None:
    """Returns PyTorch's metric less the file's, on the same pictures; None where nothing was measured."""
    return _turned(file.accuracy_difference if file.pixels is None else file.pixels.miou_difference)


def loss_on_test(file: FileParity) -> Interval | None:
    """Returns the same on the test pictures alone; None where no others were pooled with them."""
    return _turned(next((part.difference for part in file.by_split if part.split == "test"), None))


def _turned(gained: Interval | None) -> Interval | None:
    if gained is None:
        return None
    turned = {"value": 0.0 - gained.value, "low": 0.0 - gained.high, "high": 0.0 - gained.low}
    return gained.model_copy(update=turned)


def hold_loss(loss: Interval, limits: Limits) -> Standing:
    """Says whether a loss is within the brief's limit.

    It fails when the measured loss is beyond the limit, and from 1,000 pictures on when the far end of its
    interval is. It passes when the whole interval is within.
    """
    standing = against_limit(loss, limits.accuracy_loss, at_most=True)
    if standing == "not enough evidence" and (
        loss.value > limits.accuracy_loss or loss.count >= DECIDES_FROM
    ):
        return "fail"
    return standing
