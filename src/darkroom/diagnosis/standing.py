"""How a run stands between train and val, and the names of the short trainings that tell more."""

from __future__ import annotations

from darkroom.diagnosis.evidence import Answers, Evidence, apart, share
from darkroom.diagnosis.words import mean_loss

__all__ = [
    "AS_IT_IS",
    "GAP",
    "HALF",
    "LARGER",
    "RATES",
    "REGULARISED",
    "WELL",
    "best_rate",
    "forgets",
    "learns_badly",
    "rate_name",
]

AS_IT_IS, HALF, LARGER, REGULARISED = "as it is", "half", "larger", "regularised"
RATES = (0.01, 0.1, 10.0, 100.0)
"""What the learning rate is multiplied by."""

WELL = 0.97
"""A run that answers this share of its training pictures learns well enough: nothing holds it back."""

GAP = 0.02
"""How far train must be ahead of val, with the whole interval, to say that pictures are learnt by heart."""


def learns_badly(evidence: Evidence) -> bool:
    """Says whether a run answers too few of its own training pictures."""
    return evidence.train is None or share(evidence.train.right).value < WELL


def forgets(evidence: Evidence) -> bool:
    """Says whether a run answers its training pictures clearly better than val."""
    if evidence.train is None or evidence.val is None or not len(evidence.val.right):
        return False
    return apart(share(evidence.train.right), share(evidence.val.right)).low > GAP


def best_rate(evidence: Evidence) -> tuple[Answers, Answers] | None:
    """Returns the answers to train and val at the best rate that is known: the run's own, or a probe's."""
    known = [evidence.probes[rate_name(one)] for one in RATES if rate_name(one) in evidence.probes]
    found = [(probe.train, probe.val) for probe in known if not probe.diverged]
    if evidence.train is not None and evidence.val is not None:
        found.append((evidence.train, evidence.val))
    return min(found, key=lambda one: mean_loss(one[0]), default=None)


def rate_name(factor: float) -> str:
    """Returns the name of the probe at another rate."""
    return f"rate × {factor:g}"
