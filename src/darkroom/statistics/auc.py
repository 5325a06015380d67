"""How well scores tell two sets apart: the area below the ROC curve, with its interval."""

from __future__ import annotations

import numpy as np

from darkroom.records import Interval
from darkroom.statistics.interval import wilson
from darkroom.statistics.quantile import normal_quantile

__all__ = ["auc_interval"]


def auc_interval(hits: np.ndarray, others: np.ndarray) -> Interval:
    """Returns how often a score of the first stands above one of the second, with its 95 % interval.

    Where the two do not overlap the variance below is 0, which proves nothing: Wilson's interval of "all of
    the smaller set" stands in.

    Args:
        hits: (n,) scores of the first, at least one.
        others: (m,) scores of the second, at least one.

    Source: Hanley and McNeil, The meaning and use of the area under a ROC curve, 1982, eq. 1 and 2.
    """
    n, m = len(hits), len(others)
    ranks = np.concatenate([hits, others])
    _, places, counts = np.unique(ranks, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    area = float((middle[places.reshape(-1)][:n].sum() - n * (n + 1) / 2) / (n * m))
    if area in (0.0, 1.0):
        return wilson(area * min(n, m), min(n, m)).model_copy(update={"count": n + m})
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    variance = (area * (1 - area) + (n - 1) * (q1 - area**2) + (m - 1) * (q2 - area**2)) / (n * m)
    reach = normal_quantile(0.975) * max(variance, 0.0) ** 0.5
    return Interval(
        value=area,
        low=max(0.0, area - reach),
        high=min(1.0, area + reach),
        count=n + m,
        method="Hanley and McNeil",
    )
