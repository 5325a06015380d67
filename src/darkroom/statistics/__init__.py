"""Intervals, paired comparison, spread over seeds: what makes a number honest."""

from darkroom.statistics.bootstrap import (
    bootstrap_interval,
    group_codes,
    paired_difference,
    percentile_interval,
    resampled_counts,
)
from darkroom.statistics.interval import wilson
from darkroom.statistics.limit import Standing, against_limit, images_to_settle
from darkroom.statistics.quantile import normal_quantile, t_quantile
from darkroom.statistics.spread import spread

__all__ = [
    "Standing",
    "against_limit",
    "bootstrap_interval",
    "group_codes",
    "images_to_settle",
    "normal_quantile",
    "paired_difference",
    "percentile_interval",
    "resampled_counts",
    "spread",
    "t_quantile",
    "wilson",
]
