"""Overlap: against sets of pixels written down, and against counting by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from darkroom.tasks.overlap import IGNORE, confusion_of, iou_of, mean_iou, pixel_accuracy

MASKS = arrays.arrays(np.uint8, (2, 3, 4), elements=st.sampled_from([0, 1, 2, IGNORE]))
ANSWERS = arrays.arrays(np.uint8, (2, 3, 4), elements=st.sampled_from([0, 1, 2]))


@given(MASKS, ANSWERS)
def test_iou_is_that_of_sets_of_pixels(masks, answers):
    confusion = confusion_of(masks, answers, 3).sum(0)
    found = iou_of(confusion)
    for index in range(3):
        right = {place for place in np.ndindex(masks.shape) if masks[place] == index}
        said = {p for p in np.ndindex(masks.shape) if answers[p] == index and masks[p] != IGNORE}
        expected = len(right & said) / len(right | said) if right | said else np.nan
        assert found[index] == pytest.approx(expected, nan_ok=True)
    known = masks != IGNORE
    hits = (masks == answers)[known]
    assert pixel_accuracy(confusion) == pytest.approx(hits.mean() if known.any() else 0)


def test_each_picture_has_a_confusion_of_its_own():
    masks, answers = np.array([[[0, 1]], [[1, IGNORE]]]), np.array([[[0, 0]], [[1, 1]]])
    assert confusion_of(masks, answers, 2).tolist() == [[[1, 0], [1, 0]], [[0, 0], [0, 1]]]


def test_a_class_that_nothing_shows_is_left_out_of_the_mean():
    confusion = np.array([[4, 0, 2], [0, 2, 0], [0, 0, 0]])
    assert mean_iou(confusion) == pytest.approx((4 / 6 + 2 / 2) / 2)
    assert mean_iou(np.zeros((3, 3), int)) == 0.0
    assert pixel_accuracy(np.zeros((3, 3), int)) == 0.0
