"""Hold one figure with its interval against one limit of the brief; the task does not matter."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from darkroom.records import Gate, Interval
from darkroom.statistics import against_limit, images_to_settle, spread

__all__ = ["Wanted", "blank", "held", "joined", "over_clones", "times"]


class Wanted(NamedTuple):
    """One limit on quality."""

    limit: str
    label: str
    bound: float
    at_most: bool = False


def over_clones(
    wanted: Wanted,
    images: Interval,
    values: Sequence[float],
    subject: str,
    split: str,
    *,
    step: float = 1.0,
    note: str = "",
) -> Gate:
    """Returns the gate of the mean over clones.

    Two things move that mean: other images and other seeds (the t interval over clones). Their half-widths
    are added in squares.

    Args:
        wanted: the limit.
        images: the mean over clones with the interval that other images would give it, divided by `step`.
        values: the figure of each clone, divided by `step`.
        subject: what was held against the limit.
        split: the pictures.
        step: the most that one image can add.
        note: what a reader must know.

    Source: variances of independent causes add; Student, 1908, for the seeds.
    """
    seeds = spread(values, level=images.level).interval
    beside = seeds.high - seeds.value if seeds is not None else 0.0
    figure = _widened(images, beside, largest=1.0)
    gate = held(wanted, times(figure, step), subject, split, note=note)
    if gate.verdict != "not enough evidence":
        return gate
    more, why = _more_beside(images, wanted.bound / step, beside)
    return gate.model_copy(update={"more_images": more, "note": joined(note, why)})


def held(
    wanted: Wanted, figure: Interval, subject: str, split: str, *, step: float = 1.0, note: str = ""
) -> Gate:
    """Returns the gate of a figure with its interval."""
    verdict = against_limit(figure, wanted.bound, at_most=wanted.at_most)
    more = None
    if verdict == "not enough evidence":
        more = images_to_settle(figure, wanted.bound, step=step)
        note = joined(note, "" if more is not None else ON_THE_LIMIT)
    return blank(wanted, subject, split, note).model_copy(
        update={
            "value": figure.value,
            "interval": figure,
            "verdict": verdict,
            "missed_by": abs(figure.value - wanted.bound) if verdict == "fail" else None,
            "more_images": more,
        }
    )


ON_THE_LIMIT = "the figure lies on the limit, so that no number of pictures settles it"
ON_IT = 1e-9
MORE_CLONES = "pictures alone do not settle it: the seeds differ too much; train more clones"


def _more_beside(images: Interval, limit: float, beside: float) -> tuple[int | None, str]:
    """Returns how many more images would settle it while the seeds' share of the interval stays."""
    distance = abs(images.value - limit)
    if distance <= ON_IT:
        return None, ON_THE_LIMIT
    if distance <= beside:
        return None, MORE_CLONES
    left = math.sqrt(distance**2 - beside**2)
    side = 1 if limit > images.value else -1
    more = images_to_settle(images, images.value + side * left)
    return more, "" if more is not None else ON_THE_LIMIT


def joined(*notes: str) -> str:
    """Returns notes as one; empty ones are left out."""
    return "; ".join(note for note in notes if note)


def _widened(figure: Interval, beside: float, *, largest: float) -> Interval:
    low = figure.value - math.hypot(figure.value - figure.low, beside)
    high = figure.value + math.hypot(figure.high - figure.value, beside)
    ends = {"low": max(0.0, low), "high": min(largest, high)}
    return figure.model_copy(update=ends | {"method": f"{figure.method}, and t over seeds"})


def times(figure: Interval, step: float) -> Interval:
    """Returns a figure in other units."""
    ends = {end: getattr(figure, end) * step for end in ("value", "low", "high")}
    return figure.model_copy(update=ends)


def blank(wanted: Wanted, subject: str, split: str, note: str) -> Gate:
    """Returns a gate for which there is no figure, and why."""
    return Gate(
        limit=wanted.limit,
        label=wanted.label,
        bound=wanted.bound,
        at_most=wanted.at_most,
        unit="cost" if wanted.limit == "expected_cost" else "share",
        subject=subject,
        split=split,
        verdict="not measured",
        note=note,
    )
