"""Pictures inside a page."""

import io

import pytest
from PIL import Image

from darkroom.documents.picture import picture


def encoded(kind, size=(10, 6)):
    file = io.BytesIO()
    Image.new("RGB", size, (9, 9, 9)).save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "media"), [("PNG", "png"), ("JPEG", "jpeg"), ("GIF", "gif"), ("WEBP", "webp")]
)
def test_what_a_browser_shows_becomes_a_data_uri_with_its_size(kind, media):
    shown = picture(encoded(kind))
    assert shown is not None
    assert shown.uri.startswith(f"data:image/{media};base64,")
    assert (shown.width_px, shown.height_px, shown.small) == (10, 6, True)


@pytest.mark.parametrize(
    "data", [None, b"", b"<svg onload='alert(1)'/>", b"\x89PNG\r\n\x1a\nbroken", encoded("TIFF")]
)
def test_anything_else_is_no_picture(data):
    assert picture(data) is None


def test_large_pictures_are_smoothed():
    shown = picture(encoded("PNG", (65, 10)))
    assert shown is not None
    assert not shown.small
