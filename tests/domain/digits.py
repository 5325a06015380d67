"""Handwritten digits on sheets of 28×28 px, as numbers for a sketch, and changes planted in them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from PIL import Image, ImageFilter
from sklearn.datasets import load_digits

from darkroom.domain import DomainCheck, Examples, Sketch, learn, measure_all
from darkroom.images import Transform, transform_of
from darkroom.records import Contract

CONTRACT = Contract(width_px=28, height_px=28, colour="grey", resize="squash")
PHOTO = transform_of(28, 28, CONTRACT)
TRAIN, HELD_OUT = 900, 500


@cache
def digits() -> np.ndarray:
    """Returns 1,797 scanned digits, white on black, centred by mass: (N, 28, 28, 1) uint8."""
    order = np.random.default_rng(0).permutation(1797)
    return np.stack([_sheet(small) for small in load_digits().images[order]])[..., None]


@cache
def measures() -> np.ndarray:
    """Returns what is measured on each digit, (N, properties)."""
    return measure_all(digits(), [PHOTO] * len(digits()))


def features(tensors: np.ndarray) -> np.ndarray:
    """Returns 40 numbers per picture that a network might give: (n, 40) float32."""
    weights = np.random.default_rng(1).normal(size=(28 * 28, 40)) / 28
    return np.maximum(tensors.reshape(len(tensors), -1) / 255 @ weights, 0).astype(np.float32)


def examples(places: np.ndarray, *, with_features: bool = False) -> Examples:
    """Returns some of the digits as numbers."""
    found = features(digits()[places]) if with_features else None
    return Examples(tuple(f"{place:064d}" for place in places), measures()[places], found)


@cache
def sketch(*, with_features: bool = False) -> Sketch:
    """Returns the sketch of the first 900 digits, calibrated on the next 500."""
    train, held_out = np.arange(TRAIN), np.arange(TRAIN, TRAIN + HELD_OUT)
    return learn(
        examples(train, with_features=with_features),
        examples(held_out, with_features=with_features),
        contract=CONTRACT,
    )


@cache
def check(*, with_features: bool = False) -> DomainCheck:
    return DomainCheck(sketch(with_features=with_features))


def fresh(count: int = 60) -> np.ndarray:
    """Returns digits that the sketch knows nothing of, (n, 28, 28, 1) uint8."""
    return digits()[TRAIN + HELD_OUT :][:count]


def moved(tensor: np.ndarray, right_px: int, down_px: int) -> np.ndarray:
    return np.roll(tensor, (down_px, right_px), (0, 1))


def scaled(tensor: np.ndarray, side_px: int) -> np.ndarray:
    """Returns a picture drawn larger or smaller about its middle."""
    image = Image.fromarray(tensor[:, :, 0]).resize((side_px, side_px), Image.Resampling.BICUBIC)
    sheet = Image.new("L", (28, 28), 0)
    sheet.paste(image, ((28 - side_px) // 2, (28 - side_px) // 2))
    return np.asarray(sheet)[..., None]


def thickened(tensor: np.ndarray) -> np.ndarray:
    """Returns a picture whose strokes are about two pixels thicker, and which is as large as before."""
    large = Image.fromarray(tensor[:, :, 0]).resize((112, 112), Image.Resampling.BICUBIC)
    large = large.filter(ImageFilter.MaxFilter(19)).resize((22, 22), Image.Resampling.BOX)
    sheet = Image.new("L", (28, 28), 0)
    sheet.paste(large, (3, 3))
    return _steep(np.asarray(sheet, np.float64)).astype(np.uint8)[..., None]


def blurred(tensor: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(tensor[:, :, 0]).filter(ImageFilter.GaussianBlur(2.2)))[..., None]


def noisy(tensor: np.ndarray) -> np.ndarray:
    grain = np.random.default_rng(3).normal(0, 25, tensor.shape)
    return np.clip(tensor + grain, 0, 255).astype(np.uint8)


PLANTED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str, str]] = {
    "inverted": (np.invert, "polarity", "the background is light"),
    "on a grey sheet": (lambda x: (90 + x * (165 / 255)).astype(np.uint8), "brightness", "it is lighter"),
    "faint": (lambda x: (x * 0.35).astype(np.uint8), "contrast", "its contrast is weaker"),
    "blurred": (blurred, "sharpness", "it is blurred"),
    "noisy": (noisy, "noise", "it is noisier"),
    "small": (lambda x: scaled(x, 14), "size", "what is on it is smaller"),
    "large": (lambda x: scaled(x, 40), "size", "what is on it is larger"),
    "thick": (thickened, "stroke", "strokes and parts are thicker"),
    "to the right": (lambda x: moved(x, 3, 0), "centre_x", "what is on it lies further right"),
    "up": (lambda x: moved(x, 0, -3), "centre_y", "what is on it lies higher"),
}
"""Name → change, the property it is about, and how the words about it begin."""

LARGE_PHOTO: Transform = transform_of(280, 280, CONTRACT)
SMALL_PHOTO: Transform = transform_of(7, 7, CONTRACT)
WIDE_PHOTO: Transform = transform_of(84, 28, CONTRACT)


def _sheet(small: np.ndarray) -> np.ndarray:
    """Returns a scanned digit (8, 8) of 0..16 in the middle of a sheet, (28, 28) uint8."""
    image = Image.fromarray((small * (255 / 16)).astype(np.uint8)).resize(
        (20, 20), Image.Resampling.BICUBIC
    )
    pixels = _steep(np.asarray(image, np.float64))
    sheet = np.zeros((28, 28))
    sheet[4:24, 4:24] = pixels
    mass = sheet.sum()
    down = 13.5 - (sheet.sum(1) @ np.arange(28)) / mass
    across = 13.5 - (sheet.sum(0) @ np.arange(28)) / mass
    return np.roll(sheet, (round(down), round(across)), (0, 1)).astype(np.uint8)


def _steep(pixels: np.ndarray) -> np.ndarray:
    """Returns grey levels whose edges are as steep as a pen's: resizing leaves them wide."""
    return np.clip((pixels - 60) * (255 / 130), 0, 255)
