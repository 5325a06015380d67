"""Python's path equals the contract in plain integers, step by step."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from darkroom.errors import Unsupported
from darkroom.images import (
    Decoded,
    apply_contract,
    decode,
    prepare,
    reference_contract,
    reference_steps,
)
from darkroom.images.colour import flatten, in_colour
from darkroom.images.reference import axis_coefficients
from darkroom.records import Contract
from tests.images.kinds import encoded, exif, noise

MODES = ("squash", "crop", "fill", "half_crop")
CHANNELS = st.integers(0, 255)

contracts = st.builds(
    Contract,
    width_px=st.integers(1, 40),
    height_px=st.integers(1, 40),
    colour=st.sampled_from(("rgb", "grey")),
    resize=st.sampled_from(MODES),
    alpha_colour=st.tuples(CHANNELS, CHANNELS, CHANNELS),
    pad_colour=st.tuples(CHANNELS, CHANNELS, CHANNELS),
    enhance=st.lists(
        st.sampled_from(("invert", "autocontrast", "median3", "dark_background")), max_size=2
    ).map(tuple),
)
sides = st.one_of(st.just(1), st.integers(1, 90), st.integers(91, 400))


def assert_equal_in_each_step(pixels: np.ndarray, contract: Contract, orientation: int) -> None:
    decoded = Decoded.from_pixels(pixels, orientation=orientation)
    prepared = apply_contract(decoded, contract, trace=True)
    expected = reference_steps(pixels, contract, orientation=orientation)
    assert [step.name for step in prepared.steps] == [name for name, _ in expected]
    for step, (name, reference) in zip(prepared.steps, expected, strict=True):
        assert np.array_equal(step.pixels, reference), name
    assert np.array_equal(apply_contract(decoded, contract).tensor, expected[-1][1])


@settings(max_examples=200, deadline=None)
@given(
    contract=contracts,
    width=sides,
    height=sides,
    channels=st.sampled_from((1, 3, 4)),
    orientation=st.integers(1, 8),
    seed=st.integers(0, 2**31),
)
@example(Contract(width_px=20, height_px=20), 1, 1, 3, 1, 0)
@example(Contract(width_px=24, height_px=9, resize="squash"), 25, 400, 3, 1, 0)
def test_each_step_equals_the_reference(
    contract: Contract, width: int, height: int, channels: int, orientation: int, seed: int
) -> None:
    assert_equal_in_each_step(noise(width, height, channels, seed), contract, orientation)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", [(1200, 900), (901, 1203), (1, 3000), (2500, 1)])
def test_photos_equal_the_reference(mode: str, size: tuple[int, int]) -> None:
    contract = Contract(width_px=224, height_px=192, resize=mode)
    assert_equal_in_each_step(noise(*size), contract, 1)


def test_one_call_of_pillow_would_not_do() -> None:
    """The reason for two calls: where one call takes the vertical axis first, it differs."""
    contract = Contract(width_px=60, height_px=10, resize="squash")
    pixels = noise(64, 400)
    vertical_first = Image.fromarray(pixels).resize((64, 10), Image.Resampling.BILINEAR)
    vertical_first = vertical_first.resize((60, 10), Image.Resampling.BILINEAR)
    assert not np.array_equal(np.asarray(vertical_first), reference_contract(pixels, contract))


def test_coefficients_are_pillows_own() -> None:
    """Unit impulses show each coefficient as Pillow computes it in floating point."""
    for n_in, n_out in ((7, 3), (5, 9), (100, 33), (2, 2000), (2000, 2)):
        row = np.full((1, n_in, 1), 255, np.uint8)
        for lo, k in axis_coefficients(n_in, n_out):
            assert lo >= 0
            assert lo + len(k) <= n_in
            assert abs(sum(k) - 2**22) <= len(k)
        contract = Contract(width_px=n_out, height_px=1, colour="grey", resize="squash")
        assert np.array_equal(
            apply_contract(Decoded.from_pixels(row), contract).tensor, reference_contract(row, contract)
        )


def test_every_mixture_of_value_ground_and_alpha_is_exact() -> None:
    p, a = np.meshgrid(np.arange(256), np.arange(256))
    pixels = np.stack([p, p, p, a], axis=2).astype(np.uint8)
    image = Image.fromarray(pixels)
    for ground in range(0, 256, 5):
        expected = np.floor((p * a + ground * (255 - a)) / 255 + 0.5)
        found = np.asarray(flatten(image, (ground, 255 - ground, 7)))[:, :, 0]
        assert np.array_equal(found, expected)


def test_grey_is_the_stated_fixed_point_sum() -> None:
    random = noise(512, 512)
    edges = np.array([[[r, g, b] for r in (0, 1, 254, 255) for g in (0, 127, 255) for b in (0, 128, 255)]])
    for pixels in (random, edges.astype(np.uint8)):
        red, green, blue = (pixels[:, :, channel].astype(int) for channel in range(3))
        expected = (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16
        assert np.array_equal(np.asarray(in_colour(Image.fromarray(pixels), "grey")), expected)


def test_a_grey_pixel_stays_itself_through_rgb() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None]
    rgb = in_colour(Image.fromarray(ramp), "rgb")
    assert np.array_equal(np.asarray(in_colour(rgb, "grey")), ramp)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_eight_orientations_show_the_same_picture(orientation: int) -> None:
    upright = noise(6, 4)
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.swapaxes(0, 1),
        6: np.rot90(upright, 1),  # turned against the clock; the tag says to turn it back
        7: upright[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(upright, -1),
    }[orientation]
    data = encoded(np.ascontiguousarray(stored), exif=exif(t274=orientation))
    contract = Contract(width_px=6, height_px=4, resize="squash")
    assert np.array_equal(prepare(data, contract), upright)


def test_a_trace_names_every_step_in_order() -> None:
    contract = Contract(width_px=9, height_px=9, enhance=("median3", "invert"))
    steps = apply_contract(Decoded.from_pixels(noise(channels=4)), contract, trace=True).steps
    assert [step.name for step in steps] == [
        "decode", "orient", "alpha", "colour", "crop", "resize_horizontal", "resize_vertical",
        "pad", "enhance_median3", "enhance_invert",
    ]  # fmt: skip
    assert [step.pixels.shape for step in steps][3:7] == [(16, 24, 3), (16, 16, 3), (16, 9, 3), (9, 9, 3)]


def test_no_trace_is_kept_unasked() -> None:
    assert apply_contract(Decoded.from_pixels(noise()), Contract()).steps == ()


@pytest.mark.parametrize("colour", ["rgb", "grey"])
@pytest.mark.parametrize("mode", MODES)
def test_the_tensor_has_the_contracts_shape_and_can_be_written(colour: str, mode: str) -> None:
    contract = Contract(width_px=31, height_px=17, colour=colour, resize=mode)
    tensor = prepare(encoded(noise(50, 90)), contract)
    assert (tensor.shape, tensor.dtype) == (contract.shape, np.uint8)
    assert tensor.flags.writeable
    assert tensor.flags.c_contiguous


def test_padding_has_its_colour_and_grey_its_grey() -> None:
    rgb = Contract(width_px=10, height_px=10, resize="fill", pad_colour=(200, 100, 50))
    grey = rgb.model_copy(update={"colour": "grey"})
    data = encoded(noise(40, 8))
    assert prepare(data, rgb)[0].tolist() == [[200, 100, 50]] * 10
    assert prepare(data, grey)[0].tolist() == [[(19595 * 200 + 38470 * 100 + 7471 * 50 + 32768) >> 16]] * 10


def test_the_pixels_at_hand_are_not_changed() -> None:
    decoded = decode(encoded(noise(20, 20)))
    contract = Contract(width_px=20, height_px=20, enhance=("invert", "autocontrast", "median3"))
    prepared = apply_contract(decoded, contract, trace=True)
    prepared.tensor[:] = 0
    assert np.array_equal(decoded.pixels, noise(20, 20))
    assert np.array_equal(prepared.steps[0].pixels, noise(20, 20))


def test_a_newer_contract_is_refused() -> None:
    with pytest.raises(Unsupported, match="version 2; this Darkroom computes version 1"):
        apply_contract(Decoded.from_pixels(noise()), Contract(version=2))
