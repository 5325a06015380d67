"""Curves with intervals: exact figures, bands that hold them, and intervals that hold the truth."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from darkroom.evaluation.curves import DRAWN_CURVES, measure_curves


def answers(count, classes=3, seed=0, signal=1.5):
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    logits = generator.normal(size=(count, classes))
    logits[np.arange(count), labels] += signal
    found = np.exp(logits)
    return labels, (found / found.sum(axis=1, keepdims=True)).astype(np.float32)


def test_figures_are_exact_and_their_means_those_of_scikit_learn():
    labels, found = answers(600, 4)
    curves = measure_curves(labels, found, tuple("abcd"))
    one_hot = np.eye(4)[labels]
    assert curves.macro_average_precision.value == pytest.approx(
        average_precision_score(one_hot, found, average="macro"), abs=1e-9
    )
    assert curves.macro_roc_area.value == pytest.approx(
        roc_auc_score(one_hot, found, average="macro"), abs=1e-9
    )
    for place, row in enumerate(curves.classes):
        expected = average_precision_score(one_hot[:, place], found[:, place])
        assert row.average_precision.value == pytest.approx(expected, abs=1e-9)
        assert row.roc_area.low < row.roc_area.value < row.roc_area.high
        for band in (row.precision_recall, row.roc):
            assert len(band.value) == len(curves.grid)
            assert all(
                low <= value <= high
                for low, value, high in zip(band.low, band.value, band.high, strict=True)
            )


def test_intervals_hold_the_figure_of_many_images_about_as_often_as_they_say():
    labels, found = answers(60_000, 3)
    true = roc_auc_score(labels == 0, found[:, 0]), average_precision_score(labels == 0, found[:, 0])
    held = np.zeros(2)
    for seed in range(30):
        part = np.random.default_rng(seed).choice(len(labels), 150, replace=False)
        row = measure_curves(labels[part], found[part], tuple("abc"), draws=200).classes[0]
        figures = row.roc_area, row.average_precision
        held += [one.low <= value <= one.high for one, value in zip(figures, true, strict=True)]
    assert held.min() >= 25  # of 30, at 95 %


def test_groups_are_drawn_together():
    labels, found = answers(40, 2, signal=0.5)
    labels, found = np.repeat(labels, 10), np.repeat(found, 10, axis=0)  # each picture ten times
    alone = measure_curves(labels, found, ("a", "b")).macro_roc_area
    together = measure_curves(labels, found, ("a", "b"), [f"g{n // 10}" for n in range(400)]).macro_roc_area
    assert together.value == alone.value
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_a_perfect_ranking_does_not_claim_certainty():
    labels = np.arange(60) % 2
    row = measure_curves(labels, np.eye(2)[labels], ("a", "b")).classes[0]
    assert row.roc_area.value == 1
    assert 0.8 < row.roc_area.low < 0.95
    assert row.roc_area.method == "wilson"


def test_a_class_without_images_is_not_defined_and_leaves_the_means():
    labels = np.arange(40) % 2
    found = np.column_stack([answers(40, 2)[1], np.zeros(40)])
    curves = measure_curves(labels, found, ("a", "b", "c"))
    assert (curves.classes[2].average_precision, curves.classes[2].roc) == (None, None)
    both = [row.roc_area.value for row in curves.classes[:2]]
    assert curves.macro_roc_area.value == pytest.approx(np.mean(both))
    single = measure_curves(np.zeros(5, int), np.full((5, 2), 0.5), ("a", "b"))
    assert single.macro_roc_area is None


def test_of_many_classes_the_weakest_are_drawn_and_all_are_measured():
    labels, found = answers(900, DRAWN_CURVES + 6)
    curves = measure_curves(labels, found, [str(n) for n in range(DRAWN_CURVES + 6)], draws=50)
    drawn = [row for row in curves.classes if row.roc is not None]
    left = [row for row in curves.classes if row.roc is None]
    assert 0 < len(drawn) < len(curves.classes)
    assert max(row.average_precision.value for row in drawn) <= min(
        row.average_precision.value for row in left
    )


def test_the_same_seed_gives_the_same_curves():
    labels, found = answers(100)
    assert measure_curves(labels, found, tuple("abc")) == measure_curves(labels, found, tuple("abc"))
