"""Bootstrap intervals: draw images (or whole groups of them) with replacement, thousands of times.

A draw is not a list of images but a vector of counts: how often each unit was drawn. Units that look
alike are counted together, so that 10,000 images cost as much as there are kinds of answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from darkroom.errors import Invalid
from darkroom.records import Interval
from darkroom.statistics.interval import wilson

__all__ = [
    "Groups",
    "drawn_share_interval",
    "bootstrap_interval",
    "group_codes",
    "paired_difference",
    "percentile_interval",
    "resampled_counts",
]

Groups: TypeAlias = "Sequence[str | None] | np.ndarray | None"
"""A name per image; an image without one stands alone."""

CHUNK_CELLS = 2_000_000
"""Counts held at a time: 16 MB."""

MANY_VALUES = 5000
"""From more different values on they are drawn by strata: what a draw costs no longer grows with them."""

STRATA = 64
"""Strata of neighbouring values, of equally many each."""


def bootstrap_interval(
    values: Sequence[float] | np.ndarray,
    groups: Groups = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
    yes_or_no: bool = True,
) -> Interval:
    """Returns the mean of one value per image with its percentile interval.

    Where all answers are alike no draw can differ. Wilson's interval stands in where all are yes or all no.
    For a share in between it reaches as far as if the images that Wilson's "0 of N" leaves unseen were all
    no, or all yes.

    Args:
        values: (N,) one per image, for example 1 for a right answer and 0 for a wrong one.
        groups: images of one group are drawn together.
        level: share of such intervals that hold the true mean.
        draws: how many times to draw.
        seed: the same seed gives the same interval.
        yes_or_no: whether values are such answers, or shares from 0 to 1 of them; false for losses.

    Raises:
        Invalid: there are no values, or not as many groups as values.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13; drawing whole groups:
        Davison and Hinkley, Bootstrap Methods and their Application, 1997, sec. 3.8. With more than
        `MANY_VALUES` different values, or groups, as `_stratified`.
    """
    figures = np.asarray(values, dtype=np.float64)
    if figures.size == 0:
        raise Invalid("statistics.no-values", "An interval needs at least one value. Received: none.")
    codes, method = group_codes(groups, figures.size)
    if yes_or_no and np.all(figures == figures[0]) and 0 <= figures[0] <= 1:
        units = figures.size if codes is None else int(codes.max()) + 1
        stand_in = _all_alike(float(figures[0]), units, level)
        return stand_in.model_copy(update={"count": figures.size})
    means = np.concatenate(list(_means(figures, codes, draws, seed)))
    return percentile_interval(float(figures.mean()), means, level=level, count=figures.size, method=method)


def paired_difference(
    a: Sequence[float] | np.ndarray,
    b: Sequence[float] | np.ndarray,
    groups: Groups = None,
    *,
    level: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Returns mean(a − b) with its interval; each image is drawn with both of its values.

    Where right answers (0 or 1) are compared and no image tells the two apart, no draw can differ; the
    interval then reaches as far as Wilson's for "0 of N images".

    Args:
        a: (N,) one value per image.
        b: (N,) of the same images, in the same order.
        groups: images of one group are drawn together.
        level: share of such intervals that hold the true difference.
        draws: how many times to draw.
        seed: the same seed gives the same interval.

    Raises:
        Invalid: the two do not have the same length, or none.
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.shape != second.shape:
        raise Invalid(
            "statistics.not-paired",
            "A paired difference needs as many values on both sides. Received: {first} and {second}.",
            first=first.size,
            second=second.size,
        )
    difference = first - second
    if difference.size and np.all(difference == difference[0]) and _are_answers(first, second):
        return _undivided(difference, groups, level)
    return bootstrap_interval(difference, groups, level=level, draws=draws, seed=seed, yes_or_no=False)


def _all_alike(value: float, units: int, level: float) -> Interval:
    """Returns the interval of a share that was the same in all of some units."""
    if value in (0.0, 1.0):
        return wilson(value * units, units, level=level)
    unseen = wilson(0, units, level=level).high
    ends = {"low": value * (1 - unseen), "high": value + unseen * (1 - value)}
    return Interval(value=value, **ends, level=level, count=units, method="bootstrap, all alike")


def group_codes(groups: Groups, count: int) -> tuple[np.ndarray | None, str]:
    """Returns a number (N,) per image that says which images are drawn together, and the method's name.

    None stands for "each image alone": there are no groups, or all images lie in one and nothing could
    be drawn but the same images again.

    Raises:
        Invalid: there are not as many groups as images.
    """
    if groups is None:
        return None, "bootstrap"
    if len(groups) != count:
        raise Invalid(
            "statistics.groups-do-not-fit",
            "Expected one group per image, {count}. Received: {groups}.",
            count=count,
            groups=len(groups),
        )
    names = [f"g{name}" if name else f"i{place}" for place, name in enumerate(groups)]
    _, codes = np.unique(np.asarray(names), return_inverse=True)
    units = int(codes.max()) + 1 if count else 0
    return (None, "bootstrap") if units in (1, count) else (codes.reshape(-1), "bootstrap by group")


def resampled_counts(sizes: np.ndarray, *, draws: int = 2000, seed: int = 0) -> Iterator[np.ndarray]:
    """Draws sum(sizes) units with replacement, `draws` times; yields counts (some draws, M) int64.

    Args:
        sizes: (M,) how many units there are of each kind.
        draws: how many times to draw.
        seed: the same seed gives the same counts.
    """
    generator = np.random.default_rng(seed)
    sizes = np.asarray(sizes, dtype=np.int64)
    total = int(sizes.sum())
    few_kinds = len(sizes) * 8 < total  # a binomial per kind costs about as much as 8 drawn units
    chunk = max(1, CHUNK_CELLS // max(1, len(sizes) if few_kinds else total))
    kinds = None if few_kinds or len(sizes) == total else np.repeat(np.arange(len(sizes)), sizes)
    for start in range(0, draws, chunk):
        rows = min(chunk, draws - start)
        if few_kinds:
            yield generator.multinomial(total, sizes / total, size=rows)
        else:
            yield _counted(generator, rows, total, kinds, len(sizes))


def drawn_share_interval(
    hits: int, count: int, units: int, drawn: np.ndarray, *, level: float, method: str = "bootstrap"
) -> Interval | None:
    """Returns the interval of hits / count; Wilson's where every draw would say the same, None of nothing.

    Args:
        hits: how many of them.
        count: images that the share is of.
        units: images, or groups of them, that are drawn.
        drawn: (draws,) the share in each draw.
        level: share of such intervals that hold the true share.
        method: name of the method.
    """
    if count == 0:
        return None
    if hits in (0, count) or units == 1:
        return wilson(hits / count * units, units, level=level).model_copy(update={"count": count})
    return percentile_interval(hits / count, drawn, level=level, count=count, method=method)


def percentile_interval(
    value: float, drawn: np.ndarray, *, level: float, count: int, method: str = "bootstrap"
) -> Interval:
    """Returns the interval between the outer percentiles of what was drawn; undefined draws are left out.

    Args:
        value: the figure itself.
        drawn: (draws,) the figure in each draw, NaN where a draw does not define it.
        level: share of the draws inside.
        count: how many images the figure rests on.
        method: name of the method.
    """
    defined = drawn[np.isfinite(drawn)]
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2]) if defined.size else (value, value)
    return Interval(
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        level=level,
        count=count,
        method=method,
    )


def _are_answers(first: np.ndarray, second: np.ndarray) -> bool:
    return bool(np.isin(first, (0.0, 1.0)).all() and np.isin(second, (0.0, 1.0)).all())


def _undivided(difference: np.ndarray, groups: Groups, level: float) -> Interval:
    """Returns the interval where all images say the same, so that no draw can differ."""
    codes, _ = group_codes(groups, difference.size)
    units = difference.size if codes is None else int(codes.max()) + 1
    value, reach = float(difference[0]), wilson(0, units, level=level).high
    return Interval(
        value=value,
        low=max(-1.0, value - reach),
        high=min(1.0, value + reach),
        level=level,
        count=difference.size,
        method="wilson",
    )


def _means(figures: np.ndarray, codes: np.ndarray | None, draws: int, seed: int) -> Iterator[np.ndarray]:
    if codes is None:
        kinds, sizes = np.unique(figures, return_counts=True)
        if len(kinds) > MANY_VALUES:
            yield figures.mean() + _stratified(figures - figures.mean(), draws, seed) / figures.size
            return
        for counts in resampled_counts(sizes, draws=draws, seed=seed):
            yield counts @ kinds / figures.size
        return
    sums, images = np.bincount(codes, weights=figures), np.bincount(codes).astype(np.float64)
    if len(sums) > MANY_VALUES:
        mean = figures.mean()
        yield mean + _stratified(sums - mean * images, draws, seed) / figures.size
        return
    for counts in resampled_counts(np.ones(len(sums), np.int64), draws=draws, seed=seed):
        yield (counts @ sums) / (counts @ images)


def _stratified(residuals: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Returns the sum of M residuals drawn with replacement, (draws,), at a cost that M does not decide.

    How many residuals of each stratum a draw holds is drawn exactly; which ones, as a normal number with
    the stratum's mean and variance. Mean and variance over draws are those of drawing one by one. The sum
    of a group's residuals stands for the group; that the images of a draw vary with it is of second order.

    Source: the multinomial law of counts; the central limit theorem within strata of at least 78; the
        linear form of a ratio, Davison and Hinkley, 1997, sec. 2.7.
    """
    generator = np.random.default_rng(seed)
    parts = np.array_split(np.sort(residuals), STRATA)
    means, variances = np.array([(part.mean(), part.var()) for part in parts]).T
    sizes = np.array([len(part) for part in parts])
    counts = generator.multinomial(len(residuals), sizes / len(residuals), size=draws)
    return counts @ means + np.sqrt(counts @ variances) * generator.standard_normal(draws)


def _counted(
    generator: np.random.Generator, rows: int, total: int, kinds: np.ndarray | None, width: int
) -> np.ndarray:
    drawn: Any = generator.integers(0, total, size=(rows, total), dtype=np.uint32)
    places = drawn.astype(np.int64) if kinds is None else kinds[drawn]
    places += np.arange(rows)[:, None] * width
    return np.bincount(places.ravel(), minlength=rows * width).reshape(rows, width)
