"""Figures of a classifier: against scikit-learn, by coverage, by group, and where they are not defined."""

import time
import warnings

import numpy as np
import pytest

from darkroom.errors import Invalid
from darkroom.statistics import bootstrap_interval
from darkroom.tasks.classification import confusion_matrix, measure

CLASSES = ("ant", "bee", "cat", "dog")


def answers(count=400, classes=4, skill=2.0, seed=0):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    logits = generator.normal(size=(count, classes))
    logits[np.arange(count), labels] += skill * generator.random(count)
    exponents = np.exp(logits)
    return labels, (exponents / exponents.sum(axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("seed", range(5))
def test_figures_equal_scikit_learns(seed):
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn comes with the extra [digits]")
    labels, probabilities = answers(seed=seed)
    given = probabilities.argmax(axis=1)
    found = measure(labels, probabilities, CLASSES, draws=50)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(labels, given)
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(labels, given))
    assert found.macro_f1.value == pytest.approx(metrics.f1_score(labels, given, average="macro"))
    assert found.log_loss.value == pytest.approx(metrics.log_loss(labels, probabilities), rel=1e-5)
    assert np.array_equal(found.confusion, metrics.confusion_matrix(labels, given))
    for place, row in enumerate(found.classes):
        assert row.support == support[place]
        assert (row.precision.value, row.recall.value, row.f1.value) == pytest.approx(
            (precision[place], recall[place], f1[place])
        )


def test_a_class_without_images_is_not_defined_and_not_in_the_macro_mean():
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn comes with the extra [digits]")
    labels, probabilities = answers()
    labels[labels == 3] = 0
    found = measure(labels, probabilities, CLASSES, draws=50)
    row = found.classes[3]
    assert (row.support, row.recall, row.f1) == (0, None, None)
    assert row.precision is not None  # it was answered, always wrongly
    assert row.precision.value == 0
    given = probabilities.argmax(axis=1)
    expected = metrics.f1_score(labels, given, labels=[0, 1, 2], average="macro")
    assert found.macro_f1.value == pytest.approx(expected)


def test_a_class_that_is_never_answered_has_no_precision_and_an_f1_of_zero():
    labels, probabilities = answers()
    probabilities[:, 3] = 0
    row = measure(labels, probabilities, CLASSES, draws=50).classes[3]
    assert (row.answered, row.hits, row.precision) == (0, 0, None)
    assert (row.recall.value, row.f1.value) == (0, 0)
    assert row.recall.high > 0


def test_a_class_that_is_neither_shown_nor_answered_has_no_figures_at_all():
    labels, probabilities = answers(classes=4)
    found = measure(labels, np.pad(probabilities, ((0, 0), (0, 1))), (*CLASSES, "eel"), draws=50)
    row = found.classes[4]
    assert (row.precision, row.recall, row.f1) == (None, None, None)


def test_a_perfect_model_still_has_an_interval():
    labels = np.arange(40) % 4
    found = measure(labels, np.eye(4)[labels], CLASSES, draws=50)
    for interval in (found.accuracy, found.macro_f1, found.classes[0].recall, found.classes[0].f1):
        assert interval.value == 1
        assert 0.5 < interval.low < 0.97
        assert interval.high == 1
    assert found.log_loss.value == 0


def test_a_model_that_is_always_wrong_still_has_an_interval():
    labels = np.arange(40) % 4
    found = measure(labels, np.eye(4)[(labels + 1) % 4], CLASSES, draws=50)
    assert (found.accuracy.value, found.macro_f1.value) == (0, 0)
    assert found.macro_f1.high > 0.02
    assert found.log_loss.value == pytest.approx(15.94, abs=0.01)


def test_intervals_are_those_of_drawing_images_one_by_one():
    labels, probabilities = answers(count=150)
    given = probabilities.argmax(axis=1)
    generator = np.random.default_rng(9)
    recalls, f1s = [], []
    for _ in range(4000):
        drawn = generator.integers(0, 150, 150)
        matrix = confusion_matrix(labels[drawn], given[drawn], 4)
        recalls.append(matrix[1, 1] / matrix[1].sum())
        f1s.append(2 * matrix[1, 1] / (matrix[1].sum() + matrix[:, 1].sum()))
    row = measure(labels, probabilities, CLASSES, draws=4000).classes[1]
    assert (row.recall.low, row.recall.high) == pytest.approx(
        np.quantile(recalls, [0.025, 0.975]), abs=0.02
    )
    assert (row.f1.low, row.f1.high) == pytest.approx(np.quantile(f1s, [0.025, 0.975]), abs=0.02)


@pytest.mark.parametrize("groups_of_images", [12, 300], ids=["few groups", "many groups"])
def test_group_intervals_are_those_of_drawing_groups_one_by_one(groups_of_images):
    labels, probabilities = answers(count=600, seed=3)
    given = probabilities.argmax(axis=1)
    codes = np.random.default_rng(1).integers(0, groups_of_images, 600)
    members = [np.flatnonzero(codes == code) for code in np.unique(codes)]
    generator, precisions = np.random.default_rng(2), []
    for _ in range(3000):
        drawn = np.concatenate(
            [members[code] for code in generator.integers(0, len(members), len(members))]
        )
        matrix = confusion_matrix(labels[drawn], given[drawn], 4)
        precisions.append(matrix[2, 2] / matrix[:, 2].sum())
    found = measure(labels, probabilities, CLASSES, [f"g{code}" for code in codes], draws=3000)
    precision = found.classes[2].precision
    assert found.groups == len(members)
    assert precision.method == "bootstrap by group"
    expected = np.quantile(precisions, [0.025, 0.975])
    assert (precision.low, precision.high) == pytest.approx(expected, abs=0.015)


def test_both_ways_of_counting_groups_agree():
    labels, probabilities = answers(count=600, seed=3)
    groups = [f"g{code}" for code in np.random.default_rng(1).integers(0, 60, 600)]
    narrow = measure(labels, probabilities, CLASSES, groups, draws=300)
    names = (*CLASSES, *(f"other-{n}" for n in range(60)))  # so many classes that sums go kind by kind
    wide = measure(labels, np.pad(probabilities, ((0, 0), (0, 60))), names, groups, draws=300)
    assert wide.classes[:4] == narrow.classes
    ends = (wide.macro_f1.low, wide.macro_f1.high)
    assert ends == pytest.approx((narrow.macro_f1.low, narrow.macro_f1.high), abs=1e-12)


def test_a_class_that_lies_in_one_group_is_as_uncertain_as_one_image():
    labels, probabilities = answers(count=100)
    labels[:20], labels[20:] = 3, labels[20:] % 3
    groups = ["only"] * 20 + [f"g{n % 16}" for n in range(80)]
    recall = measure(labels, probabilities, CLASSES, groups, draws=200).classes[3].recall
    assert recall.high - recall.low > 0.6
    assert recall.count == 20


def test_macro_f1_covers_the_truth_with_many_small_classes():
    held, classes = 0, 30
    truth = np.mean(
        [
            measure(*answers(3000, classes, 4.0, 1000 + n), names(classes), draws=2).macro_f1.value
            for n in range(20)
        ]
    )
    for trial in range(100):
        found = measure(*answers(300, classes, 4.0, trial), names(classes), draws=300, seed=trial).macro_f1
        assert found.low < found.value < found.high
        held += found.low <= truth <= found.high
    assert held >= 85


def test_accuracy_is_the_plain_bootstrap_of_right_answers():
    labels, probabilities = answers()
    found = measure(labels, probabilities, CLASSES, seed=11)
    assert found.accuracy == bootstrap_interval(labels == probabilities.argmax(axis=1), seed=11)


def test_the_same_seed_gives_the_same_figures():
    labels, probabilities = answers()
    assert measure(labels, probabilities, CLASSES) == measure(labels, probabilities, CLASSES)
    assert measure(labels, probabilities, CLASSES) != measure(labels, probabilities, CLASSES, seed=1)


@pytest.mark.parametrize("groups", [None, 1000], ids=["by image", "by group"])
def test_10000_images_with_2000_draws_take_less_than_two_seconds(groups):
    labels, probabilities = answers(count=10_000, classes=10)
    of_image = None if groups is None else [f"g{n % groups}" for n in range(10_000)]
    begun = time.process_time()
    measure(labels, probabilities, names(10), of_image, draws=2000)
    assert time.process_time() - begun < 2.0


def test_one_image_of_one_class_is_enough():
    found = measure(np.array([0]), np.array([[1.0]]), ("ant",))
    assert found.accuracy.value == 1
    assert found.accuracy.low < 0.3


def test_no_numpy_warning_is_hidden_in_undefined_corners():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measure(np.array([0, 0, 1]), np.eye(4)[[1, 1, 2]], CLASSES, ["a", "a", "b"], draws=20)


@pytest.mark.parametrize(
    ("labels", "probabilities", "message"),
    [
        (np.array([], np.int64), np.empty((0, 4)), "no images"),
        (np.array([0, 1]), np.full((2, 3), 1 / 3), "shape"),
        (np.array([0]), np.full((2, 4), 0.25), "shape"),
        (np.array([-1]), np.full((1, 4), 0.25), "Received: -1"),
        (np.array([4]), np.full((1, 4), 0.25), "to 4"),
        (np.array([0]), np.full((1, 4), np.nan), "NaN"),
        (np.array([0]), np.array([[3.0, -1.0, 0.0, 0.0]]), "outside 0 to 1"),
    ],
)
def test_what_cannot_be_judged_is_refused_in_words(labels, probabilities, message):
    with pytest.raises(Invalid, match=message):
        measure(labels, probabilities, CLASSES)


def names(classes):
    return tuple(f"class-{place}" for place in range(classes))
