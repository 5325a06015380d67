"""Ways in which sides are known to crop and resize otherwise than the contract; each can be tried."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from darkroom.export.developing import Development, Pixels
from darkroom.export.resizing import (
    COORDINATES,
    FILTERS,
    Resize,
    by_float,
    by_points,
    filtered,
    sizes_between,
)
from darkroom.export.suspect import Suspect
from darkroom.images import Transform

__all__ = ["shape_suspects"]

LIBRARY = "Compute the integer resize of docs/contract.md; the resizes of libraries differ from it."


def shape_suspects(way: Development) -> Iterator[Suspect]:
    """Yields what can be tried on pictures under a contract, the plainest first."""
    yield from _geometry(way)
    yield from _resizing(way)


def _geometry(way: Development) -> Iterator[Suspect]:
    asked = way.contract.resize
    for mode in ("squash", "crop", "fill", "half_crop"):
        if mode != asked:
            other = way.contract.model_copy(update={"resize": mode})
            yield Suspect(
                f"{mode}-for-{asked}",
                "crop",
                f"the picture is brought to size by {mode}, the contract says {asked}",
                f'Keep the box of mode "{asked}" (docs/contract.md), then resize.',
                lambda way, step, other=other: way.under(other).until(step),
            )
            for name, words, resize in other_resizes():
                yield Suspect(
                    f"{mode}-for-{asked}+{name}",
                    "crop",
                    f"the picture is brought to size by {mode}, the contract says {asked}; and {words}",
                    f'Keep the box of mode "{asked}", then compute the integer resize (docs/contract.md).',
                    lambda way, step, other=other, resize=resize: _resized_by(
                        way.under(other), step, resize
                    ),
                )
    yield Suspect(
        "crop-rounded-up",
        "crop",
        "the box that is kept lies a pixel further right or down",
        "Place it at (W − width) div 2, (H − height) div 2, rounded down.",
        lambda way, step: way.until(step, {"crop": _crop_rounded_up}),
    )
    if asked == "crop":
        for share in (1.0, 0.875):
            yield Suspect(
                f"crop-after-resize-{share:g}",
                "crop",
                "the short side is resized"
                + (f" to 1/{share:g} of the tensor" if share < 1 else "")
                + " and the middle cut out afterwards",
                "Crop first, on the upright picture; then resize to exactly the tensor's size.",
                lambda way, step, share=share: _cropped_after(way, step, share),
            )


def _resizing(way: Development) -> Iterator[Suspect]:
    yield Suspect(
        "vertical-first",
        "resize_horizontal",
        "the vertical pass runs before the horizontal one",
        "Resize the rows first, round to 8 bits, then the columns.",
        lambda way, step: way.until(
            step,
            {
                "resize_horizontal": lambda pixels, to: filtered(
                    pixels, pixels.shape[1], to.resized_height_px
                ),
                "resize_vertical": lambda pixels, to: filtered(
                    pixels, to.resized_width_px, pixels.shape[0]
                ),
            },
        ),
    )
    for name, words, resize in other_resizes():
        yield _both(name, words, resize)
    for name, words in {
        name: words for name, _, _, words in sizes_between(way.contract, (999, 999))
    }.items():
        said = f"the picture is resized twice: to {words} first"
        do = "Resize once, from the full picture."
        yield Suspect(
            f"double-{name}",
            "resize_horizontal",
            said,
            do,
            lambda way, step, name=name: _resized_before(way, step, name),
        )
        yield _both(
            f"double-kept-{name}",
            said,
            lambda pixels, width, height, name=name: filtered(_resized(way, pixels, name), width, height),
            do,
        )


def _resized(way: Development, pixels: Pixels, name: str) -> Pixels:
    """Returns pixels brought to a size in between, by its name."""
    sizes = {name: (wide, high) for name, wide, high, _ in sizes_between(way.contract, pixels.shape[:2])}
    return filtered(pixels, *sizes[name]) if name in sizes else pixels


def _resized_before(way: Development, step: str, name: str) -> Pixels | None:
    """Resizes the whole picture before the contract's crop."""
    if way.start.step not in ("decode", "orient", "alpha", "colour"):
        return None
    return replace(way.of(_resized(way, way.start.pixels, name)), size_px=None).until(step)


def other_resizes() -> Iterator[tuple[str, str, Resize]]:
    """Yields resizes of other libraries: name, words, resize."""
    for name, words, resize in by_float():
        yield f"float-{name}", f"the resize computes with floating point numbers: {words}", resize
    for name, (words, resize) in FILTERS.items():
        yield f"filter-{name}", f"the resize is {words}", resize
    for name, (words, place) in COORDINATES.items():
        yield (
            f"points-{name}",
            f"the resize is bilinear between four pixels without antialiasing, {words}",
            lambda pixels, width, height, place=place: by_points(pixels, width, height, place),
        )


def _both(id: str, words: str, resize: Resize, do: str = LIBRARY) -> Suspect:
    """Returns a suspect that does both passes its own way."""
    return Suspect(id, "resize_horizontal", words, do, lambda way, step: _resized_by(way, step, resize))


def _resized_by(way: Development, step: str, resize: Resize) -> Pixels | None:
    if step == "resize_horizontal":
        return None

    def both(pixels: Pixels, to: Transform) -> Pixels:
        return resize(pixels, to.resized_width_px, to.resized_height_px)

    return way.until(step, {"resize_horizontal": lambda pixels, _: pixels, "resize_vertical": both})


def _crop_rounded_up(pixels: Pixels, to: Transform) -> Pixels:
    left = (to.width_px - to.crop_width_px + 1) // 2
    top = (to.height_px - to.crop_height_px + 1) // 2
    return pixels[top : top + to.crop_height_px, left : left + to.crop_width_px]


def _cropped_after(way: Development, step: str, share: float) -> Pixels | None:
    if step in ("crop", "resize_horizontal", "resize_vertical", "resize"):
        return None
    wide, high = way.contract.width_px, way.contract.height_px

    def resize(pixels: Pixels, _: Transform) -> Pixels:
        height, width = pixels.shape[:2]
        scale = max(wide / share / width, high / share / height)
        return filtered(pixels, max(wide, int(width * scale)), max(high, int(height * scale)))

    def cut(pixels: Pixels, _: Transform) -> Pixels:
        height, width = pixels.shape[:2]
        left, top = round((width - wide) / 2), round((height - high) / 2)
        return pixels[top : top + high, left : left + wide]

    same = {name: (lambda pixels, _: pixels) for name in ("crop", "resize_horizontal")}
    return way.until(step, {**same, "resize_vertical": resize, "pad": cut})
