"""Choose the threshold so that pictures like the held-out ones are rarely called different."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from darkroom.domain.answer import Used
from darkroom.domain.sketch import Calibration, worst_case
from darkroom.records import Interval
from darkroom.statistics import beta_quantile, group_codes

__all__ = ["calibrate"]

LEVEL = 0.95


def calibrate(
    largest: NDArray[np.float64],
    *,
    rate: float,
    properties: int,
    used: Used,
    groups: Sequence[str | None] | None = None,
) -> Calibration:
    """Chooses the threshold on the largest scores of held-out pictures.

    A new picture that is drawn like the n held-out ones is equally likely to take each of the n + 1 places
    among them; so the share of false alarms, over many such choices, is at most `rate`, whatever the scores
    mean. For one choice it follows a beta distribution, whose quantiles are the interval.

    Source: Vovk, Gammerman and Shafer, Algorithmic Learning in a Random World, 2005, ch. 2; for one choice:
        Vovk, Conditional validity of inductive conformal predictors, 2012.

    Args:
        largest: (n,) the largest score of each held-out picture.
        rate: share of false alarms that is asked for.
        properties: how many properties were scored.
        used: what the scores rest on.
        groups: of the held-out pictures; those of one group do not count as several.
    """
    count = len(largest)
    place = math.ceil((count + 1) * (1 - rate))
    if place <= count:
        threshold = float(np.sort(largest)[place - 1])
    else:  # so few pictures say nothing of so small a rate: none of them is called different
        place = count
        threshold = max(float(largest.max(initial=0.0)), worst_case(max(properties, 1), rate))
    kept = max(rate, (count + 1 - place) / (count + 1))
    return Calibration(
        used=used,
        threshold=threshold,
        rate=kept,
        expected=_expected(place, count, groups),
        images=count,
    )


def _expected(place: int, count: int, groups: Sequence[str | None] | None) -> Interval:
    codes, _ = group_codes(groups, count) if count else (None, "")
    units = count if codes is None else int(codes.max()) + 1
    above = (count + 1 - place) * (units + 1) / (count + 1)
    below = units + 1 - above
    low, high = (beta_quantile(share, above, below) for share in ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Interval(
        value=above / (units + 1), low=low, high=high, level=LEVEL, count=count, method="conformal"
    )
