"""The geometry of the four resize modes, and the way back onto the photo."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkroom.images import Transform, transform_of
from darkroom.records import Contract

MODES = ("squash", "crop", "fill", "half_crop")
sizes = st.tuples(st.integers(1, 5000), st.integers(1, 5000))
tensors = st.tuples(st.integers(1, 600), st.integers(1, 600))


def of(size: tuple[int, int], tensor: tuple[int, int], mode: str) -> Transform:
    return transform_of(*size, Contract(width_px=tensor[0], height_px=tensor[1], resize=mode))


@pytest.mark.parametrize(
    ("mode", "crop_box", "tensor_box"),
    [
        ("squash", (0, 0, 400, 200), (0, 0, 100, 100)),
        ("crop", (100, 0, 300, 200), (0, 0, 100, 100)),
        ("fill", (0, 0, 400, 200), (0, 25, 100, 75)),
        ("half_crop", (50, 0, 350, 200), (0, 16, 100, 83)),
    ],
)
def test_a_wide_photo_in_a_square(
    mode: str, crop_box: tuple[int, ...], tensor_box: tuple[int, ...]
) -> None:
    found = of((400, 200), (100, 100), mode)
    assert (found.crop_box, found.tensor_box) == (crop_box, tensor_box)


@given(size=sizes, tensor=tensors, mode=st.sampled_from(MODES))
@settings(max_examples=300, deadline=None)
def test_boxes_lie_inside_and_are_centred(
    size: tuple[int, int], tensor: tuple[int, int], mode: str
) -> None:
    found = of(size, tensor, mode)
    for box, limits in ((found.crop_box, size), (found.tensor_box, tensor)):
        for low, high, limit in zip(box[:2], box[2:], limits, strict=True):
            assert 0 <= low < high <= limit
            assert 0 <= (limit - high) - low <= 1


@given(size=sizes, tensor=tensors, mode=st.sampled_from(MODES[1:]))
@settings(max_examples=300, deadline=None)
def test_proportions_are_kept_as_far_as_whole_pixels_can(
    size: tuple[int, int], tensor: tuple[int, int], mode: str
) -> None:
    """What is kept, scaled by one factor, is at most half a pixel from what it becomes."""
    found = of(size, tensor, mode)
    across, down = Fraction(size[0], tensor[0]), Fraction(size[1], tensor[1])
    scale = {"crop": min(across, down), "fill": max(across, down), "half_crop": (across + down) / 2}[mode]
    half = Fraction(1, 2)
    for kept, whole, becomes, limit in (
        (found.crop_width_px, size[0], found.resized_width_px, tensor[0]),
        (found.crop_height_px, size[1], found.resized_height_px, tensor[1]),
    ):
        wanted_kept, wanted = min(Fraction(whole), limit * scale), min(Fraction(limit), whole / scale)
        assert abs(kept - max(1, wanted_kept)) <= half
        assert abs(becomes - max(1, wanted)) <= half


def test_equal_proportions_make_all_modes_one() -> None:
    boxes = {
        (of((640, 480), (64, 48), mode).crop_box, of((640, 480), (64, 48), mode).tensor_box)
        for mode in MODES
    }
    assert boxes == {((0, 0, 640, 480), (0, 0, 64, 48))}


@given(size=sizes, tensor=tensors, mode=st.sampled_from(MODES), x=st.floats(-9, 99), y=st.floats(-9, 99))
@settings(max_examples=200, deadline=None)
def test_points_go_forth_and_back(
    size: tuple[int, int], tensor: tuple[int, int], mode: str, x: float, y: float
) -> None:
    found = of(size, tensor, mode)
    assert found.to_tensor(*found.to_original(x, y)) == pytest.approx((x, y), abs=1e-6)


@pytest.mark.parametrize("mode", MODES)
def test_the_corners_of_the_boxes_map_onto_each_other(mode: str) -> None:
    found = of((401, 203), (64, 96), mode)
    for corner in (slice(0, 2), slice(2, 4)):
        assert found.to_original(*found.tensor_box[corner]) == pytest.approx(found.crop_box[corner])


def test_a_mask_is_laid_on_the_part_of_the_photo_that_was_seen() -> None:
    found = of((8, 4), (2, 2), "crop")
    mask = np.array([[1, 2], [3, 4]], np.uint8)
    whole = found.mask_to_original(mask, outside=9)
    assert whole.tolist() == [[9, 9, 1, 1, 2, 2, 9, 9]] * 2 + [[9, 9, 3, 3, 4, 4, 9, 9]] * 2


def test_padding_never_reaches_the_photo() -> None:
    found = of((8, 4), (4, 4), "fill")
    mask = np.full((4, 4), 7)
    mask[1:3] = [[1, 2, 3, 4], [5, 6, 7, 8]]
    whole = found.mask_to_original(mask)
    assert whole.tolist() == [[1, 1, 2, 2, 3, 3, 4, 4]] * 2 + [[5, 5, 6, 6, 7, 7, 8, 8]] * 2
    assert np.array_equal(found.mask_to_tensor(whole, outside=7)[1:3], mask[1:3])
    assert (found.mask_to_tensor(whole, outside=7)[[0, 3]] == 7).all()


@given(size=st.tuples(st.integers(1, 80), st.integers(1, 80)), mode=st.sampled_from(MODES))
@settings(max_examples=80, deadline=None)
def test_a_mask_takes_each_pixel_from_the_nearest(size: tuple[int, int], mode: str) -> None:
    found = of(size, (17, 23), mode)
    mask = np.arange(17 * 23).reshape(23, 17)
    whole = found.mask_to_original(mask, outside=-1)
    left, top, right, bottom = found.crop_box
    for y in range(size[1]):
        for x in range(size[0]):
            if not (left <= x < right and top <= y < bottom):
                assert whole[y, x] == -1
                continue
            column, row = found.to_tensor(x + 0.5, y + 0.5)
            near = {mask[int(row + e), int(column + f)] for e in (-1e-9, 1e-9) for f in (-1e-9, 1e-9)}
            assert whole[y, x] in near


def test_the_size_of_the_type_is_kept() -> None:
    found = of((5, 5), (3, 3), "squash")
    assert found.mask_to_original(np.ones((3, 3), np.uint16)).dtype == np.uint16
