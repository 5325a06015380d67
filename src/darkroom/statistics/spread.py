"""Spread of one figure over clones: trainings that differ by their seed alone."""

from __future__ import annotations

import math
from collections.abc import Sequence

from darkroom.errors import Invalid
from darkroom.records import Interval, Spread
from darkroom.statistics.quantile import t_quantile

__all__ = ["spread"]


def spread(values: Sequence[float], *, level: float = 0.95) -> Spread:
    """Returns mean, standard deviation, extremes and the t interval of the mean.

    Raises:
        Invalid: there is not one value.

    Source: Student, The probable error of a mean, 1908.
    """
    if not len(values):
        raise Invalid("statistics.no-clones", "A spread needs at least one value. Received: none.")
    figures = [float(value) for value in values]
    count = len(figures)
    mean = math.fsum(figures) / count
    if count == 1:
        return Spread(mean=mean, min=mean, max=mean, values=tuple(figures))
    sd = math.sqrt(math.fsum((figure - mean) ** 2 for figure in figures) / (count - 1))
    half = t_quantile(level, count - 1) * sd / math.sqrt(count)
    interval = Interval(
        value=mean, low=mean - half, high=mean + half, level=level, count=count, method="t over seeds"
    )
    return Spread(
        mean=mean, sd=sd, min=min(figures), max=max(figures), interval=interval, values=tuple(figures)
    )
