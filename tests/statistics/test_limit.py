"""Figures against limits: three verdicts, and how many more images would settle an open one."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from darkroom.records import Interval
from darkroom.statistics import against_limit, bootstrap_interval, images_to_settle, wilson

ORDER = {"fail": 0, "not enough evidence": 1, "pass": 2}


@pytest.mark.parametrize(
    ("low", "high", "standing"),
    [(0.91, 0.97, "pass"), (0.9, 0.97, "pass"), (0.85, 0.95, "not enough evidence"), (0.8, 0.89, "fail")],
)
def test_only_a_whole_interval_decides(low, high, standing):
    assert against_limit(Interval(value=(low + high) / 2, low=low, high=high), 0.9) == standing


@st.composite
def shares(draw, most=3000):
    count = draw(st.integers(1, most))
    return wilson(draw(st.integers(0, count)), count)


limits = st.floats(0, 1)


@given(shares(), limits, limits)
def test_a_stricter_limit_never_gives_a_better_verdict(figure, one, other):
    loose, strict = sorted((one, other))
    assert ORDER[against_limit(figure, strict)] <= ORDER[against_limit(figure, loose)]
    smaller, larger = (
        against_limit(figure, loose, at_most=True),
        against_limit(figure, strict, at_most=True),
    )
    assert ORDER[smaller] <= ORDER[larger]


@given(shares(), limits)
def test_a_largest_figure_is_judged_as_the_smallest_of_its_mirror(figure, limit):
    mirror = figure.model_copy(update={"value": -figure.value, "low": -figure.high, "high": -figure.low})
    assert against_limit(figure, limit, at_most=True) == against_limit(mirror, -limit)


@settings(max_examples=300)
@given(shares(), st.floats(0.001, 0.999))
def test_with_the_suggested_images_at_the_same_rate_wilson_settles(figure, place):
    limit = figure.low + place * (figure.high - figure.low)
    assume(abs(limit - figure.value) > 1e-6)
    assert against_limit(figure, limit) == "not enough evidence"
    more = images_to_settle(figure, limit)
    assert more is not None
    assert more > 0
    count = figure.count + more
    assert against_limit(wilson(figure.value * count, count), limit) != "not enough evidence"


@pytest.mark.parametrize("seed", range(12))
def test_with_the_suggested_images_at_the_same_rate_the_bootstrap_settles(seed):
    generator = np.random.default_rng(seed)
    count = int(generator.integers(20, 400))
    hits = int(generator.integers(1, count))
    figure = bootstrap_interval(np.arange(count) < hits, draws=10_000)
    limit = float(generator.uniform(figure.low, figure.high))
    more = images_to_settle(figure, limit)
    assert more is not None
    many = count + more
    again = bootstrap_interval(np.arange(many) < round(figure.value * many), draws=10_000, seed=1)
    assert against_limit(again, limit) != "not enough evidence"


def test_far_fewer_images_than_suggested_do_not_settle():
    figure = bootstrap_interval(np.arange(200) < 190, draws=10_000)
    more = images_to_settle(figure, 0.93)
    assert more is not None
    many = 200 + more // 2
    again = bootstrap_interval(np.arange(many) < round(0.95 * many), draws=10_000)
    assert against_limit(again, 0.93) == "not enough evidence"


@given(shares())
def test_no_number_settles_a_figure_on_its_limit(figure):
    assert images_to_settle(figure, figure.value) is None


@given(shares(), limits)
def test_a_figure_whose_interval_does_not_hold_the_limit_needs_no_more(figure, limit):
    assume(not figure.low <= limit <= figure.high)
    assert images_to_settle(figure, limit) == 0


def test_images_are_counted_where_an_interval_rests_on_groups():
    alone = wilson(20, 20)
    grouped = wilson(5, 5).model_copy(update={"count": 20})  # 4 images a group
    few, many = images_to_settle(alone, 0.9), images_to_settle(grouped, 0.9)
    assert few is not None
    assert many is not None
    assert many + 20 == pytest.approx(4 * (few + 20), abs=4)


def test_the_unit_of_a_figure_does_not_change_the_number():
    share = bootstrap_interval(np.arange(100) < 7, draws=2000)
    cost = share.model_copy(update={end: 12 * getattr(share, end) for end in ("value", "low", "high")})
    assert images_to_settle(cost, 12 * 0.1, step=12) == images_to_settle(share, 0.1)
