"""Real pictures, damaged in the ways in which files are damaged, and in those in which attackers do it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from darkroom.errors import InvalidImage, Unsupported
from darkroom.images import decode, describe, thumbnail
from tests.images import kinds
from tests.images.kinds import encoded, noise, slope

Change = Callable[[bytes, np.random.Generator], bytes]

EXTREME = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
HEAD_BYTES = 200
"""Where headers, tables and directories mostly lie."""


def whole_pictures() -> dict[str, bytes]:
    """Returns one small picture of each kind of file, whole."""
    photo = slope(90, 70)
    more = {"save_all": True, "append_images": [Image.fromarray(noise(90, 70))]}
    return {
        "a.jpg": encoded(photo, "JPEG", quality=80, exif=kinds.exif(t274=6, t271="Maker")),
        "progressive.jpg": encoded(photo, "JPEG", progressive=True),
        "mpo.jpg": encoded(photo, "MPO", **more),
        "a.png": encoded(photo, "PNG", icc_profile=kinds.swapped_profile()),
        "alpha.png": encoded(slope(90, 70, 4), "PNG"),
        "palette.png": encoded(Image.fromarray(photo).quantize(30), transparency=2),
        "a.webp": encoded(photo, "WEBP"),
        "lossless.webp": encoded(slope(90, 70, 4), "WEBP", lossless=True),
        "a.tif": encoded(photo, "TIFF"),
        "lzw.tif": encoded(photo, "TIFF", compression="tiff_lzw"),
        "deflate.tif": encoded(photo, "TIFF", compression="tiff_adobe_deflate"),
        "a.gif": encoded(photo, "GIF", **more),
        "a.bmp": encoded(photo, "BMP"),
        "a.avif": encoded(photo, "AVIF"),
        "a.ppm": encoded(photo, "PPM"),
    }


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Returns the bytes after one to three changes."""
    for _ in range(int(random.integers(1, 4))):
        change = CHANGES[int(random.integers(len(CHANGES)))]
        data = change(data, random) or data
    return data


def read_in_every_way(path: Path) -> str:
    """Returns "read" or the id of the refusal; anything else that is raised is a defect.

    The pictures that are described are the ones that a project takes in: those must decode as well.
    """
    data = path.read_bytes()
    try:
        facts = describe(data)
        pixels = decode(data).pixels
    except (InvalidImage, Unsupported) as error:
        return error.id
    assert pixels.shape[:2] == (facts.height_px, facts.width_px)
    assert thumbnail(data, 32)
    return "read"


def flip_bits(data: bytes, random: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for at in random.integers(0, len(data), random.integers(1, 9)):
        changed[at] ^= 1 << int(random.integers(8))
    return bytes(changed)


def cut(data: bytes, random: np.random.Generator) -> bytes:
    return data[: int(random.integers(1, len(data) + 1))]


def insert_bytes(data: bytes, random: np.random.Generator) -> bytes:
    at = int(random.integers(len(data)))
    return data[:at] + random.bytes(int(random.integers(1, 64))) + data[at:]


def repeat_part(data: bytes, random: np.random.Generator) -> bytes:
    start, end = sorted(random.integers(0, len(data), 2))
    return data[:end] + data[start:end] + data[end:]


def leave_part_out(data: bytes, random: np.random.Generator) -> bytes:
    start = int(random.integers(len(data)))
    return data[:start] + data[start + int(random.integers(1, 100)) :]


def overwrite_field(data: bytes, random: np.random.Generator) -> bytes:
    """Puts an extreme number where a header has one: a size, a count, an offset."""
    form = ("<H", ">H", "<I", ">I")[int(random.integers(4))]
    width = struct.calcsize(form)
    number = EXTREME[int(random.integers(len(EXTREME)))] & (256**width - 1)
    at = int(random.integers(max(1, min(len(data), HEAD_BYTES) - width)))
    return data[:at] + struct.pack(form, number) + data[at + width :]


def change_chunk(data: bytes, random: np.random.Generator) -> bytes:
    """Damages, repeats or drops a chunk of a PNG, with a checksum that holds; other files stay."""
    found = list(png_chunks(data))
    if not found:
        return data
    at = int(random.integers(len(found)))
    kind, body = found[at]
    way = int(random.integers(3))
    if way == 0 and body:
        found[at] = (kind, flip_bits(body, random))
    elif way == 1:
        found.insert(at, (kind, body))
    else:
        del found[at]
    return data[:8] + b"".join(kinds.chunk(one, content) for one, content in found)


def grow_pixels(data: bytes, random: np.random.Generator) -> bytes:
    """Makes a PNG unpack into far more than its header says; other files stay."""
    found = list(png_chunks(data))
    many = bytes(int(random.integers(1_000, 4_000_000)))
    grown = [(kind, zlib.compress(many) if kind == b"IDAT" else body) for kind, body in found]
    return data[:8] + b"".join(kinds.chunk(one, content) for one, content in grown) if found else data


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the chunks of a PNG as far as they are whole; none of another file."""
    at = 8 if data.startswith(b"\x89PNG") else len(data)
    while at + 12 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if at + 12 + length > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


CHANGES: tuple[Change, ...] = (
    flip_bits, cut, insert_bytes, repeat_part, leave_part_out, overwrite_field, overwrite_field,
    change_chunk, grow_pixels,
)  # fmt: skip
