"""Measure whether a classifier's probabilities mean what they say, with intervals."""

from __future__ import annotations

import numpy as np

from darkroom.evaluation.findings import Calibration, CalibrationFigures, ReliabilityBin
from darkroom.records import Interval
from darkroom.statistics import (
    bootstrap_interval,
    group_codes,
    percentile_interval,
    resampled_counts,
)
from darkroom.statistics.bootstrap import Groups
from darkroom.tasks.calibration import (
    Bins,
    brier_scores,
    calibration_error,
    equal_mass,
    equal_width,
    scaled,
)
from darkroom.tasks.classification import log_losses

__all__ = ["BINS", "measure_calibration"]

BINS = 15
"""Source: Guo and others, On calibration of modern neural networks, 2017."""

FEWEST_IN_A_BIN = 10
"""With fewer images a bin of equal mass says nothing."""

DRAWS = 1000
"""Draws of these intervals."""

ROWS = 65_536
"""Images scaled together."""


def measure_calibration(
    labels: np.ndarray,
    probabilities: np.ndarray,
    groups: Groups = None,
    *,
    temperature: float = 1.0,
    level: float = 0.95,
    draws: int = DRAWS,
    seed: int = 0,
) -> Calibration:
    """Returns calibration as the model answers, and at a temperature where that is another than 1.

    Args:
        labels: (N,) int, index of the right class.
        probabilities: (N, C) float, as the model gives them.
        groups: images of one group are drawn together.
        temperature: fitted on other images than these.
        level: share of the intervals that hold the true figure.
        draws: how many times the images are drawn, at most.
        seed: the same seed gives the same intervals.
    """
    settings = _Settings(groups, level, min(draws, DRAWS), seed)
    before = _figures(labels, probabilities, 1.0, settings)
    if temperature == 1:
        return Calibration(before=before)
    return Calibration(before=before, after=_figures(labels, probabilities, temperature, settings))


class _Settings:
    def __init__(self, groups: Groups, level: float, draws: int, seed: int) -> None:
        self.groups, self.level, self.draws, self.seed = groups, level, draws, seed

    def mean(self, values: np.ndarray, *, yes_or_no: bool = False) -> Interval:
        return bootstrap_interval(
            values, self.groups, level=self.level, draws=self.draws, seed=self.seed, yes_or_no=yes_or_no
        )


def _figures(
    labels: np.ndarray, probabilities: np.ndarray, temperature: float, settings: _Settings
) -> CalibrationFigures:
    confidences, right, brier, losses = _per_image(labels, probabilities, temperature)
    mass = equal_mass(confidences, min(BINS, max(1, len(labels) // FEWEST_IN_A_BIN)))
    width = equal_width(confidences, BINS)
    return CalibrationFigures(
        temperature=temperature,
        ece_equal_mass=_error(mass, confidences, right, settings),
        ece_equal_width=_error(width, confidences, right, settings),
        brier=settings.mean(brier),
        log_loss=settings.mean(losses),
        bins=_table(mass, confidences, right, settings),
    )


def _per_image(
    labels: np.ndarray, probabilities: np.ndarray, temperature: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns confidence, whether the answer is right, Brier score and log loss of each image, (N,)."""
    parts = []
    for start in range(0, len(labels), ROWS):
        part = slice(start, start + ROWS)
        rows, truth = np.asarray(probabilities[part]), labels[part]
        answers, at = rows.argmax(axis=1), scaled(rows, temperature)
        confidences = np.take_along_axis(at, answers[:, None], axis=1)[:, 0].astype(np.float64)
        parts.append((confidences, answers == truth, brier_scores(truth, at), log_losses(truth, at)))
    first, second, third, fourth = (np.concatenate(part) for part in zip(*parts, strict=True))
    return np.clip(first, 0, 1), second, third, fourth


def _error(bins: Bins, confidences: np.ndarray, right: np.ndarray, settings: _Settings) -> Interval:
    """Returns the calibration error; draws, which come out larger on average, are shifted to the figure.

    Source: the bootstrap estimate of bias, Efron and Tibshirani, 1993, ch. 10; that drawing inflates the
        error: Kumar, Liang and Ma, Verified uncertainty calibration, 2019.
    """
    count = len(bins.edges) - 1
    totals = _totals(bins, confidences, right, settings)
    value = float(
        calibration_error(
            np.bincount(bins.codes, minlength=count),
            np.bincount(bins.codes, right, minlength=count),
            np.bincount(bins.codes, confidences, minlength=count),
        )
    )
    drawn = np.concatenate([calibration_error(*one) for one in totals])
    _, method = group_codes(settings.groups, len(right))
    shifted = np.clip(drawn + value - drawn.mean(), 0, 1)
    return percentile_interval(value, shifted, level=settings.level, count=len(right), method=method)


def _totals(bins: Bins, confidences: np.ndarray, right: np.ndarray, settings: _Settings):
    """Yields images, right answers and confidence of each bin, three times (some draws, B)."""
    count = len(bins.edges) - 1
    codes, _ = group_codes(settings.groups, len(right))
    key = bins.codes * 2 + right if codes is None else codes * count + bins.codes
    cells = 2 * count if codes is None else (int(codes.max()) + 1) * count
    images = np.bincount(key, minlength=cells)
    sums = np.bincount(key, confidences, minlength=cells)
    if codes is None:  # images of one bin, right or wrong, look alike: their mean stands for each
        means = np.divide(sums, images, out=np.zeros(cells), where=images > 0)
        for drawn in resampled_counts(images, draws=settings.draws, seed=settings.seed):
            found = (drawn * means).reshape(len(drawn), count, 2).sum(axis=2)
            pairs = drawn.reshape(len(drawn), count, 2)
            yield pairs.sum(axis=2), pairs[:, :, 1], found
        return
    hits = np.bincount(key, right, minlength=cells)
    tables = [part.reshape(-1, count).astype(np.float64) for part in (images, hits, sums)]
    units = np.ones(len(tables[0]), np.int64)
    for drawn in resampled_counts(units, draws=settings.draws, seed=settings.seed):
        yield tuple(drawn @ table for table in tables)


def _table(
    bins: Bins, confidences: np.ndarray, right: np.ndarray, settings: _Settings
) -> tuple[ReliabilityBin, ...]:
    rows = []
    for place in range(len(bins.edges) - 1):
        inside = bins.codes == place
        if not inside.any():
            continue
        mine = confidences[inside]
        groups = settings.groups
        own = None if groups is None else [groups[at] for at in np.flatnonzero(inside).tolist()]
        accuracy = bootstrap_interval(
            right[inside], own, level=settings.level, draws=settings.draws, seed=settings.seed
        )
        rows.append(
            ReliabilityBin(
                low=float(mine.min()),
                high=float(mine.max()),
                count=len(mine),
                confidence=float(mine.mean()),
                accuracy=accuracy,
            )
        )
    return tuple(rows)
