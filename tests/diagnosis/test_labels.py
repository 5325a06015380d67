"""Labels are held against features out of fold: wrong ones are counted, hard pictures are not."""

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from darkroom.diagnosis.labels import disagreement, out_of_fold, pixel_features


def flipped(labels, share, seed, classes=10):
    draw = np.random.default_rng(seed)
    wrong = draw.random(len(labels)) < share
    return np.where(wrong, (labels + draw.integers(1, classes, len(labels))) % classes, labels), wrong


@pytest.fixture(scope="module")
def digits():
    bunch: Any = load_digits()
    images = (bunch.images[:900] * 15.9).astype(np.uint8)[..., None]
    ids = [f"{number:064x}" for number in range(900)]
    return pixel_features(images), bunch.target[:900], ids


def found(digits, labels, groups=None):
    features, _, ids = digits
    groups = groups or [None] * len(ids)
    return disagreement(features, labels, ids, groups, classes=10, basis="pixels")


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_share_of_wrong_labels_lies_in_the_interval(digits, share, seed):
    labels, wrong = flipped(digits[1], share, seed)
    among = found(digits, labels).among_sure
    assert among.low - 0.02 <= wrong.mean() <= among.high + 0.02
    assert (among.low > 0.04) == (share > 0)


def test_the_pictures_doubted_most_are_those_with_wrong_labels(digits):
    labels, wrong = flipped(digits[1], 0.3, 0)
    doubted = [int(image_id, 16) for image_id in found(digits, labels).doubted]
    assert len(doubted) == 50
    assert wrong[doubted].mean() > 0.95


def test_features_that_say_nothing_are_known_to(digits):
    noise = np.random.default_rng(0).normal(size=(900, 20))
    one = disagreement(noise, digits[1], digits[2], [None] * 900, classes=10, basis="noise")
    assert one.accuracy < 0.2


def test_no_picture_is_answered_by_a_fit_on_its_own_group(digits):
    """A feature that names the group is of no use where groups stay together."""
    draw = np.random.default_rng(0)
    groups, ids = [f"g{number // 6}" for number in range(300)], digits[2][:300]
    labels = draw.integers(0, 10, 50).repeat(6)
    features = draw.normal(size=(50, 60)).repeat(6, axis=0)
    probabilities = out_of_fold(features, labels, ids, groups, classes=10)
    assert (probabilities.argmax(1) == labels).mean() < 0.3
    alone = out_of_fold(features, labels, ids, [None] * 300, classes=10)
    assert (alone.argmax(1) == labels).mean() > 0.9


def test_it_answers_about_as_well_as_scikit_learns_regression(digits):
    features, labels, ids = digits
    ours = (out_of_fold(features, labels, ids, [None] * 900, classes=10).argmax(1) == labels).mean()
    half = np.arange(900) % 5 > 0
    other = LogisticRegression(C=0.01, max_iter=500).fit(features[half] / 16, labels[half])
    assert ours > other.score(features[~half] / 16, labels[~half]) - 0.04
