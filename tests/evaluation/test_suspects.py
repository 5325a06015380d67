"""Confident learning: by hand, against cleanlab on the same probabilities, and on planted wrong labels."""

from __future__ import annotations

import tracemalloc
import warnings
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from darkroom.errors import Invalid
from darkroom.evaluation.suspects import confident_joint, estimated_wrong, find_suspects
from darkroom.features.logistic import out_of_fold
from darkroom.features.reduction import reduced
from tests.features.test_reduction import Fixed


def planted(seed: int, share: float = 0.08) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns digits, labels of which a share is wrong, and which those are."""
    data, truth = load_digits(return_X_y=True)
    data, truth = data[:1200], truth[:1200]
    generator = np.random.default_rng(seed)
    wrong = generator.random(len(truth)) < share
    labels = np.where(wrong, (truth + generator.integers(1, 10, len(truth))) % 10, truth)
    return data, labels, wrong


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, probabilities that were given without seeing them, and which labels are wrong."""
    data, labels, wrong = planted(seed=0)
    scratch = tmp_path_factory.mktemp("scratch")
    rows = np.array(reduced(Fixed(data), scratch))
    return labels, out_of_fold(rows, labels, 10, None, scratch).probabilities, wrong


def test_thresholds_are_the_mean_confidence_of_each_label() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    first = np.array([0.9, 0.8, 0.1, 0.2, 0.3, 0.75])
    joint = confident_joint(labels, np.stack([first, 1 - first], 1))
    assert joint.thresholds == pytest.approx([0.6, 1.75 / 3])
    assert joint.looks_like.tolist() == [0, 0, 1, 1, 1, 0]
    assert joint.counts.tolist() == [[2, 1], [1, 2]]


def test_suspects_come_in_the_order_of_their_margin() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    first = np.array([0.9, 0.8, 0.1, 0.2, 0.3, 0.75])
    found = find_suspects(labels, np.stack([first, 1 - first], 1))
    assert found.places.tolist() == [2, 5]
    assert found.looks_like.tolist() == [1, 0]
    assert found.margins == pytest.approx([-0.8, -0.5])


def test_a_class_without_pictures_is_looked_like_by_nobody() -> None:
    joint = confident_joint(np.array([0, 0, 1, 1]), np.full((4, 3), 1 / 3))
    assert 2 not in joint.looks_like


def test_the_estimate_keeps_the_number_of_pictures_of_each_label(judged) -> None:
    labels, probabilities, wrong = judged
    estimate = estimated_wrong(confident_joint(labels, probabilities), labels)
    assert estimate.sum(1) == pytest.approx(np.bincount(labels))
    assert (estimate.sum() - estimate.trace()) / len(labels) == pytest.approx(wrong.mean(), abs=0.03)


def cleanlab_issues(labels: np.ndarray, probabilities: np.ndarray) -> set[int]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages that it imports
        from cleanlab.filter import find_label_issues

        mask = find_label_issues(labels, probabilities, filter_by="confident_learning", n_jobs=1)
    return set(np.flatnonzero(mask).tolist())


def test_the_same_labels_are_suspects_as_for_cleanlab(judged) -> None:
    labels, probabilities, _ = judged
    plain = np.asarray(probabilities, np.float64)
    assert set(find_suspects(labels, plain).places.tolist()) == cleanlab_issues(labels, plain)


def test_it_differs_from_cleanlab_only_where_the_most_probable_class_is_below_its_threshold() -> None:
    generator = np.random.default_rng(5)
    labels = generator.integers(0, 4, 3000)
    scores = generator.normal(size=(3000, 4)) + 1.2 * np.eye(4)[labels] + np.array([1.5, 0.5, 0, 0])
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    found = find_suspects(labels, probabilities)
    thresholds, best = found.joint.thresholds, probabilities.argmax(1)
    apart = set(found.places.tolist()) ^ cleanlab_issues(labels, probabilities)
    assert all(probabilities[place, best[place]] < thresholds[best[place]] for place in apart)
    assert len(apart) < 0.05 * 3000


def test_planted_wrong_labels_are_found(judged) -> None:
    labels, probabilities, wrong = judged
    found = find_suspects(labels, probabilities)
    hits = int(wrong[found.places].sum())
    assert hits / len(found.places) > 0.9  # precision
    assert hits / int(wrong.sum()) > 0.75  # recall
    first = found.places[: int(wrong.sum()) // 2]
    assert wrong[first].mean() > 0.95  # the most suspicious are nearly all wrong


def test_without_wrong_labels_there_are_few_suspects(tmp_path: Path) -> None:
    data, labels, _ = planted(seed=0, share=0.0)
    probabilities = out_of_fold(
        np.array(reduced(Fixed(data), tmp_path)), labels, 10, None, tmp_path
    ).probabilities
    assert len(find_suspects(labels, probabilities).places) < 0.06 * len(labels)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(Invalid, match="a row of probabilities for each of 3"):
        find_suspects(np.zeros(3, int), np.full((2, 2), 0.5))


def test_a_hundred_thousand_pictures_fill_little_memory(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 20, 100_000)
    stored = np.lib.format.open_memmap(tmp_path / "p.npy", "w+", np.float32, (100_000, 20))
    stored[:] = generator.dirichlet(np.full(20, 0.2), 100_000)
    tracemalloc.start()
    find_suspects(labels, np.load(tmp_path / "p.npy", mmap_mode="r"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25_000_000  # a few numbers per picture, and one block of probabilities
