"""What the catalogue keeps of a picture."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import IFDRational

from darkroom.errors import InvalidImage
from darkroom.images import describe
from tests.images import kinds
from tests.images.kinds import encoded, noise


def photo(
    *, details: dict[int, object] | None = None, gps: dict[int, object] | None = None, **tags: object
):
    found = Image.Exif()
    for name, value in tags.items():
        found[int(name[1:])] = value
    found.get_ifd(0x8769).update(details or {})
    found.get_ifd(0x8825).update(gps or {})
    return encoded(noise(60, 40), "JPEG", exif=found.tobytes())


def test_a_picture_is_known_by_its_bytes_size_and_layout() -> None:
    data = encoded(noise(60, 40, 4))
    found = describe(data)
    assert found.id == hashlib.sha256(data).hexdigest()
    assert (found.width_px, found.height_px, found.size_bytes) == (60, 40, len(data))
    assert (found.mode, found.format) == ("RGBA", "PNG")


@pytest.mark.parametrize(
    ("data", "mode", "format"),
    [
        (encoded(noise(60, 40), "JPEG"), "RGB", "JPEG"),
        (encoded(noise(60, 40, 1), "JPEG"), "L", "JPEG"),
        (kinds.cmyk_jpeg(noise(60, 40, 4)), "CMYK", "JPEG"),
        (encoded(Image.fromarray(noise(60, 40)).quantize(8)), "P", "PNG"),
        (kinds.png_16(np.zeros((40, 60, 1), np.uint16)), "I;16", "PNG"),
        (encoded(noise(60, 40), "WEBP"), "RGB", "WEBP"),
    ],
    ids=["JPEG", "grey JPEG", "CMYK", "palette", "16 bits", "WebP"],
)
def test_mode_and_format_are_those_of_the_file(data: bytes, mode: str, format: str) -> None:
    found = describe(data)
    assert (found.mode, found.format, found.width_px, found.height_px) == (mode, format, 60, 40)


def test_the_size_is_as_stored_and_the_orientation_beside_it() -> None:
    found = describe(photo(t274=6))
    assert (found.width_px, found.height_px, found.camera.orientation) == (60, 40, 6)


def test_time_comes_with_its_zone_or_as_utc() -> None:
    with_zone = photo(details={0x9003: "2024:05:06 07:08:09", 0x9011: "+08:00"})
    expected = datetime(2024, 5, 6, 7, 8, 9, tzinfo=timezone(timedelta(hours=8)))
    assert describe(with_zone).camera.taken_at == expected
    without = photo(details={0x9003: "2024:05:06 07:08:09"})
    assert describe(without).camera.taken_at == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    only_changed = photo(t306="2023:01:02 03:04:05")
    assert describe(only_changed).camera.taken_at == datetime(2023, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize("text", ["0000:00:00 00:00:00", "yesterday", "2024:13:45 99:00:00"])
def test_a_clock_that_was_never_set_gives_no_time(text: str) -> None:
    assert describe(photo(details={0x9003: text})).camera.taken_at is None


def test_the_device_is_maker_and_model_once() -> None:
    assert describe(photo(t271="Canon", t272="Canon EOS 5D")).camera.device == "Canon EOS 5D"
    assert describe(photo(t271="Apple\0", t272="iPhone 12")).camera.device == "Apple iPhone 12"
    assert describe(photo()).camera.device is None


def test_the_place_is_kept_only_on_request() -> None:
    angle = (IFDRational(48), IFDRational(51), IFDRational(30))
    data = photo(gps={1: "S", 2: angle, 3: "W", 4: (IFDRational(2), IFDRational(30), IFDRational(0))})
    assert describe(data).camera.place is None
    assert describe(data, keep_place=True).camera.place == pytest.approx((-48.858333, -2.5), abs=1e-5)


@pytest.mark.parametrize("gps", [{}, {2: (1, 2), 4: (1, 2)}, {2: (0, 0, 0)}])
def test_a_place_that_cannot_be_read_is_none(gps: dict[int, tuple[int, ...]]) -> None:
    data = photo(gps={tag: tuple(map(IFDRational, parts)) for tag, parts in gps.items()})
    assert describe(data, keep_place=True).camera.place is None


def test_a_place_of_no_number_is_none() -> None:
    nowhere = (IFDRational(1, 0), IFDRational(0), IFDRational(0))
    data = photo(gps={2: nowhere, 4: nowhere})
    assert describe(data, keep_place=True).camera.place is None


def test_broken_exif_costs_no_picture() -> None:
    found = describe(encoded(noise(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\xff" + bytes(40)))
    assert found.camera.orientation == 1
    assert found.camera.taken_at is None


def test_damage_near_the_end_is_found() -> None:
    data = encoded(noise(600, 400), "JPEG")
    with pytest.raises(InvalidImage):
        describe(data[:-2000])


def test_a_tiny_jpeg_is_read() -> None:
    assert describe(encoded(noise(1, 1), "JPEG")).width_px == 1
