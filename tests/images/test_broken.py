"""Broken, wrong and oversized files: one clear error each, no warning, nothing printed."""

from __future__ import annotations

import struct
import threading
import warnings
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from darkroom.errors import InvalidImage, Unsupported
from darkroom.images import MAX_SIDE_PX, decode, describe, thumbnail
from darkroom.images.opening import opened
from tests.images import kinds
from tests.images.kinds import encoded, noise

READERS: list[Callable[[bytes], object]] = [decode, describe, thumbnail]


def png_head(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds almost no pixels."""
    head = kinds.chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + kinds.chunk(b"IDAT", zlib.compress(bytes(100)))


@pytest.fixture(autouse=True)
def _nothing_is_printed(
    capfd: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> Iterator[None]:
    yield
    printed = capfd.readouterr()
    # libtiff, written in C, prints of its own accord what it finds in a damaged file.
    if "libtiff" not in request.node.name:
        assert printed == ("", "")


@pytest.mark.parametrize("reader", READERS)
def test_an_empty_file_is_refused(reader: Callable[[bytes], object]) -> None:
    with pytest.raises(InvalidImage, match="empty") as refused:
        reader(b"")
    assert refused.value.id == "image.empty"


@pytest.mark.parametrize("reader", READERS)
def test_text_is_refused_whatever_its_name(reader: Callable[[bytes], object]) -> None:
    with pytest.raises(InvalidImage, match="no picture") as refused:
        reader(b"This is a text file called cat.png.\n" * 20)
    assert refused.value.id == "image.not-a-picture"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_a_file_cut_short_is_refused(format: str, reader: Callable[[bytes], object]) -> None:
    data = encoded(noise(120, 90), format)
    for kept in (len(data) * 2 // 3, len(data) // 3, 24):
        with pytest.raises(InvalidImage) as refused:
            reader(data[:kept])
        assert refused.value.id in {"image.broken", "image.not-a-picture"}
        assert refused.value.hint


@pytest.mark.parametrize("reader", READERS)
def test_a_bomb_is_refused_before_it_is_decoded(reader: Callable[[bytes], object]) -> None:
    with pytest.raises(InvalidImage, match="900,000,000 pixels"):
        reader(png_head(30_000, 30_000))


@pytest.mark.parametrize("reader", READERS)
def test_the_limit_for_pixels_is_ours(reader: Callable[..., object]) -> None:
    data = encoded(noise(100, 80))
    with pytest.raises(InvalidImage, match="8,000 pixels; the limit is 7,999"):
        reader(data, max_pixels=7_999)
    assert reader(data, max_pixels=8_000)


def test_above_100_million_pixels_needs_the_limit_raised() -> None:
    with pytest.raises(InvalidImage, match="100,010,000 pixels; the limit is 100,000,000"):
        decode(png_head(10_001, 10_000))


def test_a_picture_with_an_endless_side_is_refused() -> None:
    with pytest.raises(InvalidImage, match="a side may have 65535"):
        decode(png_head(1, MAX_SIDE_PX + 1))


def iso_file(brand: bytes, *others: bytes) -> bytes:
    body = b"ftyp" + brand + bytes(4) + b"".join(others)
    return struct.pack(">I", len(body) + 4) + body + bytes(64)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("brands", [(b"heic", b"mif1", b"heic"), (b"mif1", b"mif1", b"heic")])
def test_heic_is_named_and_not_read(reader: Callable[[bytes], object], brands: tuple[bytes, ...]) -> None:
    with pytest.raises(Unsupported, match="HEIC") as refused:
        reader(iso_file(*brands))
    assert "JPEG" in refused.value.hint


def test_a_broken_avif_is_not_taken_for_heic() -> None:
    with pytest.raises(InvalidImage):
        decode(iso_file(b"mif1", b"mif1", b"avif"))


@pytest.mark.parametrize(
    ("begin", "name"),
    [
        (b"8BPS\0\1", "Photoshop"),
        (b"%PDF-1.7", "PDF"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'>", "SVG"),
        (b"%!PS-Adobe", "PostScript"),
    ],
)
def test_other_kinds_are_named_and_not_read(begin: bytes, name: str) -> None:
    with pytest.raises(Unsupported, match=name):
        decode(begin + bytes(100))


@pytest.mark.parametrize("values", [np.zeros((4, 5), np.float32), np.zeros((4, 5), np.int32)])
def test_measurements_are_no_pictures(values: np.ndarray) -> None:
    with pytest.raises(Unsupported, match="not read here"):
        decode(encoded(Image.fromarray(values), "TIFF"))


SEEDS = {
    "JPEG": encoded(noise(40, 30), "JPEG", exif=kinds.exif(t274=6, t271="Maker")),
    "PNG": encoded(noise(40, 30, 4), exif=kinds.exif(t274=3), icc_profile=kinds.swapped_profile()),
    "palette": encoded(Image.fromarray(noise(40, 30)).quantize(9), transparency=2),
    "GIF": encoded(noise(40, 30), "GIF", save_all=True, append_images=[Image.new("RGB", (40, 30))]),
    "WEBP": encoded(noise(40, 30, 4), "WEBP"),
    "TIFF": encoded(noise(40, 30), "TIFF"),
    "libtiff": encoded(noise(40, 30), "TIFF", compression="tiff_lzw"),
    "BMP": encoded(noise(40, 30), "BMP"),
    "MPO": encoded(noise(40, 30), "MPO", save_all=True, append_images=[Image.new("RGB", (40, 30))]),
}


@pytest.mark.parametrize("kind", SEEDS)
def test_no_changed_byte_gets_past_the_errors(kind: str) -> None:
    random = np.random.default_rng(20)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(120):
        data = bytearray(SEEDS[kind])
        for at in random.integers(0, min(len(data), 400), random.integers(1, 9)):
            data[at] = random.integers(0, 256)
        cut = bytes(data[: random.integers(1, len(data) + 1)] if random.random() < 0.3 else data)
        try:
            describe(cut)
            decode(cut)
            outcomes["read"] += 1
        except (InvalidImage, Unsupported):
            outcomes["refused"] += 1
    assert outcomes["refused"] > 0


def malformed_mpo() -> bytes:
    """A JPEG that Pillow warns about when it opens it; pytest turns a warning that leaves into an error."""
    data = encoded(noise(), "MPO", save_all=True, append_images=[Image.new("RGB", (24, 16))])
    at = data.index(b"MPF\0") + 4
    return data[:at] + b"XX" + data[at + 2 :]


def test_pillows_warnings_stay_inside_even_with_threads() -> None:
    data = malformed_mpo()
    before = list(warnings.filters)
    failures: list[BaseException] = []

    def read() -> None:
        try:
            for _ in range(20):
                decode(data)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(warnings.filters) == before


def test_the_warning_above_is_a_real_one() -> None:
    data = malformed_mpo()
    with pytest.warns(UserWarning, match="malformed MPO"), Image.open(BytesIO(data)):
        pass
    with opened(data) as image:
        assert image.size == (24, 16)
