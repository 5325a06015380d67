"""Builds picture files of each kind in the decode table, some of them byte by byte."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

Pixels = NDArray[np.uint8]


def slope(width: int = 24, height: int = 16, channels: int = 3) -> Pixels:
    """Smooth colours that a lossy format keeps well: (height, width, channels) uint8."""
    y, x = np.indices((height, width))
    planes = [x * 255 // max(1, width - 1), y * 255 // max(1, height - 1), (x + y) * 3]
    planes += [255 - x * 200 // width]
    return np.stack([plane.astype(np.uint8) for plane in planes[:channels]], axis=2)


def noise(width: int = 24, height: int = 16, channels: int = 3, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)


def encoded(pixels: Pixels | Image.Image, format: str = "PNG", **options: object) -> bytes:
    if isinstance(pixels, np.ndarray):
        pixels = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    buffer = BytesIO()
    pixels.save(buffer, format, **options)
    return buffer.getvalue()


def exif(**tags: object) -> bytes:
    """EXIF with tags given by number, as in t274=6."""
    found = Image.Exif()
    for name, value in tags.items():
        found[int(name[1:])] = value
    return found.tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    rows: bytes,
    width: int,
    height: int,
    *,
    depth: int,
    colour: int,
    before: bytes = b"",
    after: bytes = b"",
) -> bytes:
    """A PNG from packed rows, each led by its filter byte, with further chunks around the pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows))
    return b"\x89PNG\r\n\x1a\n" + head + before + body + after + chunk(b"IEND", b"")


def png_16(values: NDArray[np.uint16], *, before: bytes = b"") -> bytes:
    """A 16-bit PNG of (H, W, C) values: grey, grey and alpha, RGB or RGBA."""
    height, width, channels = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    colour = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return png(rows, width, height, depth=16, colour=colour, before=before)


def ycck_jpeg(cmyk: Pixels) -> bytes:
    """A JPEG as Photoshop writes CMYK: inks as YCbCr and K, marked by Adobe's transform 2.

    Pillow writes inverted CMYK without that transform; so the planes are laid out by hand and the mark is
    set in the file.
    """
    ycc = np.asarray(Image.fromarray(np.ascontiguousarray(cmyk[:, :, :3])).convert("YCbCr"))
    planes = np.concatenate([255 - ycc, cmyk[:, :, 3:]], axis=2)
    data = encoded(_cmyk(planes), "JPEG", quality=100)
    at = data.index(b"Adobe") + 11
    assert data[at] == 0
    return data[:at] + b"\2" + data[at + 1 :]


def _cmyk(planes: Pixels) -> Image.Image:
    height, width = planes.shape[:2]
    return Image.frombytes("CMYK", (width, height), np.ascontiguousarray(planes).tobytes())


def cmyk_jpeg(cmyk: Pixels, **options: object) -> bytes:
    return encoded(_cmyk(cmyk), "JPEG", quality=100, **options)


# What follows builds colour profiles. Source: ICC.1:2001-04, tag types curv, XYZ, desc, text, mft1.


def _tag_xyz(x: float, y: float, z: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(value * 65536) for value in (x, y, z)))


def _tag_gamma(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(gamma * 256))


def _tag_name(name: str) -> bytes:
    text = name.encode() + b"\0"
    return b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67)


def profile(name: str, space: bytes, tags: dict[bytes, bytes], pcs: bytes = b"XYZ ") -> bytes:
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    tags = {
        b"desc": _tag_name(name),
        b"cprt": b"text\0\0\0\0none\0",
        b"wtpt": _tag_xyz(0.9642, 1.0, 0.8249),
        **tags,
    }
    at = 128 + 4 + 12 * len(tags)
    table, bodies = struct.pack(">I", len(tags)), b""
    for key, body in tags.items():
        body += bytes(-len(body) % 4)
        table += key + struct.pack(">II", at + len(bodies), len(body))
        bodies += body
    head = bytearray(128)
    head[0:4] = struct.pack(">I", at + len(bodies))
    head[8:12] = b"\x02\x10\0\0"
    head[12:16], head[16:20], head[20:24], head[36:40] = kind, space, pcs, b"acsp"
    head[24:36] = struct.pack(">6H", 2024, 1, 1, 0, 0, 0)
    head[68:80] = struct.pack(">iii", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    return bytes(head) + table + bodies


def swapped_profile() -> bytes:
    """RGB whose red is sRGB's green and whose green is sRGB's red."""
    red, green, blue = (0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139)
    tags = {b"rXYZ": _tag_xyz(*green), b"gXYZ": _tag_xyz(*red), b"bXYZ": _tag_xyz(*blue)}
    return profile("Swapped", b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), _tag_gamma(2.2)))


def linear_grey_profile() -> bytes:
    return profile("Linear grey", b"GRAY", {b"kTRC": _tag_gamma(1.0)})


def ink_profile() -> bytes:
    """CMYK in which paper is white, cyan alone is a middle grey (L* = 50), and the rest is black."""
    identity = bytes(range(256))
    white, grey, black = bytes((255, 128, 128)), bytes((128, 128, 128)), bytes((0, 128, 128))
    grid = white + black * 7 + grey + black * 7  # cyan counts in eights
    matrix = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + matrix + identity * 4 + grid + identity * 3
    return profile("Inks", b"CMYK", {b"A2B0": table}, pcs=b"Lab ")


def srgb_profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def grey_alpha(pixels: Pixels) -> Image.Image:
    """A picture of mode LA from (H, W, 2)."""
    return Image.merge("LA", [Image.fromarray(np.ascontiguousarray(pixels[:, :, i])) for i in (0, 1)])
