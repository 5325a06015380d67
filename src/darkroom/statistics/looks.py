"""Many looks at the same images: p-values of single comparisons, and what is left of them together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from darkroom.statistics.quantile import t_two_sided

__all__ = ["fisher_two_sided", "grouped_two_sided", "holm"]

AS_LIKELY = 1 + 1e-7
"""Tables that are as likely as the one seen but for rounding count as no more likely. Source: R,
`fisher.test`."""


def holm(p_values: Sequence[float]) -> tuple[float, ...]:
    """Returns p-values that may be held against a level as if each were the only one.

    The chance of calling out even one that shows nothing stays below the level, however the comparisons
    depend on each other.

    Source: Holm, A simple sequentially rejective multiple test procedure, 1979.
    """
    count, largest = len(p_values), 0.0
    adjusted = [0.0] * count
    for rank, place in enumerate(sorted(range(count), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (count - rank) * p_values[place]))
        adjusted[place] = largest
    return tuple(adjusted)


def fisher_two_sided(hits: int, count: int, other_hits: int, other_count: int) -> float:
    """Returns how likely two shares differ at least as much, if chance alone tells the two sets apart.

    Args:
        hits: of the first set.
        count: images of the first set.
        other_hits: of the second set.
        other_count: images of the second set.

    Source: Fisher, The logic of inductive inference, 1935: the hypergeometric distribution of the hits; all
        tables that are no more likely than the one seen are added up, as scipy.stats.fisher_exact does.
    """
    total, all_hits = count + other_count, hits + other_hits
    low, high = max(0, all_hits - other_count), min(count, all_hits)
    facts = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])  # ln(n!)
    k = np.arange(low, high + 1)
    log_chance = (
        (facts[count] - facts[k] - facts[count - k])
        + (facts[other_count] - facts[all_hits - k] - facts[other_count - all_hits + k])
        - (facts[total] - facts[all_hits] - facts[total - all_hits])
    )
    chance = np.exp(log_chance)
    return float(min(1.0, chance[chance <= chance[hits - low] * AS_LIKELY].sum()))


def grouped_two_sided(values: np.ndarray, inside: np.ndarray, codes: np.ndarray) -> float:
    """Returns how likely two means differ at least as much by chance, where images come in groups.

    The difference over its standard error under "no difference", with the residuals summed by group first,
    is held against Student's t.

    Args:
        values: (N,) one per image.
        inside: (N,) bool, the images of the first set; both sets need one.
        codes: (N,) int, the group of each image, numbered from 0.

    Source: Liang and Zeger, Longitudinal data analysis using generalized linear models, 1986 (residuals
        summed by cluster); Cameron and Miller, A practitioner's guide to cluster-robust inference, 2015
        (the factor G / (G − 1), and t with one less than the number of clusters).
    """
    values = np.asarray(values, np.float64)
    shares = np.where(inside, 1 / inside.sum(), -1 / (~inside).sum())
    difference = float((values * shares).sum())
    by_group = np.bincount(codes, weights=(values - values.mean()) * shares)
    touched = min(len(np.unique(codes[inside])), len(np.unique(codes[~inside])))
    groups = len(by_group)
    variance = float((by_group**2).sum()) * groups / max(1, groups - 1)
    if variance <= 0 or touched < 2:
        return 1.0
    return t_two_sided(abs(difference) / variance**0.5, touched - 1)
