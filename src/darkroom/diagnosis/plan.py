"""Which short trainings are worth making: only those that could still change a verdict."""

from __future__ import annotations

from collections.abc import Iterator

from darkroom.diagnosis.evidence import Evidence
from darkroom.diagnosis.standing import (
    AS_IT_IS,
    HALF,
    LARGER,
    RATES,
    REGULARISED,
    best_rate,
    forgets,
    learns_badly,
    rate_name,
)
from darkroom.diagnosis.verdicts import labels, rate_high, rate_low

__all__ = ["phases"]


def phases(evidence: Evidence) -> Iterator[str]:
    """Yields the names of the probes that are wanted next; none when all is known that can be.

    Ask again with the evidence that they gave: what they show decides what comes after them.
    """
    done = set(evidence.probes)
    if labels(evidence).state == "found":
        return  # what labels explain, other causes would be blamed for
    if learns_badly(evidence):
        rates = [rate_name(factor) for factor in RATES]
        yield from (name for name in rates if name not in done)
        if not done >= set(rates):
            return
        if _still_badly(evidence) and evidence.larger and LARGER not in done:
            yield LARGER
    if forgets(evidence):
        wrong_rate = any(one(evidence).state == "found" for one in (rate_high, rate_low))
        wanted = (AS_IT_IS, HALF) if wrong_rate else (AS_IT_IS, HALF, REGULARISED)
        yield from (name for name in wanted if name not in done)


def _still_badly(evidence: Evidence) -> bool:
    """Says whether it learns too little of train at every rate, and no more of train than of val."""
    best = best_rate(evidence)
    return best is not None and learns_badly(evidence._replace(train=best[0])) and not forgets(evidence)
