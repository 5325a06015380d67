"""Whether probabilities mean what they say: temperature, reliability, calibration error, Brier score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = [
    "LARGEST_TEMPERATURE",
    "SMALLEST_TEMPERATURE",
    "Bins",
    "brier_scores",
    "calibration_error",
    "equal_mass",
    "equal_width",
    "fit_temperature",
    "scaled",
]

SMALLEST_TEMPERATURE, LARGEST_TEMPERATURE = 0.05, 20.0
"""Beyond these a temperature says that there was too little to fit it to."""

SMALLEST = float(np.finfo(np.float32).tiny)
"""Stands for a probability of 0, whose logarithm is none."""

ROWS = 8192
"""Images looked at together."""

HALVINGS = 60
"""Past the last bit of what is kept of a temperature."""


class Bins(NamedTuple):
    """Images sorted into bins by their confidence."""

    codes: np.ndarray
    """(N,) int, the bin of each image."""
    edges: np.ndarray
    """(B + 1,) confidences, rising."""


def scaled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns probabilities at a temperature, (N, C): p^(1/T), divided by their sum.

    At 1 nothing changes, to the last bit. The order of the classes of an image never changes.

    Args:
        probabilities: (N, C).
        temperature: above 1 they move towards each other, below 1 apart.

    Source: Guo, Pleiss, Sun and Weinberger, On calibration of modern neural networks, 2017, sec. 4.2;
        softmax(z / T) of the logits z is the same as this of softmax(z).
    """
    if temperature == 1:
        return probabilities
    logs = _logs(probabilities) / temperature
    powers = np.exp(logs - logs.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the temperature at which the log loss is least.

    The log loss is convex in b = 1/T; its slope, the mean of Σ p·z − z of the right class, is halved down.

    Args:
        labels: (N,) int, at least one.
        probabilities: (N, C) as the model gives them.

    Source: Guo and others, 2017; the slope of a softmax's log loss.
    """
    low, high = 1 / LARGEST_TEMPERATURE, 1 / SMALLEST_TEMPERATURE
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _slope(labels, probabilities, middle) < 0:
            low = middle
        else:
            high = middle
    return round(2 / (low + high), 4)


def equal_width(confidences: np.ndarray, bins: int) -> Bins:
    """Sorts images into bins that are equally wide, from 0 to 1; a bin holds its upper edge.

    Source: Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning,
        2015.
    """
    edges = np.linspace(0, 1, bins + 1)
    return Bins(np.clip(np.ceil(confidences * bins).astype(np.int64) - 1, 0, bins - 1), edges)


def equal_mass(confidences: np.ndarray, bins: int) -> Bins:
    """Sorts images into bins of equally many images; equal confidences stay together.

    Source: Nguyen and O'Connor, Posterior calibration and exploratory analysis, 2015 (adaptive bins).
    """
    ranked = np.sort(confidences)
    cuts = ranked[[len(ranked) * place // bins for place in range(1, bins)]]
    inner = np.unique(cuts[(cuts > ranked[0])])
    codes = np.searchsorted(inner, confidences, side="right")
    return Bins(codes, np.concatenate([ranked[:1], inner, ranked[-1:]]))


def calibration_error(counts: np.ndarray, right: np.ndarray, confidence: np.ndarray) -> np.ndarray:
    """Returns Σ (nᵇ/N)·|accuracyᵇ − confidenceᵇ| over the bins, (…).

    Args:
        counts: (…, B) images in each bin.
        right: (…, B) right answers among them.
        confidence: (…, B) sum of their confidences.

    Source: Guo and others, 2017, eq. 3.
    """
    return np.abs(right - confidence).sum(axis=-1) / counts.sum(axis=-1)


def brier_scores(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Returns Σ (probability − 1 for the right class, 0 for others)² per image, (N,), from 0 to 2.

    Source: Brier, Verification of forecasts expressed in terms of probability, 1950.
    """
    found = np.empty(len(labels))
    for start in range(0, len(labels), ROWS):
        part = slice(start, start + ROWS)
        rows = probabilities[part].astype(np.float64)
        own = np.take_along_axis(rows, labels[part, None], axis=1)[:, 0]
        found[part] = (rows**2).sum(axis=1) - 2 * own + 1
    return found


def _slope(labels: np.ndarray, probabilities: np.ndarray, b: float) -> float:
    total = 0.0
    for start in range(0, len(labels), ROWS):
        part = slice(start, start + ROWS)
        z = _logs(probabilities[part])
        powers = np.exp(b * (z - z.max(axis=1, keepdims=True)))
        mean = (powers * z).sum(axis=1) / powers.sum(axis=1)
        total += float((mean - np.take_along_axis(z, labels[part, None], axis=1)[:, 0]).sum())
    return total


def _logs(probabilities: np.ndarray) -> np.ndarray:
    return np.log(np.maximum(probabilities, SMALLEST).astype(np.float64))
