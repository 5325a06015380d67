"""The enhancement steps on small tensors that can be followed by eye."""

from __future__ import annotations

import numpy as np

from darkroom.images.enhance import autocontrast, dark_background, invert, median3
from tests.images.kinds import noise


def grey(rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, np.uint8)[:, :, None]


def test_invert_is_its_own_inverse() -> None:
    assert invert(grey([[0, 1, 254, 255]]))[:, :, 0].tolist() == [[255, 254, 1, 0]]
    assert np.array_equal(invert(invert(noise())), noise())


def test_autocontrast_stretches_each_channel_by_itself() -> None:
    pixels = np.stack([grey([[10, 12, 14]]), grey([[0, 255, 128]]), grey([[7, 7, 7]])], axis=2)[..., 0]
    found = autocontrast(pixels)
    assert found[0, :, 0].tolist() == [0, 128, 255]  # 127.5 goes up
    assert found[0, :, 1].tolist() == [0, 255, 128]
    assert found[0, :, 2].tolist() == [7, 7, 7]


def test_median_removes_a_speck_and_repeats_the_edge() -> None:
    speck = grey([[5, 5, 5], [5, 200, 5], [5, 5, 5]])
    assert (median3(speck) == 5).all()
    assert median3(grey([[1, 2, 9]]))[0, :, 0].tolist() == [1, 2, 9]
    assert median3(grey([[9, 1, 2]]))[0, :, 0].tolist() == [9, 2, 2]


def test_median_works_on_a_single_pixel() -> None:
    assert median3(grey([[77]])).tolist() == [[[77]]]


def test_a_light_rim_swaps_light_and_dark_and_a_dark_one_does_not() -> None:
    drawn = grey([[255, 255, 255], [255, 0, 255], [255, 255, 255]])
    assert np.array_equal(dark_background(drawn), invert(drawn))
    assert np.array_equal(dark_background(invert(drawn)), invert(drawn))
    assert np.array_equal(dark_background(dark_background(noise())), dark_background(noise()))


def test_the_rim_counts_each_pixel_once_and_a_tie_is_dark() -> None:
    assert dark_background(grey([[255, 0]])).tolist() == [[[255], [0]]]
    assert dark_background(grey([[255], [255], [0]])).tolist() == [[[0]], [[0]], [[255]]]
    assert dark_background(grey([[128]])).tolist() == [[[127]]]
    mostly_inside = grey([[0, 0, 0], [0, 255, 0], [0, 0, 255]])
    assert np.array_equal(dark_background(mostly_inside), mostly_inside)
