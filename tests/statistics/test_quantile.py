"""Quantiles against scipy."""

import pytest

from darkroom.statistics import normal_quantile, t_quantile

stats = pytest.importorskip("scipy.stats", reason="scipy comes with the extra [digits]")


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 29, 200, 5000])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_t_quantile_equals_scipys(freedom, level):
    assert t_quantile(level, freedom) == pytest.approx(stats.t.ppf((1 + level) / 2, freedom), rel=1e-9)


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.99])
def test_normal_quantile_equals_scipys(level):
    assert normal_quantile(level) == pytest.approx(stats.norm.ppf((1 + level) / 2), rel=1e-9)
