"""Intervals, paired comparison, spread over seeds: what makes a number honest."""

from darkroom.statistics.bootstrap import (
    bootstrap_interval,
    drawn_share_interval,
    group_codes,
    paired_difference,
    percentile_interval,
    resampled_counts,
)
from darkroom.statistics.interval import wilson
from darkroom.statistics.limit import Standing, against_limit, images_to_settle
from darkroom.statistics.looks import fisher_two_sided, grouped_two_sided, holm
from darkroom.statistics.quantile import beta_quantile, normal_quantile, t_quantile, t_two_sided
from darkroom.statistics.ratio import ratio_interval
from darkroom.statistics.spread import spread
from darkroom.statistics.superiority import around_both, clones_ahead, drawn_means, undivided, welch_reach

__all__ = [
    "Standing",
    "against_limit",
    "around_both",
    "beta_quantile",
    "bootstrap_interval",
    "clones_ahead",
    "drawn_means",
    "drawn_share_interval",
    "fisher_two_sided",
    "group_codes",
    "grouped_two_sided",
    "holm",
    "images_to_settle",
    "normal_quantile",
    "paired_difference",
    "percentile_interval",
    "ratio_interval",
    "resampled_counts",
    "spread",
    "t_quantile",
    "t_two_sided",
    "undivided",
    "welch_reach",
    "wilson",
]
