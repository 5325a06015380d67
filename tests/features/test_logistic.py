"""Logistic regression on features: as scikit-learn's, and blind for what it speaks of."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from darkroom.errors import Invalid
from darkroom.features.logistic import fit, folds_of, out_of_fold, probabilities_of


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    data, labels = load_digits(return_X_y=True)
    rows = data - data.mean(0)
    return (rows / np.sqrt((rows**2).sum(1).mean())).astype(np.float32), labels


def test_it_finds_the_weights_that_scikit_learn_finds(digits: tuple[np.ndarray, np.ndarray]) -> None:
    rows, labels = digits[0][:900], digits[1][:900]
    strength = 1e-3
    ours = probabilities_of(rows, fit(rows, labels, 10, np.arange(900), strength))
    theirs = LogisticRegression(C=1 / (strength * 900), tol=1e-6, max_iter=2000).fit(rows, labels)
    assert np.abs(ours - theirs.predict_proba(rows)).max() < 0.03
    assert (ours.argmax(1) == theirs.predict(rows)).mean() > 0.997


def test_folds_hold_groups_together_and_classes_in_equal_parts() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 600)
    groups = [f"g{place // 4}" if place < 200 else None for place in range(600)]
    labels[:200] = np.repeat(labels[:50], 4)
    folds = folds_of(labels, groups, 5, seed=1)
    for start in range(0, 200, 4):
        assert len(set(folds[start : start + 4].tolist())) == 1
    for label in range(3):
        counts = np.bincount(folds[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 4
    assert (folds != folds_of(labels, groups, 5, seed=2)).any()


def test_of_fewer_groups_than_folds_each_is_held_out_once(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows, labels = generator.normal(size=(60, 4)).astype(np.float32), generator.integers(0, 2, 60)
    found = out_of_fold(rows, labels, 2, ["a"] * 20 + ["b"] * 20 + ["c"] * 20, tmp_path)
    assert sorted(np.bincount(found.folds).tolist()) == [20, 20, 20]
    assert found.probabilities.sum(1) == pytest.approx(1, abs=1e-4)
    with pytest.raises(Invalid, match="All 60 pictures lie in one group"):
        out_of_fold(rows, labels, 2, ["a"] * 60, tmp_path)


def test_held_out_pictures_are_told_apart_rightly(
    digits: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    rows, labels = digits[0][:800], digits[1][:800]
    found = out_of_fold(rows, labels, 10, None, tmp_path)
    assert (found.probabilities.argmax(1) == labels).mean() > 0.92
    assert found.probabilities.sum(1) == pytest.approx(1, abs=1e-4)


def test_what_is_said_of_a_picture_never_knows_its_label(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(300, 60)).astype(np.float32)
    labels = generator.integers(0, 2, 300)
    found = out_of_fold(rows, labels, 2, None, tmp_path)
    right = (found.probabilities.argmax(1) == labels).mean()
    assert abs(right - 0.5) < 0.12  # a fit that had seen them would be right nearly always


def test_too_few_pictures_are_refused(tmp_path: Path) -> None:
    rows = np.zeros((8, 2), np.float32)
    with pytest.raises(Invalid, match="8 pictures of 2 classes"):
        out_of_fold(rows, np.arange(8) % 2, 2, None, tmp_path)
    with pytest.raises(Invalid, match="of 1 classes"):
        out_of_fold(np.zeros((80, 2), np.float32), np.zeros(80, int), 2, None, tmp_path)


@pytest.mark.slow
def test_a_hundred_thousand_pictures_are_judged_in_little_memory(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 8, 100_000)
    stored = np.lib.format.open_memmap(tmp_path / "rows.npy", "w+", np.float32, (100_000, 96))
    middles = generator.normal(size=(8, 96)) / 10
    for start in range(0, 100_000, 5000):
        part = slice(start, start + 5000)
        stored[part] = middles[labels[part]] + generator.normal(size=(5000, 96)) / 10
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    tracemalloc.start()
    found = out_of_fold(rows, labels, 8, None, tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.probabilities.argmax(1) == labels).mean() > 0.95
    assert peak < 80_000_000  # some numbers and a name per picture; the vectors alone are 38 MB
