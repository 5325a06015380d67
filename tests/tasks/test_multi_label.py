"""Label sets are measured as scikit-learn measures them, with intervals that hold what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from darkroom.errors import Invalid
from darkroom.records import OperatingPoint
from darkroom.tasks.label_sets import (
    average_precisions,
    given,
    holds_from,
    mean_average_precision,
    names_of,
    spoken_set,
)
from darkroom.tasks.multi_label import binary_losses, measure

CLASSES = ("ant", "bee", "cat", "dog")


def made(count: int = 300, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Answers that are better than chance, for labels of different frequency."""
    draw = np.random.default_rng(seed)
    truth = draw.random((count, 4)) < (0.5, 0.3, 0.1, 0.02)
    scores = draw.normal(size=(count, 4)) + 2 * truth - 1
    return truth, (1 / (1 + np.exp(-scores))).astype(np.float32)


def test_every_figure_is_that_of_scikit_learn() -> None:
    truth, probabilities = made()
    answers = probabilities >= 0.5
    found = measure(truth, probabilities, CLASSES, draws=50)
    assert found.exact_match.value == pytest.approx(metrics.accuracy_score(truth, answers))
    assert found.hamming_loss.value == pytest.approx(metrics.hamming_loss(truth, answers))
    for average, f1 in (("macro", found.macro_f1), ("micro", found.micro_f1)):
        assert f1.value == pytest.approx(metrics.f1_score(truth, answers, average=average))
    assert found.micro_precision is not None
    assert found.micro_recall is not None
    assert found.micro_precision.value == pytest.approx(
        metrics.precision_score(truth, answers, average="micro")
    )
    assert found.micro_recall.value == pytest.approx(metrics.recall_score(truth, answers, average="micro"))
    for row, precision, recall, f1, support in zip(
        found.classes, *metrics.precision_recall_fscore_support(truth, answers), strict=True
    ):
        assert row.precision is not None
        assert row.recall is not None
        assert row.f1 is not None
        assert [row.precision.value, row.recall.value, row.f1.value] == pytest.approx(
            [precision, recall, f1]
        )
        assert row.support == support
    losses = [metrics.log_loss(truth[:, c], probabilities[:, c], labels=[0, 1]) for c in range(4)]
    assert found.log_loss.value == pytest.approx(np.mean(losses), rel=1e-5)
    assert found.empty == int((~truth.any(axis=1)).sum()) > 0
    assert (found.kind, found.count, found.draws) == ("multilabel", 300, 50)


def test_average_precision_is_that_of_scikit_learn() -> None:
    truth, probabilities = made()
    expected = [metrics.average_precision_score(truth[:, c], probabilities[:, c]) for c in range(4)]
    assert average_precisions(truth, probabilities) == pytest.approx(expected)
    assert mean_average_precision(truth, probabilities) == pytest.approx(np.mean(expected))
    truth[:, 3] = False
    assert mean_average_precision(truth, probabilities) == pytest.approx(np.mean(expected[:3]))
    assert mean_average_precision(truth & False, probabilities) == 0


def test_thresholds_decide_which_labels_are_given() -> None:
    point = OperatingPoint(thresholds={"bee": 0.2, "cat": 0.9}, temperature=3, not_sure_below=0.99)
    assert holds_from(CLASSES, point).tolist() == [0.5, 0.2, 0.9, 0.5]
    row = given(np.array([[0.5, 0.2, 0.89, 0.4]]), CLASSES, point)[0]
    assert names_of(row, CLASSES) == ("ant", "bee")
    assert spoken_set(names_of(row, CLASSES)) == "ant, bee"
    assert spoken_set(()) == "none of the labels"
    truth, probabilities = made()
    low = measure(truth, probabilities, CLASSES, point=OperatingPoint(thresholds={"ant": 0.01}), draws=10)
    assert low.classes[0].answered == 300
    assert low.classes[0].threshold == 0.01
    other, same = low.classes[1], measure(truth, probabilities, CLASSES, draws=10).classes[1]
    assert (other.hits, other.answered, other.threshold) == (same.hits, same.answered, 0.5)


def test_intervals_hold_the_true_figures_about_as_often_as_they_say() -> None:
    whole_truth, whole = made(40_000, seed=9)
    true = measure(whole_truth, whole, CLASSES, draws=1)
    names = ("exact_match", "hamming_loss", "macro_f1", "micro_f1", "log_loss")
    inside = dict.fromkeys(names, 0)
    tries = 60
    for seed in range(tries):
        rows = np.random.default_rng(seed).choice(len(whole), 150, replace=False)
        found = measure(whole_truth[rows], whole[rows], CLASSES, draws=300, seed=seed)
        for name in names:
            figure = getattr(found, name)
            inside[name] += figure.low <= getattr(true, name).value <= figure.high
    # 95 % of 60 is 57; fewer than 50 has a chance below 1 in 10,000.
    assert min(inside.values()) >= 50, inside


def test_groups_widen_the_intervals() -> None:
    truth, probabilities = made(60)
    many_truth, many = truth.repeat(5, 0), probabilities.repeat(5, 0)
    groups = [f"g{place // 5}" for place in range(300)]
    alone = measure(many_truth, many, CLASSES, draws=400)
    together = measure(many_truth, many, CLASSES, groups, draws=400)
    assert (alone.groups, together.groups) == (None, 60)
    for name in ("exact_match", "macro_f1", "micro_f1", "hamming_loss"):
        narrow, wide = getattr(alone, name), getattr(together, name)
        assert wide.value == pytest.approx(narrow.value)
        assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low), name


def test_where_all_is_right_the_interval_says_what_so_few_images_show() -> None:
    truth, _ = made(40)
    truth[:, 3] = False
    found = measure(truth, truth.astype(float), CLASSES, draws=20)
    assert (found.macro_f1.value, found.micro_f1.value, found.exact_match.value) == (1, 1, 1)
    assert 0.8 < found.macro_f1.low < 1
    assert 0.8 < found.micro_f1.low < 1
    row = found.classes[3]
    assert (row.support, row.precision, row.recall, row.f1) == (0, None, None, None)
    assert found.classes[0].recall is not None
    assert found.classes[0].recall.low < 0.95


def test_pictures_of_nothing_alone_can_be_measured() -> None:
    truth = np.zeros((10, 4), bool)
    found = measure(truth, np.full((10, 4), 0.1), CLASSES, draws=20)
    assert (found.exact_match.value, found.hamming_loss.value, found.macro_f1.value) == (1, 0, 0)
    assert found.micro_recall is None
    assert found.empty == 10


def test_a_loss_has_an_end() -> None:
    truth = np.array([[True, False]])
    assert binary_losses(truth, np.array([[0.0, 1.0]]))[0] == pytest.approx(15.94, abs=0.01)
    assert binary_losses(truth, np.array([[1.0, 0.0]]))[0] == 0


@pytest.mark.parametrize(
    ("truth", "probabilities", "words"),
    [
        (np.zeros((3, 4)), np.zeros((3, 5)), "for each image and label"),
        (np.zeros((0, 4)), np.zeros((0, 4)), "no images"),
        (np.zeros((2, 4)), np.array([[0.1] * 4, [0.1, np.nan, 0.1, 0.1]]), "1 of 2 images"),
        (np.zeros((2, 4)), np.full((2, 4), 1.2), "2 of 2 images"),
    ],
)
def test_what_is_no_answer_is_refused(truth: np.ndarray, probabilities: np.ndarray, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        measure(truth, probabilities, CLASSES)
