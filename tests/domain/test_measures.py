"""Each measure says what a person can count on a drawn picture, and hears only what it is about."""

from __future__ import annotations

import math

import numpy as np
import pytest

from darkroom.domain.measures import measure
from darkroom.domain.properties import PROPERTIES
from darkroom.images import transform_of
from darkroom.records import Contract


def found(tensor: np.ndarray, photo=None) -> dict[str, float]:
    return {one.name: value for one, value in zip(PROPERTIES, measure(tensor, photo).tolist(), strict=True)}


def bar(
    width_px: int, *, left: int = 20, top: int = 8, height_px: int = 32, side_px: int = 48
) -> np.ndarray:
    """An upright white bar on black, (48, 48, 1) uint8."""
    sheet = np.zeros((side_px, side_px, 1), np.uint8)
    sheet[top : top + height_px, left : left + width_px] = 255
    return sheet


@pytest.mark.parametrize("width_px", [2, 4, 6])
def test_the_width_of_a_stroke_is_counted_in_pixels(width_px: int) -> None:
    # Its two short sides belong to its edge as well, so that a bar seems a little thinner than it is.
    expected = 2 * width_px * 32 / (2 * 32 + 2 * width_px)
    assert found(bar(width_px))["stroke"] == pytest.approx(expected, rel=0.04)


def test_size_and_place_are_shares_of_the_side() -> None:
    values = found(bar(4, left=30, top=4, height_px=24))
    assert values["size"] == pytest.approx(24 / 48)
    assert values["centre_x"] == pytest.approx((32 - 24) / 48)
    assert values["centre_y"] == pytest.approx((16 - 24) / 48)


def test_what_stands_on_a_picture_is_measured_alike_in_swapped_and_in_faint_colours() -> None:
    plain, swapped = found(bar(5)), found(np.invert(bar(5)))
    faint = found((100 + bar(5).astype(int) // 4).astype(np.uint8))
    assert (plain["polarity"], swapped["polarity"], faint["polarity"]) == (-1.0, 1.0, -1.0)
    for name in ("size", "centre_x", "centre_y", "sharpness"):
        assert swapped[name] == pytest.approx(plain[name])
        assert faint[name] == pytest.approx(plain[name], rel=0.02)
    assert swapped["stroke"] == pytest.approx(plain["stroke"])


@pytest.mark.parametrize("sigma", [5.0, 15.0])
def test_noise_is_its_standard_deviation_and_lines_are_none(sigma: float) -> None:
    grain = np.random.default_rng(0).normal(0, sigma, (48, 48, 1))
    noisy = np.clip(bar(4) * 0.3 + 90 + grain, 0, 255).astype(np.uint8)
    assert found(noisy)["noise"] == pytest.approx(sigma, rel=0.15)
    assert found(bar(4))["noise"] == 0.0


def test_brightness_and_contrast_are_grey_levels() -> None:
    ramp = np.tile(np.arange(48, dtype=np.uint8) * 2 + 50, (48, 1))[..., None]
    values = found(ramp)
    assert values["brightness"] == pytest.approx(97, abs=2)
    assert values["contrast"] == pytest.approx(94, abs=4)


def test_colours_are_told_apart() -> None:
    red = np.zeros((16, 16, 3), np.uint8) + np.array([200, 40, 40], np.uint8)
    blue = np.zeros((16, 16, 3), np.uint8) + np.array([40, 40, 200], np.uint8)
    assert found(red)["red_green"] == pytest.approx(160)
    assert found(blue)["yellow_blue"] == pytest.approx(-160)
    assert found(red)["saturation"] == found(blue)["saturation"] == pytest.approx(160)
    assert math.isnan(found(bar(4))["saturation"])


def test_the_photo_tells_its_size_and_proportions() -> None:
    contract = Contract(width_px=48, height_px=48, colour="grey", resize="crop")
    values = found(bar(4), transform_of(960, 480, contract))
    assert values["pixels"] == pytest.approx(10)
    assert values["aspect"] == pytest.approx(2)
    assert math.isnan(found(bar(4))["pixels"])


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 3), (9, 1, 3), (2, 2, 1), (3, 2, 3)])
def test_the_smallest_pictures_are_measured(shape: tuple[int, int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert np.isfinite(found(noise)["brightness"])


def test_nothing_stands_on_a_picture_of_one_colour() -> None:
    values = found(np.full((20, 20, 1), 77, np.uint8))
    assert (values["brightness"], values["contrast"]) == (77.0, 0.0)
    assert all(math.isnan(values[name]) for name in ("polarity", "size", "stroke", "centre_x", "sharpness"))
