"""Figures of a diagnosis in words."""

from __future__ import annotations

import math

from darkroom.diagnosis.evidence import Answers, Evidence, share
from darkroom.records import Interval

__all__ = [
    "ends",
    "gap_said",
    "last_is_best",
    "mean_loss",
    "norm_said",
    "percent",
    "points_of",
    "right_on",
    "risen",
]


def gap_said(evidence: Evidence) -> str:
    """Returns how far train is ahead of val."""
    assert evidence.train is not None
    assert evidence.val is not None
    train, val = share(evidence.train.right), share(evidence.val.right)
    return (
        f"It answers {percent(train)} of {train.count} training pictures, in evaluation mode, and "
        f"{percent(val)} of {val.count} val pictures."
    )


def risen(evidence: Evidence) -> list[str]:
    """Returns whether the val loss rose again; empty where it did not."""
    losses = [point.val_loss for point in evidence.points if point.val_loss is not None]
    if len(losses) < 3 or losses[-1] < 1.1 * min(losses):
        return []
    least = losses.index(min(losses)) + 1
    return [
        f"The val loss was least in epoch {least} ({min(losses):.3g}) and is {losses[-1]:.3g} at the end."
    ]


def last_is_best(evidence: Evidence) -> list[str]:
    """Returns a hint that more epochs may help; empty where the curve gives none."""
    losses = [point.val_loss for point in evidence.points if point.val_loss is not None]
    if len(losses) > 2 and losses[-1] == min(losses) and losses[-1] < 0.97 * losses[-2]:
        return ["The val loss was still falling in the last epoch: more epochs may help."]
    return []


def norm_said(evidence: Evidence) -> list[str]:
    """Returns what the gradient norms were."""
    norms = [point.gradient_norm for point in evidence.points if point.gradient_norm is not None]
    if not norms:
        return []
    largest = max(point.gradient_norm_max or 0.0 for point in evidence.points)
    return [
        f"Gradient norm: {norms[0]:.3g} in the first epoch, {norms[-1]:.3g} in the last, "
        f"{largest:.3g} at most."
    ]


def right_on(answers: Answers, what: str) -> str:
    """Returns how many of some pictures the run answers."""
    right = share(answers.right)
    return f"The run answers {percent(right)} of {right.count} {what}."


def mean_loss(answers: Answers) -> float:
    """Returns the mean loss; NaN where nothing was asked."""
    return float(answers.losses.mean()) if len(answers.losses) else math.nan


def percent(figure: Interval) -> str:
    """Returns a share with its ends."""
    return f"{figure.value:.1%} ({ends(figure)})"


def points_of(figure: Interval) -> str:
    """Returns a difference of shares in percentage points with its ends."""
    return f"{figure.value * 100:.1f} points [{figure.low * 100:.1f}, {figure.high * 100:.1f}]"


def ends(figure: Interval) -> str:
    """Returns the ends of a share."""
    return f"{figure.low:.1%} to {figure.high:.1%}"
