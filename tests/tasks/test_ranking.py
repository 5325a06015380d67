"""Rankings measured as scikit-learn measures them, ties and all."""

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    precision_recall_curve,
    roc_auc_score,
    roc_curve,
    top_k_accuracy_score,
)

from darkroom.tasks.classification import measure
from darkroom.tasks.ranking import (
    Steps,
    average_precision,
    place_of_truth,
    precision_at,
    roc_area,
    steps_of,
    true_positive_rate_at,
)


def answers(count, classes, seed=0, decimals=None):
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    logits = generator.normal(size=(count, classes))
    logits[np.arange(count), labels] += 1.2
    found = np.exp(logits)
    found /= found.sum(axis=1, keepdims=True)
    return labels, found if decimals is None else np.round(found, decimals)


@pytest.mark.parametrize("decimals", [None, 1], ids=["all different", "many ties"])
def test_areas_are_those_of_scikit_learn(decimals):
    labels, found = answers(400, 4, decimals=decimals)
    for place in range(4):
        steps = steps_of(found[:, place], labels == place)
        mine = average_precision(steps), roc_area(steps)
        expected = (
            average_precision_score(labels == place, found[:, place]),
            roc_auc_score(labels == place, found[:, place]),
        )
        assert mine == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("decimals", [None, 1])
def test_curves_go_through_the_points_of_scikit_learn(decimals):
    labels, found = answers(300, 3, seed=1, decimals=decimals)
    shows, scores = labels == 0, found[:, 0]
    steps = steps_of(scores, shows)
    alarms, rates, _ = roc_curve(shows, scores, drop_intermediate=False)
    highest = [rates[alarms == alarm].max() for alarm in np.unique(alarms)]
    assert true_positive_rate_at(steps, np.unique(alarms)) == pytest.approx(highest, abs=1e-12)
    precision, recall, _ = precision_recall_curve(shows, scores)
    first = [precision[recall == at].max() for at in np.unique(recall[:-1])]
    firsts = precision_at(steps, np.unique(recall[:-1]))
    # Where several thresholds reach a recall, the highest of them has the best precision.
    assert firsts[1:] == pytest.approx(first[1:], abs=1e-12)


def test_draws_are_measured_at_once():
    hits = np.array([[1, 0, 2], [0, 1, 0]])
    alarms = np.array([[0, 1, 1], [2, 0, 0]])
    both = average_precision(Steps(hits, alarms)), roc_area(Steps(hits, alarms))
    for row in range(2):
        one = Steps(hits[row], alarms[row])
        assert (both[0][row], both[1][row]) == (average_precision(one), roc_area(one))


def test_without_images_of_a_class_nothing_is_defined():
    steps = steps_of(np.array([0.2, 0.9]), np.array([False, False]))
    assert np.isnan(average_precision(steps))
    assert np.isnan(roc_area(steps))
    every = steps_of(np.array([0.2, 0.9]), np.array([True, True]))
    assert average_precision(every) == 1
    assert np.isnan(roc_area(every))


def test_top_k_and_balanced_accuracy_are_those_of_scikit_learn():
    labels, found = answers(500, 7, seed=2)
    figures = measure(labels, found, tuple("abcdefg"), draws=200)
    assert set(figures.top_k) == {3, 5}
    for k, interval in figures.top_k.items():
        assert interval.value == pytest.approx(top_k_accuracy_score(labels, found, k=k))
        assert interval.low < interval.value < interval.high
    balanced = figures.balanced_accuracy
    assert balanced is not None
    assert balanced.value == pytest.approx(balanced_accuracy_score(labels, found.argmax(axis=1)))
    assert balanced.low < balanced.value < balanced.high


def test_of_equal_probabilities_the_first_class_stands_first():
    labels = np.array([0, 1, 2])
    found = np.array([[0.4, 0.4, 0.2]] * 3)
    assert place_of_truth(labels, found).tolist() == [0, 1, 2]
    assert (place_of_truth(labels, found) == 0).tolist() == (found.argmax(axis=1) == labels).tolist()
