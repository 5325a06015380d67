"""Bootstrap intervals: against scipy, by coverage, by group, by seed."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.errors import Invalid
from darkroom.statistics import (
    bootstrap_interval,
    group_codes,
    paired_difference,
    percentile_interval,
    resampled_counts,
    wilson,
)


def test_interval_of_a_mean_equals_scipys_bootstrap():
    stats = pytest.importorskip("scipy.stats", reason="scipy comes with the extra [digits]")
    values = np.random.default_rng(1).exponential(size=300)
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=20_000, rng=3)
    found = bootstrap_interval(values, draws=20_000)
    assert found.low == pytest.approx(expected.confidence_interval.low, abs=0.005)
    assert found.high == pytest.approx(expected.confidence_interval.high, abs=0.005)
    assert found.value == pytest.approx(values.mean())
    assert (found.count, found.method) == (300, "bootstrap")


def test_interval_of_a_share_covers_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(5)
    held = 0
    for trial in range(400):
        found = bootstrap_interval(generator.random(200) < 0.8, draws=500, seed=trial)
        held += found.low <= 0.8 <= found.high
    assert 0.91 <= held / 400 <= 0.98


def test_groups_that_go_wrong_together_widen_the_interval():
    generator = np.random.default_rng(2)
    by_group = generator.random(40) < 0.7
    values = np.repeat(by_group, 25)
    groups = np.repeat([f"scene-{place}" for place in range(40)], 25)
    alone, together = bootstrap_interval(values), bootstrap_interval(values, groups)
    assert together.method == "bootstrap by group"
    assert (together.high - together.low) > 3 * (alone.high - alone.low)
    forty = bootstrap_interval(by_group.astype(float), draws=20_000)
    assert together.low == pytest.approx(forty.low, abs=0.03)
    assert together.high == pytest.approx(forty.high, abs=0.03)


def test_groups_of_one_image_change_nothing():
    values = np.random.default_rng(3).random(50)
    assert bootstrap_interval(values, [f"g{n}" for n in range(50)]) == bootstrap_interval(values)
    assert bootstrap_interval(values, [None] * 50) == bootstrap_interval(values)


def test_an_image_without_a_group_stands_alone_even_when_named_like_a_place():
    codes, _ = group_codes(["a", None, "a", "", "1", "3"], 6)
    assert codes is not None
    assert codes[0] == codes[2]
    assert len(set(codes.tolist())) == 5


def test_the_same_seed_gives_the_same_interval_and_another_does_not():
    values = np.random.default_rng(4).random(500)
    assert bootstrap_interval(values, seed=7) == bootstrap_interval(values, seed=7)
    assert bootstrap_interval(values, seed=7) != bootstrap_interval(values, seed=8)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_where_no_draw_can_differ_wilson_stands_in(value):
    found = bootstrap_interval([value] * 30)
    expected = wilson(30 * value, 30)
    assert (found.low, found.high, found.method) == (expected.low, expected.high, "wilson")


@given(value=st.floats(0.001, 0.999), count=st.integers(1, 200))
def test_shares_that_are_all_alike_are_no_certainty_either(value, count):
    found, none, all_of_them = (bootstrap_interval([share] * count) for share in (value, 0.0, 1.0))
    assert found.value == value
    assert found.high - found.low == pytest.approx(none.high)
    assert 0 <= found.low < value < found.high <= 1
    assert all_of_them.low + none.high == pytest.approx(1)  # at its ends it is Wilson's


def test_wilson_counts_groups_where_there_are_groups():
    found = bootstrap_interval([1.0] * 30, ["a"] * 15 + ["b"] * 15)
    assert found.low == pytest.approx(wilson(2, 2).low)
    assert found.count == 30


@pytest.mark.parametrize("sizes", [[900, 90, 10], [3, 1, 2, 2], [1] * 50])
def test_every_draw_draws_as_many_units_as_there_are_in_the_right_proportion(sizes):
    counts = np.concatenate(list(resampled_counts(np.array(sizes), draws=4000, seed=1)))
    total = sum(sizes)
    assert counts.shape == (4000, len(sizes))
    assert (counts.sum(axis=1) == total).all()
    shares = np.array(sizes) / total
    assert counts.mean(axis=0) == pytest.approx(np.array(sizes), rel=0.1)
    assert counts.var(axis=0) == pytest.approx(total * shares * (1 - shares), rel=0.15)


def test_2000_draws_of_10000_images_take_less_than_two_seconds():
    values = np.random.default_rng(0).random(10_000)
    begun = time.process_time()
    bootstrap_interval(values, draws=2000)
    assert time.process_time() - begun < 2.0


def test_undefined_draws_are_left_out():
    found = percentile_interval(0.5, np.array([np.nan, 0.4, 0.6, np.nan]), level=0.95, count=4)
    assert 0.4 <= found.low < 0.5 < found.high <= 0.6


def test_paired_difference_is_narrower_than_that_of_two_intervals():
    generator = np.random.default_rng(6)
    hard = generator.random(1000) < 0.2
    a, b = ~hard, ~hard & (generator.random(1000) < 0.97)
    found = paired_difference(a, b)
    assert found.value == pytest.approx(a.mean() - b.mean())
    assert found.low > 0
    assert found.high - found.low < bootstrap_interval(a).high - bootstrap_interval(a).low


def test_paired_difference_has_the_normal_theory_width():
    a, b = np.random.default_rng(8).random((2, 4000))
    found = paired_difference(a, b, draws=8000)
    expected = 1.96 * (a - b).std(ddof=1) / np.sqrt(4000)
    assert (found.high - found.low) / 2 == pytest.approx(expected, rel=0.05)


def test_two_models_that_never_differ_are_not_proven_equal():
    found = paired_difference([1, 0, 1, 1], [1, 0, 1, 1])
    assert found.value == 0
    assert found.low == -found.high
    assert found.high == pytest.approx(wilson(0, 4).high)


def test_always_against_never_is_the_same_from_both_sides():
    one, other = paired_difference([1] * 9, [0] * 9), paired_difference([0] * 9, [1] * 9)
    assert (one.low, one.high) == (-other.high, -other.low)
    assert one.low > 0


def test_values_that_are_no_answers_keep_a_plain_difference():
    found = paired_difference([0.5, 0.25], [0.5, 0.25])
    assert (found.value, found.low, found.high) == (0, 0, 0)


@pytest.mark.parametrize(
    "call",
    [
        lambda: bootstrap_interval([]),
        lambda: bootstrap_interval([1.0, 0.0], ["a"]),
        lambda: paired_difference([1.0], [1.0, 0.0]),
        lambda: paired_difference([], []),
    ],
)
def test_what_does_not_fit_together_is_refused(call):
    with pytest.raises(Invalid):
        call()


@pytest.mark.parametrize("grouped", [False, True])
def test_many_values_are_drawn_by_strata_to_the_same_interval(monkeypatch, grouped):
    generator = np.random.default_rng(5)
    values = generator.exponential(size=8000)
    groups = [f"g{n // 2}" if n < 4000 else None for n in range(8000)] if grouped else None
    fast = bootstrap_interval(values, groups, draws=20_000, yes_or_no=False)
    monkeypatch.setattr("darkroom.statistics.bootstrap.MANY_VALUES", 10**9)
    slow = bootstrap_interval(values, groups, draws=4000, yes_or_no=False)
    half = (slow.high - slow.low) / 2
    assert fast.value == slow.value
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), abs=0.08 * half)
