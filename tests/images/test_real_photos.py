"""Photos as cameras and phones make them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkroom.images import apply_contract, decode, describe, reference_contract, thumbnail
from darkroom.records import Contract, ResizeMode

PHOTOS = ("cat.jpg", "grace_hopper.jpg", "bird_segmentation_mask.png")


@pytest.mark.parametrize("mode", ["crop", "half_crop"])
@pytest.mark.parametrize("name", PHOTOS)
def test_a_photo_gives_the_tensor_of_plain_integers(shared_data: Path, name: str, mode: ResizeMode) -> None:
    path = shared_data / "sample-photos" / name
    decoded = decode(path.read_bytes())
    contract = Contract(width_px=96, height_px=80, resize=mode)
    expected = reference_contract(decoded.pixels, contract, orientation=decoded.orientation)
    assert np.array_equal(apply_contract(decoded, contract).tensor, expected)


def test_every_sample_photo_is_described_and_shown(shared_data: Path) -> None:
    paths = [path for path in (shared_data / "sample-photos").iterdir() if path.suffix in {".jpg", ".png"}]
    assert len(paths) >= 10
    for path in paths:
        data = path.read_bytes()
        found = describe(data)
        height_px, width_px = decode(data).pixels.shape[:2]
        assert (found.width_px, found.height_px) == (width_px, height_px)
        assert len(thumbnail(data, 128)) < 30_000
