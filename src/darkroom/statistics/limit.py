"""Hold a figure against a limit: an interval can pass, fail, or leave the question open."""

from __future__ import annotations

import math
from typing import Literal

from darkroom.records import Interval

__all__ = ["Standing", "against_limit", "images_to_settle"]

Standing = Literal["pass", "fail", "not enough evidence"]
"""What an interval says about a limit."""

ON_THE_LIMIT = 1e-9
"""A figure closer to the limit than this lies on it: what is left is rounding."""

ALLOWANCE = 1.15
"""Images on top, as a factor: the ends of an interval from 10,000 draws move by 1.4 % of its half (one
standard deviation), those of few images by whole images, and the number follows the square of the width."""


def against_limit(figure: Interval, limit: float, *, at_most: bool = False) -> Standing:
    """Says whether a figure is on the right side of a limit.

    Args:
        figure: the figure with its interval.
        limit: passes when the whole interval is at least this, fails when none of it is.
        at_most: the limit is the largest figure that holds, not the smallest.
    """
    low, high = (-figure.high, -figure.low) if at_most else (figure.low, figure.high)
    limit = -limit if at_most else limit
    if low >= limit:
        return "pass"
    return "fail" if high < limit else "not enough evidence"


def images_to_settle(figure: Interval, limit: float, *, step: float = 1.0) -> int | None:
    """Estimates how many more images would take the limit out of the interval, if the figure stays.

    With v the figure, L the limit, e the end of the interval that lies beyond the limit and n the images:

    * an interval from draws narrows with 1/√n: N = n·(w / (v − L))², where w is |v − e|, or half the width
      where that is more (a lopsided interval evens out as it narrows); and 2·step / |v − L| on top, since a
      figure moves in steps of step/N
    * Wilson's end e is where (v − e)² = z²·e(1 − e)/u for u units, so N/n is the ratio of
      L(1 − L) / (v − L)² to e(1 − e) / (v − e)²

    Both are raised by 15 %. With groups the further images are expected to come in groups of the same size.

    Args:
        figure: the figure with its interval and the number of images that it rests on.
        limit: the limit.
        step: by how much one image can move the sum over the images: 1 for a share.

    Returns:
        How many more; 0 when the interval does not hold the limit; None when the figure lies on the limit,
        so that no number settles it.

    Source: Efron and Tibshirani, 1993, ch. 6 (a standard error falls with 1/√n); Wilson, 1927, solved for
        n; the step is a continuity correction, as in Fleiss, Levin and Paik, Statistical Methods for Rates
        and Proportions, 2003, ch. 2.
    """
    if not figure.low <= limit <= figure.high:
        return 0
    value, limit = figure.value / step, limit / step
    distance = abs(value - limit)
    if distance <= ON_THE_LIMIT:
        return None
    end = (figure.low if value > limit else figure.high) / step
    if figure.method.startswith("wilson"):
        beyond = end * (1 - end) / (value - end) ** 2
        ratio, steps = limit * (1 - limit) / distance**2 / beyond if beyond else 1.0, 0.0
    else:
        half = max(abs(value - end), (figure.high - figure.low) / step / 2)
        ratio, steps = (half / distance) ** 2, 2 / distance
    needed = (figure.count * ratio + steps) * ALLOWANCE
    return max(1, math.ceil(needed) - figure.count)
