"""The interval of a share that needs no resampling."""

from __future__ import annotations

import math

from darkroom.records import Interval
from darkroom.statistics.quantile import normal_quantile

__all__ = ["wilson"]


def wilson(hits: float, count: float, *, level: float = 0.95) -> Interval:
    """Returns the score interval of a share; it is honest where every answer, or none, was right.

    Args:
        hits: how many held; need not be whole when images count less than one each.
        count: of how many, more than 0.
        level: share of such intervals that hold the true share.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    z2 = normal_quantile(level) ** 2
    share = hits / count
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = math.sqrt(z2) / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return Interval(
        value=share,
        low=0.0 if hits <= 0 else max(0.0, middle - half),
        high=1.0 if hits >= count else min(1.0, middle + half),
        level=level,
        count=round(count),
        method="wilson",
    )
