"""Which pictures quantising looks at, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import Invalid
from darkroom.export.calibration import (
    choose_pictures,
    choose_pictures_of_masks,
    load_tensors,
    save_tensors,
)

LABELS = np.array([0] * 500 + [1] * 30 + [2] * 7)


def test_each_class_gives_as_many_pictures_as_it_can() -> None:
    found = choose_pictures(LABELS, most=60)
    assert np.bincount(LABELS[found.rows]).tolist() == [27, 26, 7]
    assert found.classes == 3
    assert found.rows.tolist() == sorted(set(found.rows.tolist()))


def test_the_same_seed_draws_the_same_pictures_and_another_one_others() -> None:
    first, again, other = (choose_pictures(LABELS, most=60, seed=seed).rows for seed in (1, 1, 2))
    assert first.tolist() == again.tolist() != other.tolist()


def test_a_picture_of_several_labels_is_taken_once_and_one_without_any_too() -> None:
    sets = np.array([[1, 1], [1, 0], [0, 1], [0, 0]])
    assert choose_pictures(sets).rows.tolist() == [0, 1, 2, 3]


def test_a_single_label_is_no_single_class_where_some_pictures_do_not_have_it() -> None:
    alone = np.array([[1]] * 30 + [[0]] * 70)
    found = choose_pictures(alone, most=20)
    assert (found.classes, int(alone[found.rows].sum())) == (2, 10)
    with pytest.raises(Invalid, match="single class"):
        choose_pictures(alone[:30])


def test_with_more_classes_than_pictures_not_only_the_first_classes_are_seen() -> None:
    labels = np.repeat(np.arange(300), 3)
    seen = labels[choose_pictures(labels, most=100).rows]
    assert len(set(seen.tolist())) == 100
    assert seen.max() > 200


def test_pictures_of_masks_count_the_classes_of_their_pixels() -> None:
    masks = np.zeros((10, 4, 4), np.uint8)
    masks[:, 0] = 255
    with pytest.raises(Invalid, match="single class") as caught:
        choose_pictures_of_masks(lambda rows: masks[rows], 10)
    assert caught.value.id == "calibration.one-class"
    masks[7, 2, 2] = 1
    found = choose_pictures_of_masks(lambda rows: masks[rows], 10)
    assert (found.classes, len(found.rows)) == (2, 10)


def test_a_single_class_is_refused_with_the_reason() -> None:
    with pytest.raises(Invalid, match="All 40 calibration pictures are of a single class") as caught:
        choose_pictures(np.full(40, 3))
    assert "train split" in caught.value.hint


def test_no_pictures_are_refused_with_what_needs_none() -> None:
    with pytest.raises(Invalid) as caught:
        choose_pictures(np.zeros(0, np.int64))
    assert caught.value.id == "calibration.none"
    assert "weight-int8" in caught.value.hint


def test_tensors_of_another_shape_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.npy"
    save_tensors(path, np.zeros((3, 4, 5, 1), np.uint8))
    assert load_tensors(path, (4, 5, 1)).shape == (3, 4, 5, 1)
    with pytest.raises(Invalid, match=r"Expected: uint8 \(n, 5, 4, 1\)"):
        load_tensors(path, (5, 4, 1))
    with pytest.raises(Invalid, match="needs pictures"):
        load_tensors(None, (4, 5, 1))
