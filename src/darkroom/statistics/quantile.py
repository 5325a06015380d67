"""Quantiles of the normal, of Student's t and of the beta distribution, without scipy."""

from __future__ import annotations

import math
from statistics import NormalDist

__all__ = ["beta_quantile", "normal_quantile", "t_quantile", "t_two_sided"]


def normal_quantile(level: float) -> float:
    """Returns the half-width, in standard deviations, of the central interval that holds `level`."""
    return NormalDist().inv_cdf((1 + level) / 2)


def t_quantile(level: float, freedom: int) -> float:
    """Returns the half-width of the central interval of Student's t that holds `level`.

    Args:
        level: share inside, between 0 and 1.
        freedom: degrees of freedom, from 1 on.
    """
    low, high = 0.0, 1.0
    while _central_share(high, freedom) < level:
        high *= 2
    for _ in range(200):  # halving past the last bit of a double
        middle = (low + high) / 2
        if _central_share(middle, freedom) < level:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def t_two_sided(t: float, freedom: int) -> float:
    """Returns the chance that Student's t lies at least as far from 0, on either side."""
    return 1 - _central_share(t, freedom)


def beta_quantile(share: float, a: float, b: float) -> float:
    """Returns the value below which a share of the beta distribution lies.

    Args:
        share: between 0 and 1.
        a: above 0.
        b: above 0.
    """
    low, high = 0.0, 1.0
    for _ in range(60):  # halving past the last bit of a double near 1
        middle = (low + high) / 2
        if _incomplete_beta(middle, a, b) < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _central_share(t: float, freedom: int) -> float:
    """Returns P(|T| ≤ t). Source: Abramowitz and Stegun, 26.7.1."""
    return 1 - _incomplete_beta(freedom / (freedom + t * t), freedom / 2, 0.5)


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """Returns the regularised incomplete beta function. Source: DLMF 8.17.22 and 8.17.4."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(1 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    front = math.exp(scale + a * math.log(x) + b * math.log1p(-x)) / a
    return front * _continued_fraction(x, a, b)


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Evaluates the fraction of DLMF 8.17.22 by Lentz's method."""
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    result = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        before = result
        for term in (even, odd):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            result *= c * d
        if abs(result - before) <= 1e-16 * abs(result):
            break
    return result
