"""Ways in which sides are known to leave the contract, from the bytes to the tensor; each can be tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from PIL import Image

from darkroom.errors import DarkroomError
from darkroom.export.developing import Change, Development, Pixels, Start
from darkroom.export.shape_suspects import shape_suspects
from darkroom.export.suspect import Suspect
from darkroom.images import Decoded, Transform
from darkroom.images.colour import in_srgb
from darkroom.images.layout import in_8_bits
from darkroom.images.opening import opened
from darkroom.images.orientation import orientation_of

__all__ = ["pixel_suspects"]


def pixel_suspects(way: Development) -> Iterator[Suspect]:
    """Yields what can be tried on pictures under a contract, the plainest first."""
    yield from _decoding()
    yield from _turning(way)
    yield from _flattening(way)
    yield from shape_suspects(way)
    yield from _last(way)


def _decoding() -> Iterator[Suspect]:
    yield Suspect.at_the_start(
        "profile-ignored",
        "decode",
        "the embedded colour profile (ICC) is not applied",
        "Convert pixels to sRGB while decoding (Android: BitmapFactory.Options.inPreferredColorSpace; "
        "browsers: createImageBitmap with colorSpaceConversion default).",
        lambda way: _redecoded(way, _without_profile),
    )
    yield Suspect.at_the_start(
        "bgr",
        "colour",
        "red and blue are exchanged (BGR for RGB)",
        "Hand the channels over in the order red, green, blue.",
        _reversed,
    )
    for factor in (2, 4, 8):
        yield Suspect.at_the_start(
            f"decoded-at-1/{factor}",
            "decode",
            f"the picture is decoded at 1/{factor} of its size (inSampleSize, draft, scaled decoding)",
            "Decode at full size and leave scaling to the contract.",
            lambda way, factor=factor: _redecoded(way, lambda data: _smaller(data, factor)),
        )
    yield Suspect.at_the_start(
        "premultiplied",
        "decode",
        "colours are multiplied by alpha twice (premultiplied pixels are taken as plain ones)",
        "Undo the premultiplication (Android: Bitmap.setPremultiplied(false)) before laying on a colour.",
        lambda way: _redecoded(way, _premultiplied),
    )


def _turning(way: Development) -> Iterator[Suspect]:
    for orientation in range(1, 9):
        if orientation != way.orientation:
            ignored = orientation == 1
            yield Suspect.at_the_start(
                "orientation-ignored" if ignored else f"orientation-{orientation}",
                "orient",
                "the EXIF orientation is ignored"
                if ignored
                else f"the picture is turned as EXIF orientation {orientation}, not {way.orientation}",
                "Read the EXIF orientation and turn the pixels before anything else (docs/contract.md).",
                lambda way, orientation=orientation: way.turned(orientation),
            )


def _flattening(way: Development) -> Iterator[Suspect]:
    colours = {(0, 0, 0): "black", (255, 255, 255): "white", (128, 128, 128): "grey"}
    for colour, name in colours.items():
        if colour != way.contract.alpha_colour:
            other = way.contract.model_copy(update={"alpha_colour": colour})
            yield Suspect.at_the_start(
                f"alpha-on-{name}",
                "alpha",
                f"transparent pixels are laid on {name}, not on {way.contract.alpha_colour}",
                "Lay them on the contract's alpha_colour.",
                lambda way, other=other: way.under(other),
            )
    yield Suspect(
        "alpha-dropped",
        "alpha",
        "alpha is dropped, the colours below transparent pixels show",
        "Lay transparent pixels on the contract's alpha_colour before the resize.",
        lambda way, step: _with(way, step, alpha=lambda pixels, _: pixels[:, :, :3]),
    )
    if way.contract.colour == "grey":
        for name, (words, weigh) in _GREYS.items():
            yield Suspect(
                f"grey-{name}",
                "colour",
                f"grey is {words}",
                "Compute (19595·R + 38470·G + 7471·B + 32768) >> 16.",
                lambda way, step, weigh=weigh: _with(way, step, colour=lambda pixels, _: weigh(pixels)),
            )


def _weighed(red: float, green: float, blue: float, up: float = 0.5) -> Callable[[Pixels], Pixels]:
    def weigh(pixels: Pixels) -> Pixels:
        if pixels.shape[2] == 1:
            return pixels
        grey = pixels[:, :, :3].astype(np.float64) @ np.array((red, green, blue))
        return np.floor(grey + up).clip(0, 255).astype(np.uint8)[:, :, None]

    return weigh


_GREYS: dict[str, tuple[str, Callable[[Pixels], Pixels]]] = {
    "mean": ("the mean of the three channels", _weighed(1 / 3, 1 / 3, 1 / 3)),
    "bt709": ("weighed as in BT.709, not BT.601", _weighed(0.2126, 0.7152, 0.0722)),
    "cut": ("rounded down", _weighed(0.299, 0.587, 0.114, up=0.0)),
    "bgr": ("weighed with red and blue exchanged", _weighed(0.114, 0.587, 0.299)),
    "green": ("the green channel alone", _weighed(0.0, 1.0, 0.0)),
}


def _last(way: Development) -> Iterator[Suspect]:
    for name in way.contract.enhance:
        yield Suspect(
            f"no-{name}",
            f"enhance_{name}",
            f"the step {name} is left out",
            "Run every enhancement of contract.json, in its order.",
            lambda way, step, name=name: _with(way, step, **{f"enhance_{name}": lambda pixels, _: pixels}),
        )
    for grey in (0, 114, 127, 128, 255):
        other = way.contract.model_copy(update={"pad_colour": (grey,) * 3})
        yield Suspect(
            f"pad-{grey}",
            "pad",
            f"padding has the value {grey}",
            "Pad with the contract's pad_colour.",
            lambda way, step, other=other: way.under(other).until(step),
        )
    yield Suspect(
        "pad-after",
        "pad",
        "the picture lies in the top left corner, not in the middle",
        "Pad evenly: left = (w − width) div 2, top = (h − height) div 2.",
        lambda way, step: _with(way, step, pad=_padded_after(way)),
    )
    for name, words, change in (
        ("mirrored", "mirrored", lambda pixels: pixels[:, ::-1]),
        ("upside-down", "upside down", lambda pixels: pixels[::-1]),
        ("transposed", "transposed: rows and columns are exchanged", lambda pixels: pixels.swapaxes(0, 1)),
    ):
        yield Suspect(
            f"tensor-{name}",
            "tensor",
            f"the tensor is {words}",
            "Fill the tensor by rows from the top, each from the left, the channels of a pixel together.",
            lambda way, step, change=change: _after(way, step, change),
        )


def _with(way: Development, step: str, **changed: Change) -> Pixels | None:
    return way.until(step, changed)


def _after(way: Development, step: str, change: Callable[[Pixels], Pixels]) -> Pixels | None:
    made = way.until(step)
    return None if made is None else change(made)


def _reversed(way: Development) -> Development | None:
    """Exchanges red and blue from the start on: paddings and backgrounds keep their colour."""
    if way.contract.colour == "grey" or way.start.pixels.shape[2] < 3:
        return None
    pixels = way.start.pixels
    return way.of(np.concatenate([pixels[:, :, 2::-1], pixels[:, :, 3:]], axis=2))


def _redecoded(way: Development, read: Callable[[bytes], Decoded]) -> Development | None:
    """Starts from the bytes again, decoded in another way."""
    if not way.data or way.start.step != "decode":
        return None
    try:
        found = read(way.data)
    except (DarkroomError, ValueError, OSError):
        return None
    return replace(way, start=Start("decode", found.pixels), size_px=None)


def _without_profile(data: bytes) -> Decoded:
    with opened(data) as image:
        image.load()
        orientation = orientation_of(image)
        image, _ = in_8_bits(image, data)
        return Decoded(in_srgb(image)[0], orientation)


def _smaller(data: bytes, factor: int) -> Decoded:
    with opened(data) as image:
        size = image.size
        image.draft(None, (max(1, size[0] // factor), max(1, size[1] // factor)))
        image.load()
        if image.size == size:  # no JPEG: what a library does that leaves pixels out
            image = image.resize(
                (max(1, size[0] // factor), max(1, size[1] // factor)), Image.Resampling.BOX
            )
        return Decoded(in_srgb(in_8_bits(image, data)[0])[0])


def _premultiplied(data: bytes) -> Decoded:
    found = _without_profile(data)
    if found.image.mode != "RGBA":
        raise ValueError("no alpha")
    pixels = found.pixels.astype(np.int64)
    alpha = pixels[:, :, 3:]
    pixels[:, :, :3] = (pixels[:, :, :3] * alpha + 127) // 255
    return Decoded.from_pixels(pixels.astype(np.uint8))


def _padded_after(way: Development) -> Change:
    def pad(pixels: Pixels, to: Transform) -> Pixels:
        fitted = Development(
            way.contract, Start("resize", pixels), size_px=(to.width_px, to.height_px)
        ).until("pad")
        if fitted is None:
            raise ValueError("pixels that the padding does not take")  # as of the contract's own padding
        left, top, _, _ = to.tensor_box
        moved = fitted.copy()
        moved[:] = np.roll(fitted, (-top, -left), axis=(0, 1))
        return moved

    return pad
