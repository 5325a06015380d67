"""A drawn picture with a wide colour profile: a side that ignores profiles makes another tensor of it.

Source: ICC.1:2001-04 for the layout of a profile and the tag types desc, text, XYZ and curv; the primaries
and the gamma are those of Adobe RGB (1998), adapted to D50.
"""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
from PIL import Image

from darkroom.records import Contract

__all__ = ["NAME", "PROFILE_LEVELS", "profiled_image", "wide_profile"]

NAME = "colour-profile"

PROFILE_LEVELS = 3
"""Levels by which ways to apply a profile may differ: it is arithmetic with floating point numbers. A side
that ignores this one is off by up to 60."""

WHITE = (0.9642, 1.0, 0.8249)
PRIMARIES = {
    b"rXYZ": (0.60974, 0.31111, 0.01947),
    b"gXYZ": (0.20528, 0.62567, 0.06087),
    b"bXYZ": (0.14919, 0.06322, 0.74457),
}
GAMMA = 563 / 256
HEADER_BYTES, TAG_BYTES = 128, 12


def profiled_image(contract: Contract) -> tuple[str, bytes]:
    """Draws blocks of strong colours, with the profile; returns a name and PNG bytes.

    Args:
        contract: the picture is half as large again as its tensor.
    """
    width, height = contract.width_px * 3 // 2 + 1, contract.height_px * 3 // 2 + 1
    levels = np.array([0, 96, 192, 255], np.uint8)
    y, x = np.indices((height, width))
    rows, columns = 8 * y // height, 8 * x // width
    pixels = np.stack(
        [levels[columns % 4], levels[rows % 4], levels[(columns // 4 + rows // 4) % 4]], axis=2
    )
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", icc_profile=wide_profile())
    return NAME, file.getvalue()


def wide_profile() -> bytes:
    """Returns a display profile with primaries far outside sRGB's."""
    curve = b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(GAMMA * 256))
    tags = {
        b"desc": _description("Darkroom wide RGB"),
        b"cprt": b"text" + bytes(4) + b"CC0\0",
        b"wtpt": _xyz(WHITE),
        **{name: _xyz(values) for name, values in PRIMARIES.items()},
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    start = HEADER_BYTES + 4 + TAG_BYTES * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for name, body in tags.items():
        table += name + struct.pack(">II", start + len(bodies), len(body))
        bodies += body + bytes(-len(body) % 4)
    head = bytearray(HEADER_BYTES)
    head[0:4] = struct.pack(">I", start + len(bodies))
    head[8:12] = b"\x02\x10\0\0"
    head[12:24] = b"mntrRGB XYZ "
    head[24:36] = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    head[36:40] = b"acsp"
    head[68:80] = _fixed(WHITE)
    return bytes(head) + table + bodies


def _description(text: str) -> bytes:
    data = text.encode("ascii") + b"\0"
    return b"desc" + bytes(4) + struct.pack(">I", len(data)) + data + bytes(78)


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + _fixed(values)


def _fixed(values: tuple[float, float, float]) -> bytes:
    return struct.pack(">iii", *(round(value * 65536) for value in values))
