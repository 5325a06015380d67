"""The interval of a ratio of two sums over images, such as right answers over answers given."""

from __future__ import annotations

import numpy as np

from darkroom.records import Interval
from darkroom.statistics.bootstrap import Groups, group_codes, percentile_interval, resampled_counts
from darkroom.statistics.interval import wilson

__all__ = ["ratio_interval"]


def ratio_interval(
    above: np.ndarray,
    below: np.ndarray,
    groups: Groups = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval | None:
    """Returns sum(above) / sum(below) with its percentile interval; None where nothing lies below.

    Where all, or none, of what lies below counts above, no draw can differ; Wilson's interval stands in.

    Args:
        above: (N,) bool, the images that count above; each of them counts below too.
        below: (N,) bool, the images that count below.
        groups: images of one group are drawn together.
        level: share of such intervals that hold the true ratio.
        draws: how many times to draw.
        seed: the same seed gives the same interval.

    Source: as `bootstrap_interval`; a draw's ratio is the ratio of its sums.
    """
    count, hits = int(below.sum()), int(above.sum())
    if count == 0:
        return None
    codes, method = group_codes(groups, len(below))
    units = count if codes is None else len(np.unique(codes[below]))
    if hits in (0, count) or units == 1:
        share = wilson(hits / count * units, units, level=level)
        return share.model_copy(update={"count": count})
    if codes is None:
        sizes = np.array([len(below) - count, count - hits, hits])
        tops, bottoms = np.array([0, 0, 1]), np.array([0, 1, 1])
    else:
        sizes = np.ones(int(codes.max()) + 1, np.int64)
        tops, bottoms = np.bincount(codes, weights=above), np.bincount(codes, weights=below)
    drawn = [
        np.divide(
            counts @ tops, counts @ bottoms, out=np.full(len(counts), np.nan), where=counts @ bottoms > 0
        )
        for counts in resampled_counts(sizes, draws=draws, seed=seed)
    ]
    return percentile_interval(hits / count, np.concatenate(drawn), level=level, count=count, method=method)
