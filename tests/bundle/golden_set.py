"""Writes the checked-in golden vectors anew: `python -m tests.bundle.golden_set`.

Only a new version of the contract may change them.
"""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from darkroom.bundle import GoldenVectors
from darkroom.records import Contract
from tests.images import kinds
from tests.tree import ROOT

GOLDEN = ROOT / "tests" / "data" / "golden"

CONTRACTS = {
    "crop": Contract(width_px=20, height_px=14, resize="crop", alpha_colour=(250, 120, 3)),
    "squash-grey": Contract(width_px=12, height_px=12, resize="squash", colour="grey"),
    "fill": Contract(
        width_px=16, height_px=18, resize="fill", pad_colour=(90, 60, 30), enhance=("median3", "invert")
    ),
    "half-crop": Contract(
        width_px=15, height_px=11, resize="half_crop", pad_colour=(1, 2, 3), enhance=("autocontrast",)
    ),
}


def decode_cases() -> list[tuple[str, bytes]]:
    """PNG files whose decoding the decode table settles, beyond the drawn ones of a bundle."""
    random = np.random.default_rng(11)
    deep = random.integers(0, 65536, (17, 23, 4), dtype=np.uint16)
    rows = b"".join(b"\0" + row.tobytes() for row in kinds.noise(23, 17))
    gamma = kinds.chunk(b"gAMA", (100_000).to_bytes(4, "big"))
    late = kinds.chunk(b"eXIf", kinds.exif(t274=8).removeprefix(b"Exif\0\0"))
    frames = [Image.fromarray(kinds.noise(23, 17, seed=seed)) for seed in (1, 2)]
    palette = Image.fromarray(kinds.slope(23, 17)).quantize(12)
    colour_key = tuple(kinds.noise(23, 17)[0, 0].tolist())
    return [
        ("16-bit-grey", kinds.png_16(deep[:, :, :1])),
        ("16-bit-grey-alpha", kinds.png_16(deep[:, :, :2])),
        ("16-bit-rgb", kinds.png_16(deep[:, :, :3])),
        ("16-bit-rgba", kinds.png_16(deep)),
        ("gamma", kinds.png(rows, 23, 17, depth=8, colour=2, before=gamma)),
        ("late-exif", kinds.png(rows, 23, 17, depth=8, colour=2, after=late)),
        ("animated", kinds.encoded(frames[0], save_all=True, append_images=frames[1:])),
        ("palette-transparent", kinds.encoded(palette, transparency=bytes(range(0, 240, 20)))),
        ("colour-key", kinds.encoded(Image.fromarray(kinds.noise(23, 17)), transparency=colour_key)),
        ("one-bit-key", _one_bit_with_key()),
    ]


def _one_bit_with_key() -> bytes:
    rows = b"".join(
        b"\0" + bytes((zlib.crc32(bytes((y,))) >> shift) & 255 for shift in (0, 8)) for y in range(9)
    )
    return kinds.png(rows, 16, 9, depth=1, colour=0, before=kinds.chunk(b"tRNS", b"\0\0"))


def write(folder: Path) -> None:
    """Writes all sets."""
    shutil.rmtree(folder, ignore_errors=True)
    for number, (name, contract) in enumerate(CONTRACTS.items()):
        count = 16 if number == 0 else 8
        GoldenVectors.synthetic(contract, count=count, seed=number).write(folder / name)
    GoldenVectors.of(CONTRACTS["crop"], decode_cases()).write(folder / "decode")


if __name__ == "__main__":
    write(GOLDEN)
