"""One outcome for each kind of file, as the decode table in docs/contract.md states it."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import AvifImagePlugin, Image

from darkroom.images import decode
from tests.images import kinds
from tests.images.kinds import encoded, noise, slope


def worst(found: np.ndarray, expected: np.ndarray) -> int:
    assert found.shape == expected.shape
    return int(np.abs(found.astype(int) - expected.astype(int)).max())


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_rgb_keeps_every_pixel(format: str) -> None:
    assert np.array_equal(decode(encoded(noise(), format)).pixels, noise())


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "PPM"])
def test_grey_stays_one_channel(format: str) -> None:
    pixels = noise(channels=1)
    assert np.array_equal(decode(encoded(pixels, format)).pixels, pixels)


def test_lossless_webp_keeps_every_pixel_and_alpha() -> None:
    pixels = noise(channels=4)
    assert np.array_equal(decode(encoded(pixels, "WEBP", lossless=True, exact=True)).pixels, pixels)
    assert np.array_equal(decode(encoded(noise(), "WEBP", lossless=True)).pixels, noise())


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_baseline_and_progressive(progressive: bool) -> None:
    data = encoded(slope(), "JPEG", quality=100, subsampling=0, progressive=progressive)
    assert worst(decode(data).pixels, slope()) <= 3


def test_grey_jpeg_is_one_channel() -> None:
    assert worst(decode(encoded(slope(channels=1), "JPEG", quality=100)).pixels, slope(channels=1)) <= 2


def test_jpeg_is_never_decoded_at_a_smaller_scale() -> None:
    assert decode(encoded(slope(640, 480), "JPEG")).pixels.shape == (480, 640, 3)


def by_inks(cmyk: np.ndarray) -> np.ndarray:
    """255 − K less C·(255 − K) / 255, as for ink on paper."""
    light = 255 - cmyk[:, :, 3:].astype(float)
    return np.round(light - cmyk[:, :, :3] * light / 255).astype(np.uint8)


def test_cmyk_jpeg_without_a_profile_is_ink_on_paper() -> None:
    inks = slope(channels=4)
    assert worst(decode(kinds.cmyk_jpeg(inks)).pixels, by_inks(inks)) <= 6


def test_ycck_jpeg_is_read_as_the_same_inks() -> None:
    inks = slope(channels=4)
    data = kinds.ycck_jpeg(inks)
    with Image.open(BytesIO(data)) as image:
        assert image.info["adobe_transform"] == 2
    assert worst(decode(data).pixels, by_inks(inks)) <= 8


def test_cmyk_jpeg_with_a_profile_goes_through_it() -> None:
    inks = np.zeros((8, 16, 4), np.uint8)
    inks[:, 8:, 0] = 255
    decoded = decode(kinds.cmyk_jpeg(inks, icc_profile=kinds.ink_profile()))
    assert decoded.pixels[:, :4].min() >= 250  # paper
    assert worst(decoded.pixels[:, 12:], np.full((8, 4, 3), 119, np.uint8)) <= 3  # L* = 50, not cyan
    assert decoded.notes == ("colour profile applied: Inks",)


def test_16_bits_keep_the_high_byte() -> None:
    random = np.random.default_rng(3)
    for channels in (1, 3, 4):
        values = random.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
        assert np.array_equal(decode(kinds.png_16(values)).pixels, values >> 8)


def test_16_bit_grey_with_alpha_keeps_the_high_bytes() -> None:
    values = np.random.default_rng(4).integers(0, 65536, (5, 7, 2), dtype=np.uint16)
    grey, alpha = values[:, :, :1] >> 8, values[:, :, 1:] >> 8
    assert np.array_equal(decode(kinds.png_16(values)).pixels, np.concatenate([grey] * 3 + [alpha], axis=2))


def test_16_bit_tiff_and_pgm_keep_the_high_byte() -> None:
    values = np.random.default_rng(5).integers(0, 65536, (5, 7), dtype=np.uint16)
    tiff = encoded(Image.fromarray(values), "TIFF")
    pgm = b"P5 7 5 65535\n" + values.astype(">u2").tobytes()
    for data in (tiff, pgm):
        assert np.array_equal(decode(data).pixels[:, :, 0], values >> 8)


def test_palette_becomes_rgb() -> None:
    image = Image.fromarray(noise()).quantize(32)
    expected = np.array(image.getpalette("RGB")).reshape(-1, 3)[np.asarray(image)]
    assert np.array_equal(decode(encoded(image)).pixels, expected)


def test_palette_with_transparency_becomes_rgba() -> None:
    image = Image.fromarray(noise()).quantize(32)
    indices = np.asarray(image)
    colours = np.array(image.getpalette("RGB")).reshape(-1, 3)[indices]
    alphas = bytes(range(0, 256, 8))[:32]
    for given, table in ((3, [0 if i == 3 else 255 for i in range(32)]), (alphas, list(alphas))):
        found = decode(encoded(image, transparency=given)).pixels
        assert np.array_equal(found[:, :, :3], colours)
        assert np.array_equal(found[:, :, 3], np.array(table)[indices])


def test_one_bit_becomes_black_and_white() -> None:
    bits = noise(channels=1)[:, :, 0] > 127
    found = decode(encoded(Image.fromarray(bits))).pixels
    assert np.array_equal(found[:, :, 0], bits * np.uint8(255))


def test_one_bit_transparent_colour_is_ignored() -> None:
    data = kinds.png(b"\0\xa0" * 2, 4, 2, depth=1, colour=0, before=kinds.chunk(b"tRNS", b"\0\1"))
    decoded = decode(data)
    assert decoded.pixels[:, :, 0].tolist() == [[255, 0, 255, 0]] * 2
    assert decoded.notes == ("transparent colour ignored",)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_16_bit_transparent_colour_is_ignored(channels: int) -> None:
    values = np.full((2, 2, channels), 0x1234, np.uint16)
    key = kinds.chunk(b"tRNS", b"\x12\x34" * channels)
    decoded = decode(kinds.png_16(values, before=key))
    assert decoded.pixels.tolist() == [[[0x12] * channels] * 2] * 2
    assert "transparent colour ignored" in decoded.notes


@pytest.mark.parametrize(("depth", "step"), [(2, 85), (4, 17)])
def test_grey_of_few_bits_is_stretched(depth: int, step: int) -> None:
    packed = b"\0" + (b"\x1b" if depth == 2 else b"\x0f\x71")
    values = [0, 1, 2, 3] if depth == 2 else [0, 15, 7, 1]
    found = decode(kinds.png(packed, 4, 1, depth=depth, colour=0)).pixels
    assert found[0, :, 0].tolist() == [value * step for value in values]


def test_alpha_is_kept_unpremultiplied() -> None:
    assert np.array_equal(decode(encoded(noise(channels=4))).pixels, noise(channels=4))
    grey = noise(channels=2)
    found = decode(encoded(kinds.grey_alpha(grey))).pixels
    assert np.array_equal(found, grey[:, :, [0, 0, 0, 1]])


def test_a_transparent_colour_becomes_alpha() -> None:
    rgb = noise()
    rgb[::2, ::2] = (10, 20, 30)
    found = decode(encoded(Image.fromarray(rgb), transparency=(10, 20, 30))).pixels
    assert np.array_equal(found[:, :, :3], rgb)
    assert np.array_equal(found[:, :, 3] == 0, (rgb == (10, 20, 30)).all(axis=2))
    grey = noise(channels=1)
    found = decode(encoded(Image.fromarray(grey[:, :, 0]), transparency=int(grey[0, 0, 0]))).pixels
    assert np.array_equal(found[:, :, 3] == 0, grey[:, :, 0] == grey[0, 0, 0])


@pytest.mark.parametrize("gamma", [100_000, 45_455])
def test_png_gamma_is_ignored(gamma: int) -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in slope())
    mark = kinds.chunk(b"gAMA", gamma.to_bytes(4, "big"))
    decoded = decode(kinds.png(rows, 24, 16, depth=8, colour=2, before=mark))
    assert np.array_equal(decoded.pixels, slope())
    assert decoded.notes == (() if gamma == 45_455 else ("gamma 1.00000 ignored",))


def three_frames(format: str, **options: object) -> bytes:
    frames = [Image.new("RGB", (20, 10), colour) for colour in ((255, 0, 0), (0, 255, 0), (0, 0, 255))]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:], **options)


@pytest.mark.parametrize(
    ("format", "options"),
    [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})],
    ids=["animated GIF", "animated WebP", "APNG", "TIFF pages"],
)
def test_only_the_first_frame_counts(format: str, options: dict[str, object]) -> None:
    data = three_frames(format, **options)
    with Image.open(BytesIO(data)) as image:
        assert getattr(image, "n_frames", 1) == 3
    pixels = decode(data).pixels
    assert np.array_equal(pixels[:, :, :3], np.full((10, 20, 3), (255, 0, 0), np.uint8))


def test_mpo_is_its_first_picture() -> None:
    first, second = (Image.fromarray(array) for array in (slope(), noise()))
    data = encoded(first, "MPO", save_all=True, append_images=[second], quality=100, subsampling=0)
    with Image.open(BytesIO(data)) as image:
        assert image.format == "MPO"
    assert worst(decode(data).pixels, slope()) <= 3


def test_lossy_webp() -> None:
    found = decode(encoded(slope(96, 64), "WEBP", quality=100)).pixels
    assert np.abs(found.astype(int) - slope(96, 64)).mean() <= 3


@pytest.mark.skipif(not AvifImagePlugin.SUPPORTED, reason="this build of Pillow has no AVIF")
def test_avif() -> None:
    data = encoded(slope(96, 64), "AVIF", quality=100, subsampling="4:4:4")
    assert worst(decode(data).pixels, slope(96, 64)) <= 4


def test_a_colour_profile_is_applied() -> None:
    for channels in (3, 4):
        pixels = np.zeros((4, 6, channels), np.uint8)
        pixels[:, :, 0] = 255
        if channels == 4:
            pixels[:, :, 3] = 77
        decoded = decode(encoded(pixels, icc_profile=kinds.swapped_profile()))
        assert worst(decoded.pixels[:, :, :3], np.full((4, 6, 3), (0, 255, 0), np.uint8)) <= 2
        assert channels == 3 or (decoded.pixels[:, :, 3] == 77).all()
        assert decoded.notes == ("colour profile applied: Swapped",)


def test_a_grey_profile_is_applied_and_the_picture_stays_grey() -> None:
    ramp = np.arange(256, dtype=np.uint8)[None, :, None]
    decoded = decode(encoded(ramp, icc_profile=kinds.linear_grey_profile()))
    x = np.arange(256) / 255
    srgb = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    assert worst(decoded.pixels[0, :, :1], np.round(255 * srgb).astype(np.uint8)[:, None]) <= 1
    with_alpha = kinds.grey_alpha(np.repeat(ramp, 2, axis=2))
    found = decode(encoded(with_alpha, icc_profile=kinds.linear_grey_profile())).pixels
    assert np.array_equal(found[:, :, 0], decoded.pixels[:, :, 0])
    assert np.array_equal(found[:, :, 3], ramp[:, :, 0])


def test_a_profile_of_srgb_changes_no_pixel() -> None:
    decoded = decode(encoded(noise(), icc_profile=kinds.srgb_profile()))
    assert np.array_equal(decoded.pixels, noise())
    assert decoded.notes == ()


@pytest.mark.parametrize(
    "profile", [b"no profile at all", kinds.linear_grey_profile()], ids=["broken", "of another space"]
)
def test_an_unusable_profile_is_ignored_and_noted(profile: bytes) -> None:
    decoded = decode(encoded(noise(), icc_profile=profile))
    assert np.array_equal(decoded.pixels, noise())
    assert decoded.notes[0].startswith("colour profile ignored: ")


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP"])
def test_orientation_is_read_and_not_applied(format: str, orientation: int) -> None:
    decoded = decode(encoded(noise(), format, exif=kinds.exif(t274=orientation)))
    assert decoded.orientation == orientation
    assert decoded.pixels.shape == (16, 24, 3)


def test_orientation_may_follow_the_pixels_of_a_png() -> None:
    rows = b"".join(b"\0" + row.tobytes() for row in slope())
    late = kinds.chunk(b"eXIf", kinds.exif(t274=6).removeprefix(b"Exif\0\0"))
    assert decode(kinds.png(rows, 24, 16, depth=8, colour=2, after=late)).orientation == 6


@pytest.mark.parametrize("orientation", [0, 9, 77])
def test_an_orientation_without_meaning_is_upright(orientation: int) -> None:
    assert decode(encoded(noise(), exif=kinds.exif(t274=orientation))).orientation == 1


def test_exif_that_cannot_be_read_is_upright() -> None:
    assert decode(encoded(noise(), exif=b"Exif\0\0II*\0\xff\xff\xff\x7f")).orientation == 1


def test_orientation_in_xmp_is_not_looked_at() -> None:
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    assert decode(encoded(noise(), "JPEG", xmp=xmp)).orientation == 1


def test_tiff_comes_upright() -> None:
    decoded = decode(encoded(noise(), "TIFF", tiffinfo={274: 6}))
    assert decoded.orientation == 1
    assert np.array_equal(decoded.pixels, np.rot90(noise(), -1))
