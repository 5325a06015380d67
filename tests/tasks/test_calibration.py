"""Temperature, calibration error and Brier score against other implementations and by hand."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.metrics import brier_score_loss, log_loss

from darkroom.tasks.calibration import (
    brier_scores,
    calibration_error,
    equal_mass,
    equal_width,
    fit_temperature,
    scaled,
)


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def made(count=4000, classes=5, temperature=1.0, seed=0):
    """Labels drawn from the probabilities at a temperature; the model answers without it."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(scale=2.5, size=(count, classes))
    true = softmax(logits / temperature).cumsum(axis=1)
    labels = (true < generator.random((count, 1))).sum(axis=1)
    return labels, softmax(logits).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_the_answers_were_drawn_with_is_found(temperature):
    labels, found = made(temperature=temperature)
    mine = fit_temperature(labels, found)
    assert mine == pytest.approx(temperature, rel=0.08)
    best = minimize_scalar(lambda t: log_loss(labels, scaled(found, t)), bounds=(0.1, 10), method="bounded")
    assert mine == pytest.approx(best.x, rel=1e-3)


def test_scaling_is_that_of_the_logits_and_never_changes_the_answer():
    generator = np.random.default_rng(3)
    logits = generator.normal(size=(200, 6)) * 4
    found = softmax(logits).astype(np.float32)
    for temperature in (0.3, 1.7, 6.0):
        at = scaled(found, temperature)
        assert at == pytest.approx(softmax(logits / temperature), abs=1e-5)
        assert (at.argmax(axis=1) == found.argmax(axis=1)).all()
    assert scaled(found, 1.0) is found


def test_a_probability_of_zero_stays_a_number():
    found = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    assert np.isfinite(scaled(found, 0.5)).all()
    assert np.isfinite(scaled(found, 5.0)).all()


def test_bins_by_hand():
    confidences = np.array([0.1, 0.2, 0.2, 0.2, 0.7, 1.0])
    width = equal_width(confidences, 5)
    assert width.codes.tolist() == [0, 0, 0, 0, 3, 4]
    mass = equal_mass(confidences, 3)
    assert mass.codes.tolist() == [0, 1, 1, 1, 2, 2]  # equal ones are not parted
    assert equal_mass(np.full(9, 0.5), 3).codes.tolist() == [0] * 9


def test_the_calibration_error_by_hand():
    # Two bins: 4 images at 0.9 of which 2 are right, 6 at 0.5 of which 3 are right.
    counts, right, confidence = np.array([4, 6]), np.array([2, 3]), np.array([3.6, 3.0])
    assert calibration_error(counts, right, confidence) == pytest.approx(1.6 / 10)


def test_the_brier_score_is_twice_that_of_scikit_learn_for_two_classes():
    labels, found = made(500, 2, seed=4)
    mine = brier_scores(labels, found)
    assert mine.mean() == pytest.approx(2 * brier_score_loss(labels, found[:, 1]), abs=1e-6)
    assert brier_scores(np.array([0, 0]), np.array([[1.0, 0.0], [0.0, 1.0]])).tolist() == [0.0, 2.0]
