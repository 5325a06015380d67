"""How often one thing is ahead of another."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from darkroom.statistics import (
    bootstrap_interval,
    clones_ahead,
    drawn_means,
    spread,
    undivided,
    welch_reach,
)

NORMAL = np.random.default_rng(0).normal


def ahead(first, second, noise=0.0, draws=400, seed=1):
    generator = np.random.default_rng(seed)
    first, second = np.asarray(first, float), np.asarray(second, float)
    shift = generator.normal(0, noise, draws)
    moved = [
        one[:, None] + shift + generator.normal(0, noise, (len(one), draws)) for one in (first, second)
    ]
    return clones_ahead(first, second, *moved, count=100)


def test_the_chance_is_the_share_of_pairs_as_mann_and_whitney_count_them():
    first, second = NORMAL(0.92, 0.01, 6), NORMAL(0.91, 0.01, 5)
    found = ahead(first, second, noise=0.01)
    expected = mannwhitneyu(first, second).statistic / 30
    assert found.value == pytest.approx(expected)
    assert found.low < found.value < found.high


def test_equal_figures_count_half():
    assert ahead([0.9, 0.9], [0.9, 0.9]).value == 0.5


def test_clones_far_apart_leave_no_doubt_and_alike_ones_do():
    far = ahead(NORMAL(0.95, 0.001, 8), NORMAL(0.9, 0.001, 8), noise=0.001)
    alike = ahead(NORMAL(0.9, 0.01, 8), NORMAL(0.9, 0.01, 8), noise=0.01)
    assert far.low > 0.6  # Wilson of 8 of 8: eight clones prove no more
    assert alike.low < 0.5 < alike.high


def test_where_no_draw_differs_few_clones_still_prove_little():
    found = ahead([0.95, 0.96], [0.90, 0.91])
    assert found.value == 1.0
    assert found.low < 0.5  # two clones each: Wilson of 2 of 2


def test_drawn_means_are_the_same_draws_for_all_models_and_spread_as_the_bootstrap():
    right = (np.random.default_rng(3).random((2, 300)) < [[0.9], [0.8]]).astype(float)
    drawn = drawn_means(right, draws=4000)
    alone = bootstrap_interval(right[0], draws=4000)
    assert np.quantile(drawn[0], [0.025, 0.975]) == pytest.approx([alone.low, alone.high], abs=0.004)
    twice = drawn_means(np.stack([right[0], right[0]]), draws=100)
    assert np.array_equal(twice[0], twice[1])


def test_groups_are_drawn_whole():
    right = np.repeat(np.random.default_rng(4).random((1, 20)) < 0.7, 10, axis=1).astype(float)
    groups = [f"g{place // 10}" for place in range(200)]
    assert drawn_means(right, groups, draws=500).std() > 2 * drawn_means(right, draws=500).std()


def test_other_seeds_move_a_difference_as_welch_says():
    first, second = [0.90, 0.92, 0.94], [0.91, 0.91, 0.97]
    a, b = spread(first).sd, spread(second).sd
    expected = (a**2 / 3 + b**2 / 3) ** 0.5
    assert 2 * expected < welch_reach(first, second, 0.95) < 5 * expected
    assert welch_reach([0.9], second, 0.95) == float("inf")
    assert welch_reach([0.9, 0.9], [0.8, 0.8], 0.95) == 0


def test_an_undivided_difference_reaches_less_far_with_more_images():
    few, many = undivided(0.0, 10, 10, 0.95), undivided(0.0, 1000, 1000, 0.95)
    assert few.high > 0.2 > 0.01 > many.high > 0
