"""Calibration of answers: figures by hand, before and after, by group."""

import numpy as np
import pytest

from darkroom.evaluation.calibration import BINS, measure_calibration
from darkroom.tasks.calibration import fit_temperature
from tests.tasks.test_calibration import made


def test_a_fitted_temperature_mends_other_images():
    labels, found = made(6000, temperature=2.0)
    temperature = fit_temperature(labels[:3000], found[:3000])
    calibration = measure_calibration(labels[3000:], found[3000:], temperature=temperature)
    before, after = calibration.before, calibration.after
    assert after is not None
    assert after.ece_equal_mass.high < before.ece_equal_mass.low
    assert after.ece_equal_width.value < 0.03 < before.ece_equal_width.value
    assert after.log_loss.value < before.log_loss.value
    assert after.brier.value < before.brier.value


def test_without_a_temperature_there_is_no_after():
    labels, found = made(300)
    assert measure_calibration(labels, found).after is None


def test_the_error_is_that_of_its_bins():
    labels, found = made(900, seed=2)
    figures = measure_calibration(labels, found).before
    assert len(figures.bins) == BINS
    assert sum(row.count for row in figures.bins) == 900
    by_hand = sum(row.count * abs(row.accuracy.value - row.confidence) for row in figures.bins) / 900
    assert figures.ece_equal_mass.value == pytest.approx(by_hand, abs=1e-9)
    assert figures.ece_equal_mass.low < figures.ece_equal_mass.value < figures.ece_equal_mass.high


def test_the_interval_holds_the_error_of_many_images():
    labels, found = made(40_000, temperature=1.6)
    true = measure_calibration(labels, found).before.ece_equal_width.value
    held = 0
    for seed in range(40):
        part = np.random.default_rng(seed).choice(40_000, 800, replace=False)
        one = measure_calibration(labels[part], found[part], draws=300).before.ece_equal_width
        held += one.low <= true <= one.high
    assert held >= 33


def test_groups_make_the_interval_wider():
    labels, found = made(150, seed=5)
    labels, found = np.repeat(labels, 8), np.repeat(found, 8, axis=0)
    alone = measure_calibration(labels, found).before
    together = measure_calibration(labels, found, [f"g{n // 8}" for n in range(1200)]).before
    for name in ("ece_equal_mass", "brier", "log_loss"):
        first, second = getattr(alone, name), getattr(together, name)
        assert second.value == pytest.approx(first.value)
        assert second.high - second.low > 1.8 * (first.high - first.low)


def test_few_images_get_fewer_bins():
    labels, found = made(25)
    assert len(measure_calibration(labels, found).before.bins) == 2
