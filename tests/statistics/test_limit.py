"""Figures against limits."""

import pytest

from darkroom.records import Interval
from darkroom.statistics import against_limit


@pytest.mark.parametrize(
    ("low", "high", "standing"),
    [(0.91, 0.97, "pass"), (0.9, 0.97, "pass"), (0.85, 0.95, "not enough evidence"), (0.8, 0.89, "fail")],
)
def test_only_a_whole_interval_decides(low, high, standing):
    assert against_limit(Interval(value=(low + high) / 2, low=low, high=high), 0.9) == standing
