"""The share of false alarms that was asked for is kept on pictures that had no say in the threshold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from darkroom.domain import Examples, learn, measured_on
from darkroom.domain.calibration import calibrate
from darkroom.domain.scoring import score
from darkroom.errors import Invalid
from tests.domain.digits import CONTRACT, HELD_OUT, TRAIN, digits, examples, measures, sketch


@pytest.mark.parametrize("rate", [0.01, 0.05])
def test_the_rate_is_kept_on_real_digits_over_many_splits(rate: float) -> None:
    alarms = []
    for seed in range(20):
        order = np.random.default_rng(seed).permutation(len(digits()))
        train, held_out, rest = np.split(order, [TRAIN, TRAIN + HELD_OUT])
        found = learn(examples(train), examples(held_out), contract=CONTRACT, rate=rate)
        [calibration] = found.facts.calibrations
        alarms.append(float((score(found, measures()[rest]).largest > calibration.threshold).mean()))
    expected = (HELD_OUT + 1 - math.ceil((HELD_OUT + 1) * (1 - rate))) / (HELD_OUT + 1)
    error = np.std(alarms, ddof=1) / math.sqrt(len(alarms))
    assert abs(np.mean(alarms) - expected) <= 3 * error
    assert np.mean(alarms) <= rate + 3 * error


def test_the_interval_holds_the_true_rate_as_often_as_it_says() -> None:
    held = []
    for seed in range(300):
        scores = np.random.default_rng(seed).random(400)  # the share beyond a threshold t is 1 − t
        found = calibrate(scores, rate=0.02, properties=5, used="statistics")
        held.append(found.expected.low <= 1 - found.threshold <= found.expected.high)
    assert 0.92 <= np.mean(held) <= 0.98  # 0.95 ± 2.4 standard errors of 300


def test_the_mean_rate_is_what_theory_says() -> None:
    rates, expected = [], 0.0
    for seed in range(300):
        found = calibrate(
            np.random.default_rng(seed).random(150), rate=0.05, properties=5, used="statistics"
        )
        rates.append(1 - found.threshold)
        expected = found.expected.value
    assert np.mean(rates) == pytest.approx(expected, abs=3 * float(np.std(rates)) / math.sqrt(300))
    assert expected <= 0.05


def test_pictures_of_one_group_do_not_count_as_several() -> None:
    scores = np.random.default_rng(0).random(400)
    alone = calibrate(scores, rate=0.05, properties=5, used="statistics").expected
    groups = [f"scene {number // 10}" for number in range(400)]
    grouped = calibrate(scores, rate=0.05, properties=5, used="statistics", groups=groups).expected
    assert grouped.value == pytest.approx(alone.value)
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_too_few_pictures_for_a_rate_keep_the_smallest_that_they_can() -> None:
    scores = np.random.default_rng(0).exponential(size=49)
    found = calibrate(scores, rate=0.01, properties=9, used="statistics")
    assert found.threshold >= scores.max()
    assert found.rate == pytest.approx(1 / 50)
    assert found.expected.value == pytest.approx(1 / 50)


def test_test_pictures_are_counted_and_change_no_threshold() -> None:
    before = sketch(with_features=True)
    rest = np.arange(TRAIN + HELD_OUT, len(digits()))
    after = measured_on(before, examples(rest, with_features=True))
    for first, second in zip(before.facts.calibrations, after.facts.calibrations, strict=True):
        assert second.threshold == first.threshold
        assert second.measured is not None
        assert second.measured.count == len(rest)
        assert second.measured.low <= 0.01 <= second.measured.high
    assert [one.used for one in after.facts.calibrations] == ["statistics and features", "statistics"]


def test_pictures_of_another_kind_are_mostly_alarms() -> None:
    inverted = Examples(tuple(f"i{n}" for n in range(200)), _measured(np.invert(digits()[-200:])))
    [calibration] = measured_on(sketch(), inverted).facts.calibrations
    assert calibration.measured is not None
    assert calibration.measured.low > 0.95


@pytest.mark.parametrize(("train", "held_out"), [(3, 500), (900, 0)])
def test_too_few_pictures_for_a_sketch_are_refused(train: int, held_out: int) -> None:
    with pytest.raises(Invalid, match="or more"):
        learn(examples(np.arange(train)), examples(np.arange(900, 900 + held_out)), contract=CONTRACT)


def _measured(tensors: np.ndarray) -> np.ndarray:
    from darkroom.domain import measure_all
    from tests.domain.digits import PHOTO

    return measure_all(tensors, [PHOTO] * len(tensors))


def test_a_few_dozen_pictures_make_a_sketch_that_says_what_it_can_keep() -> None:
    few = learn(
        examples(np.arange(36), with_features=True),
        examples(np.arange(36, 48), with_features=True),
        contract=CONTRACT,
    )
    assert [one.rate for one in few.facts.calibrations] == pytest.approx([1 / 13, 1 / 13])
    inverted = _measured(np.invert(digits()[:50]))
    assert (score(few, inverted).largest > few.facts.calibrations[1].threshold).all()
