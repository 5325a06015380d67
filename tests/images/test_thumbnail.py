"""Small pictures for pages and reports."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from darkroom.images import thumbnail
from tests.images import kinds
from tests.images.kinds import encoded, noise, slope


def opened(data: bytes) -> Image.Image:
    image = Image.open(BytesIO(data))
    image.load()
    return image


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_large_picture_fits_the_square(format: str) -> None:
    small = opened(thumbnail(encoded(slope(800, 600), format), 200))
    assert (small.size, small.format) == ((200, 150), "JPEG")


def test_a_small_picture_keeps_every_pixel() -> None:
    small = opened(thumbnail(encoded(noise(28, 28, 1)), 64))
    assert small.format == "PNG"
    assert np.array_equal(np.asarray(small), noise(28, 28, 1)[:, :, 0])


def test_it_stands_upright_on_white_and_tells_nothing() -> None:
    pixels = noise(40, 20, 4)
    pixels[:, :, 3] = 0
    data = encoded(pixels, exif=kinds.exif(t274=6, t271="Maker"), icc_profile=kinds.swapped_profile())
    small = opened(thumbnail(data, 100))
    assert small.size == (20, 40)
    assert (np.asarray(small) == 255).all()
    assert set(small.info) == set()


def test_a_large_jpeg_turned_by_its_tag_is_upright() -> None:
    data = encoded(slope(900, 300), "JPEG", exif=kinds.exif(t274=8))
    small = opened(thumbnail(data, 90))
    assert small.size == (30, 90)
    assert not small.getexif()
