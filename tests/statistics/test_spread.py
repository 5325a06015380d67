"""Spread over clones."""

import pytest

from darkroom.errors import Invalid
from darkroom.statistics import spread

VALUES = [0.95, 0.97, 0.96, 0.91, 0.99]


def test_spread_equals_scipys_t_interval():
    stats = pytest.importorskip("scipy.stats", reason="scipy comes with the extra [digits]")
    expected = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    found = spread(VALUES)
    assert found.interval is not None
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(expected), rel=1e-9)
    assert found.sd == pytest.approx(stats.tstd(VALUES))
    assert (found.min, found.max, found.values) == (0.91, 0.99, tuple(VALUES))


def test_one_clone_shows_no_spread():
    found = spread([0.9])
    assert (found.mean, found.sd, found.interval) == (0.9, None, None)


def test_no_clone_is_refused():
    with pytest.raises(Invalid):
        spread([])
