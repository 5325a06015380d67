"""Tails say how far out a value lies, also beyond everything that was seen."""

from __future__ import annotations

import math

import numpy as np
import pytest

from darkroom.domain.tail import fit_tails


def test_an_exponential_tail_is_found_again() -> None:
    values = np.random.default_rng(0).exponential(2.0, 200_000)
    _, high = fit_tails(values, floor=1e-6)
    assert high.shape == pytest.approx(0, abs=0.05)
    assert high.scale == pytest.approx(2.0, rel=0.05)
    far = np.array([20.0])  # the share beyond is e⁻¹⁰
    assert high.score(far - high.start)[0] == pytest.approx(10.0, rel=0.06)


def test_a_heavy_tail_is_found_again() -> None:
    shares = np.random.default_rng(0).random(200_000)
    values = (shares**-0.3 - 1) / 0.3  # generalised Pareto with shape 0.3
    _, high = fit_tails(values, floor=1e-6)
    assert high.shape == pytest.approx(0.3, abs=0.05)
    assert high.score(np.array([50.0]) - high.start)[0] == pytest.approx(math.log(16) / 0.3, rel=0.08)


def test_scores_rise_outwards_and_are_nothing_in_the_middle() -> None:
    values = np.random.default_rng(0).normal(size=5000)
    low, high = fit_tails(values, floor=1e-3)
    outwards = np.linspace(-1, 10, 50)
    scores = high.score(outwards - high.start)
    assert (np.diff(scores) >= 0).all()
    assert scores[0] == 0.0
    mirrored = low.score(low.start - (-outwards))
    assert mirrored == pytest.approx(scores, rel=0.2, abs=0.2)


def test_where_nothing_differs_the_smallest_difference_that_matters_counts() -> None:
    low, high = fit_tails(np.full(300, 4.0), floor=0.5)
    assert (low.scale, high.scale) == (0.5, 0.5)
    assert high.score(np.array([0.0]))[0] == 0.0
    assert high.score(np.array([1.0]))[0] == pytest.approx(2 - math.log(20 / 300))
