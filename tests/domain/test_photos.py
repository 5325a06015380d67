"""On real photos in colour a planted change is named by what it is, and the rate is kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from darkroom.domain import DomainCheck, Examples, learn, measure, measured_on
from darkroom.images import Decoded, Prepared, apply_contract
from darkroom.records import Contract

CONTRACT = Contract(width_px=64, height_px=64, colour="rgb", resize="crop")
pytestmark = pytest.mark.slow


def prepared(image: Image.Image) -> Prepared:
    return apply_contract(Decoded.from_pixels(np.asarray(image)), CONTRACT)


def tinted(image: Image.Image) -> Image.Image:
    return Image.fromarray((np.asarray(image) * [1.0, 0.75, 0.45]).astype(np.uint8))


def grainy(image: Image.Image) -> Image.Image:
    grain = np.random.default_rng(1).normal(0, 40, (*image.size[::-1], 3))
    return Image.fromarray(np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8))


PLANTED: dict[str, tuple[Callable[[Image.Image], Image.Image], tuple[str, ...]]] = {
    "dark": (
        lambda image: ImageEnhance.Brightness(image).enhance(0.25),
        ("brightness", "contrast", "stroke"),
    ),
    "faint": (lambda image: ImageEnhance.Contrast(image).enhance(0.25), ("contrast", "stroke")),
    "blurred": (lambda image: image.filter(ImageFilter.GaussianBlur(4)), ("sharpness",)),
    "grainy": (grainy, ("noise",)),
    "tinted": (tinted, ("saturation", "yellow_blue", "red_green")),
    "tiny": (lambda image: image.resize((24, 24)), ("pixels",)),
    "wide": (lambda image: image.resize((image.width * 4, image.height)), ("aspect",)),
}


@pytest.fixture(scope="module")
def photos(shared_data: Path) -> list[Image.Image]:
    files = sorted((shared_data / "sign-digits").rglob("*.jp*g"))
    order = np.random.default_rng(0).permutation(len(files))
    return [Image.open(files[place]).convert("RGB") for place in order]


@pytest.fixture(scope="module")
def check(photos: list[Image.Image]) -> DomainCheck:
    ready = [prepared(photo) for photo in photos]
    measures = np.stack([measure(one.tensor, one.transform) for one in ready])

    def part(first: int, last: int) -> Examples:
        return Examples(tuple(str(place) for place in range(first, last)), measures[first:last])

    sketch = learn(part(0, 900), part(900, 1300), contract=CONTRACT)
    return DomainCheck(measured_on(sketch, part(1300, len(photos))))


def test_the_rate_is_kept_on_photos(check: DomainCheck) -> None:
    [calibration] = check.sketch.facts.calibrations
    assert calibration.measured is not None
    assert calibration.measured.low <= calibration.rate


@pytest.mark.parametrize("name", PLANTED)
def test_a_change_of_a_photo_is_noticed_and_named(
    name: str, check: DomainCheck, photos: list[Image.Image]
) -> None:
    change, expected = PLANTED[name]
    ready = [prepared(change(photo)) for photo in photos[1300:1360]]
    answers = [check.check(one.tensor, one.transform) for one in ready]
    assert np.mean([not one.in_domain for one in answers]) >= 0.9
    assert np.mean([one.reasons[0].name in expected for one in answers if one.reasons]) >= 0.8
