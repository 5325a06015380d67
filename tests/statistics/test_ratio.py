"""The interval of a ratio: Wilson where nothing can differ, by group where there are groups."""

import numpy as np
import pytest

from darkroom.statistics import bootstrap_interval, ratio_interval, wilson


def test_of_all_images_it_is_the_interval_of_a_share():
    right = np.arange(300) % 10 < 7
    found = ratio_interval(right, np.ones(300, bool), draws=4000)
    expected = bootstrap_interval(right, draws=4000)
    assert found is not None
    assert (found.value, found.count) == (0.7, 300)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.01)


def test_nothing_below_is_not_defined_and_a_full_share_is_wilsons():
    none = np.zeros(10, bool)
    assert ratio_interval(none, none) is None
    below = np.arange(40) < 30
    assert ratio_interval(below, below) == wilson(30, 30)


def test_groups_make_it_wider():
    generator = np.random.default_rng(0)
    codes = np.repeat(np.arange(20), 30)
    right = generator.random(600) < generator.random(20)[codes]
    below = generator.random(600) < 0.8
    alone = ratio_interval(right & below, below)
    grouped = ratio_interval(right & below, below, [f"g{code}" for code in codes])
    assert alone is not None
    assert grouped is not None
    assert grouped.value == alone.value
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)
    assert grouped.method == "bootstrap by group"
