"""The one function by which an answer counts or is "not sure"."""

import numpy as np
import pytest

from darkroom.records import OperatingPoint
from darkroom.tasks.operating import decide, thresholds_of

CLASSES = ("ant", "bee", "cat")
FOUND = np.array([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.45, 0.45, 0.1]], np.float32)


def test_without_an_operating_point_every_answer_counts_and_nothing_changes():
    found = decide(FOUND, CLASSES, OperatingPoint())
    assert found.answers.tolist() == [0, 1, 0]
    assert found.confidences.tolist() == FOUND.max(axis=1).tolist()
    assert found.sure.all()


def test_an_answer_counts_from_its_own_threshold_and_the_common_one_on():
    point = OperatingPoint(thresholds={"ant": 0.6, "nobody": 0.9}, not_sure_below=0.42)
    assert thresholds_of(CLASSES, point).tolist() == [0.6, 0.42, 0.42]
    assert decide(FOUND, CLASSES, point).sure.tolist() == [True, False, False]


def test_thresholds_are_held_against_probabilities_at_the_temperature():
    point = OperatingPoint(temperature=0.5, thresholds={"bee": 0.45})
    powers = FOUND.astype(float) ** 2
    found = decide(FOUND, CLASSES, point)
    assert found.confidences == pytest.approx((powers / powers.sum(axis=1, keepdims=True)).max(axis=1))
    assert found.sure.tolist() == [True, True, True]
    assert found.answers.tolist() == [0, 1, 0]


def test_more_rows_than_are_looked_at_together_are_all_answered():
    many = np.tile(FOUND, (4000, 1))
    assert decide(many, CLASSES, OperatingPoint(not_sure_below=0.5)).sure.sum() == 4000


def test_a_card_of_before_reads_as_a_point_that_changes_nothing():
    assert OperatingPoint.model_validate({"thresholds": {}, "not_sure_below": 0.0}) == OperatingPoint()
