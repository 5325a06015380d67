"""Run the contract from any step on, with parts of it changed: what would a side have made of it?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from darkroom.bundle.dump import step_order
from darkroom.images import Decoded, Transform, apply_contract, transform_of
from darkroom.images.contract import contract_steps
from darkroom.records import Contract

__all__ = ["Change", "Development", "Pixels", "Start", "ours"]

Pixels: TypeAlias = NDArray[np.uint8]
"""(H, W, C) uint8."""

Change: TypeAlias = "Callable[[Pixels, Transform], Pixels]"
"""Takes the place of a step."""

GEOMETRY = ("crop", "resize_horizontal", "resize_vertical", "pad")


@dataclass(frozen=True)
class Start:
    """Pixels that are known, and the step that left them."""

    step: str
    pixels: Pixels


@dataclass(frozen=True)
class Development:
    """The way of one picture through the contract.

    Args:
        contract: what is asked for.
        start: pixels to start from.
        orientation: EXIF orientation still to be applied after `decode`.
        size_px: width and height of the upright picture; needed to start after `crop`.
        data: the encoded bytes, where they are known.
    """

    contract: Contract
    start: Start
    orientation: int = 1
    size_px: tuple[int, int] | None = None
    data: bytes = b""

    @property
    def order(self) -> tuple[str, ...]:
        """Names of all steps, in order."""
        return step_order(self.contract)

    def under(self, contract: Contract) -> Development:
        """Returns the same way under another contract."""
        return replace(self, contract=contract)

    def turned(self, orientation: int) -> Development:
        """Returns the same way with another orientation."""
        return replace(self, orientation=orientation, size_px=None)

    def of(self, pixels: Pixels) -> Development:
        """Returns the same way from other pixels of the same step."""
        return replace(self, start=Start(self.start.step, pixels))

    def until(self, step: str, changed: Mapping[str, Change] | None = None) -> Pixels | None:
        """Returns the pixels that a step leaves; None where that cannot be known from the start.

        Args:
            step: the last step to run.
            changed: what takes the place of steps.
        """
        order = self.order
        if order.index(self.start.step) > order.index(step):
            return None
        held, changed = self.start.pixels, changed or {}
        transform = self._transform(held)
        for name, run in self._steps(transform):
            if order.index(name) <= order.index(self.start.step):
                continue
            if order.index(name) > order.index(step):
                break
            if transform is None and name in GEOMETRY:
                return None
            try:
                if name in changed:
                    held = changed[name](held, transform) if transform is not None else held
                else:
                    held = _pixels(run(held))
            except ValueError:
                return None  # a side's pixels may be of a size or kind that the next step does not take
        return held

    def _steps(self, transform: Transform | None) -> Any:
        known = transform or transform_of(1, 1, self.contract)
        return contract_steps(self.contract, known, self.orientation)

    def _transform(self, pixels: Pixels) -> Transform | None:
        height, width = pixels.shape[:2]
        if self.start.step == "decode":
            if self.orientation >= 5:
                width, height = height, width
        elif self.order.index(self.start.step) >= self.order.index("crop"):
            if self.size_px is None:
                return None
            width, height = self.size_px
        return transform_of(width, height, self.contract)


def ours(decoded: Decoded, contract: Contract) -> dict[str, Pixels]:
    """Returns what each step of the contract leaves of a decoded picture, `resize` and `tensor` too."""
    prepared = apply_contract(decoded, contract, trace=True)
    steps = {step.name: step.pixels for step in prepared.steps}
    return steps | {"resize": steps["resize_vertical"], "tensor": prepared.tensor}


def _pixels(held: Image.Image | Pixels) -> Pixels:
    if isinstance(held, Image.Image):
        array = np.asarray(held, np.uint8)
        return array[:, :, None] if array.ndim == 2 else array
    return held
