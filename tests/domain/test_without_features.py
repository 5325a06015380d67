"""Where distances in features cannot be told, the picture's statistics alone decide, and it is said."""

from __future__ import annotations

import numpy as np

from darkroom.domain import DomainCheck, learn
from darkroom.domain.learning import NO_FEATURES
from tests.domain.digits import CONTRACT, PHOTO, TRAIN, check, examples, features, fresh, sketch


def test_features_of_another_size_or_that_are_no_numbers_have_no_say() -> None:
    known, picture = check(with_features=True), fresh(1)[0]
    vector = features(picture[None])[0]
    assert known.check(picture, PHOTO, vector).used == "statistics and features"
    broken = vector.copy()
    broken[3] = np.nan
    for other in (None, vector[:-1], broken, np.full_like(vector, np.inf)):
        found = known.check(picture, PHOTO, other)
        assert found.used == "statistics"
        assert found == known.check(picture, PHOTO)
        assert known.check(np.invert(picture), PHOTO, other).reasons[0].name == "polarity"


def test_with_every_row_forgotten_there_are_no_distances_and_no_nearest_pictures() -> None:
    whole = sketch(with_features=True)
    ids = whole.facts.image_ids
    for gone, near in ((ids, 0), (ids[1:], 1)):
        found = DomainCheck(whole.without(frozenset(gone))).check(fresh(1)[0], PHOTO, features(fresh(1))[0])
        assert found.used == "statistics"
        assert len(found.nearest) == near


def test_a_sketch_of_features_that_are_no_numbers_says_so_and_knows_statistics() -> None:
    train = examples(np.arange(300), with_features=True)
    held_out = examples(np.arange(TRAIN, TRAIN + 200), with_features=True)
    assert held_out.features is not None
    bad = held_out.features.copy()
    bad[7, 0] = np.inf
    made = learn(train, held_out._replace(features=bad), contract=CONTRACT)
    assert [one.used for one in made.facts.calibrations] == ["statistics"]
    assert made.facts.notes == (NO_FEATURES,)
    assert made.facts.feature_size == 0
    answer = DomainCheck(made).check(np.invert(fresh(1)[0]), PHOTO, features(fresh(1))[0])
    assert (answer.used, answer.reasons[0].name) == ("statistics", "polarity")
    plain = learn(train._replace(features=None), held_out._replace(features=None), contract=CONTRACT)
    assert plain.facts.notes == ()
