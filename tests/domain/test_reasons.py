"""A planted change is noticed, and named by what it is; pictures like those of training are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from darkroom.domain import DomainAnswer, DomainCheck
from darkroom.domain.properties import DISTANCE, PROPERTIES
from tests.domain.digits import (
    CONTRACT,
    LARGE_PHOTO,
    PHOTO,
    PLANTED,
    SMALL_PHOTO,
    WIDE_PHOTO,
    check,
    digits,
    features,
    fresh,
    sketch,
)


def asked(name: str) -> list[DomainAnswer]:
    change = PLANTED[name][0]
    return [check().check(change(picture), PHOTO) for picture in fresh()]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_change_is_noticed_and_named(name: str) -> None:
    _, expected, words = PLANTED[name]
    answers = asked(name)
    assert np.mean([not one.in_domain for one in answers]) >= 0.95
    named = [one.reasons[0] for one in answers if one.reasons]
    assert np.mean([reason.name == expected for reason in named]) >= 0.85
    assert all(reason.words.startswith(words) for reason in named if reason.name == expected)


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("inverted", 'contract.enhance = ["dark_background"]'),
        ("inverted", "recipe.augment.invert = 0.5"),
        ("on a grey sheet", "recipe.augment.brightness = "),
        ("faint", 'contract.enhance = ["autocontrast"]'),
        ("noisy", 'contract.enhance = ["median3"]'),
        ("small", "recipe.augment.zoom = "),
        ("large", "recipe.augment.zoom = "),
        ("to the right", "recipe.augment.shift = "),
        ("up", "cut pictures around what is on them"),
    ],
)
def test_each_reason_proposes_what_could_be_done(name: str, fix: str) -> None:
    expected = PLANTED[name][1]
    proposed = [one.fixes for one in asked(name) if one.reasons and one.reasons[0].name == expected]
    assert all(any(fix in text for text in texts) for texts in proposed)


def test_pictures_like_those_of_training_look_in_domain() -> None:
    answers = [check().check(picture, PHOTO) for picture in fresh(397)]
    assert np.mean([one.in_domain for one in answers]) >= 0.97
    plain = next(one for one in answers if one.in_domain)
    assert (plain.words, plain.reasons, plain.fixes) == ("looks in-domain", (), ())


def test_a_light_background_is_told_with_the_share_of_training() -> None:
    answer = check().check(np.invert(fresh()[0]), PHOTO)
    assert "the background is light; in training 100 % had a dark background" in answer.words


def test_what_follows_from_swapped_light_and_dark_is_not_named_beside_it() -> None:
    for answer in asked("inverted"):
        assert not {"brightness", "contrast"} & {reason.name for reason in answer.reasons}


def test_numbers_of_training_stand_beside_the_picture_s() -> None:
    reason = check().check(PLANTED["faint"][0](fresh()[0]), PHOTO).reasons[0]
    assert reason.words == "its contrast is weaker: 89 of 255 (98 % of the training pictures: 255)"
    assert (reason.value, reason.training) == (89.0, (255.0, 255.0))


@pytest.mark.parametrize(("photo", "name"), [(SMALL_PHOTO, "pixels"), (WIDE_PHOTO, "aspect")])
def test_what_the_tensor_lost_is_seen_on_the_photo(photo, name: str) -> None:
    plain = next(picture for picture in fresh() if check().check(picture, PHOTO).in_domain)
    assert [one.name for one in check().check(plain, photo).reasons] == [name]
    assert check().check(plain).in_domain  # without the photo nothing is said of its size
    assert check().check(plain, LARGE_PHOTO).in_domain  # more pixels than needed are no loss


def test_pictures_unlike_any_other_are_far_from_everything_in_features() -> None:
    random = np.random.default_rng(5)
    strange = random.permutation(fresh()[0].ravel()).reshape(CONTRACT.shape)
    answer = check(with_features=True).check(strange, PHOTO, features(strange[None])[0])
    assert not answer.in_domain
    assert answer.used == "statistics and features"
    vector = np.zeros(40, np.float32)
    vector[0] = 1.0
    plain = next(picture for picture in fresh() if check().check(picture, PHOTO).in_domain)
    far = check(with_features=True).check(plain, PHOTO, vector)
    assert [reason.name for reason in far.reasons] == [DISTANCE.name]
    assert "far from those of every training picture" in far.words


def test_the_nearest_training_pictures_are_named() -> None:
    known = digits()[7]
    for answer in (
        check().check(known, PHOTO),
        check(with_features=True).check(known, PHOTO, features(known[None])[0]),
    ):
        assert answer.nearest[0].image_id == f"{7:064d}"
        assert answer.nearest[0].distance == pytest.approx(0, abs=2e-2)
        assert len(answer.nearest) == 5
        distances = [one.distance for one in answer.nearest]
        assert distances == sorted(distances)


def test_features_of_another_model_have_no_say() -> None:
    answer = check(with_features=True).check(fresh()[0], PHOTO, np.ones(7, np.float32))
    assert answer.used == "statistics"


@pytest.mark.parametrize("value", [0, 128, 255])
def test_a_picture_of_one_colour_is_different_and_breaks_nothing(value: int) -> None:
    flat = np.full(CONTRACT.shape, value, np.uint8)
    for one, vector in ((check(), None), (check(with_features=True), features(flat[None])[0])):
        answer = one.check(flat, PHOTO, vector)
        assert not answer.in_domain
        said = [reason.words for reason in answer.reasons]
        assert any(words.startswith("its contrast is weaker: 0 of 255") for words in said)


def test_every_property_has_words_and_a_fix() -> None:
    from darkroom.domain.fixes import fix_for

    known = {trait.name for trait in sketch(with_features=True).facts.traits}
    coloured = {one.name for one in PROPERTIES if one.colour_only}
    assert known | coloured == {one.name for one in (*PROPERTIES, DISTANCE)}
    for trait in sketch(with_features=True).facts.traits:
        for value in (trait.quantiles[0] - 1, trait.quantiles[4] + 1):
            assert fix_for(trait, value, CONTRACT)


def test_a_tensor_of_another_contract_is_refused() -> None:
    from darkroom.errors import Invalid

    with pytest.raises(Invalid, match=r"uint8 \(28, 28, 1\)"):
        DomainCheck(sketch()).check(np.zeros((28, 28, 3), np.uint8))
