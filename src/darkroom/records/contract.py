"""The preprocessing contract as data: from decoded pixels to the uint8 tensor, in integers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from darkroom.records.record import Config

__all__ = ["CONTRACT_VERSION", "Channel", "Contract", "Enhancement", "ResizeMode"]

CONTRACT_VERSION = 1
"""Version of the arithmetic in `images/`."""

ResizeMode = Literal["squash", "crop", "fill", "half_crop"]
"""squash: to the size whatever the proportions; crop: cover the size, cut the rest from the middle;
fill: fit inside, pad; half_crop: half-way between the two (as in NVIDIA DIGITS)."""

Enhancement = Literal["invert", "autocontrast", "median3", "dark_background"]
"""invert: 255 − p; autocontrast: stretch each channel to 0..255; median3: median of 3×3 pixels;
dark_background: 255 − p where the outermost pixels are light, so that light and dark say the same."""

Channel = Annotated[int, Field(ge=0, le=255)]


class Contract(Config):
    """Every step that a picture's pixels go through before the network, on every platform."""

    version: int = CONTRACT_VERSION
    """Version of the arithmetic."""
    width_px: Annotated[int, Field(ge=1, le=8192)] = 224
    """Width of the tensor."""
    height_px: Annotated[int, Field(ge=1, le=8192)] = 224
    """Height of the tensor."""
    colour: Literal["rgb", "grey"] = "rgb"
    """Three channels, or one."""
    resize: ResizeMode = "crop"
    """How a picture of other proportions is brought to the size."""
    alpha_colour: tuple[Channel, Channel, Channel] = (255, 255, 255)
    """Transparent pixels are laid on this colour."""
    pad_colour: tuple[Channel, Channel, Channel] = (0, 0, 0)
    """Colour around the picture for `fill` and `half_crop`; grey takes its grey value."""
    enhance: tuple[Enhancement, ...] = ()
    """Steps after the resize, in this order."""

    @property
    def channels(self) -> int:
        """3 for rgb, 1 for grey."""
        return 3 if self.colour == "rgb" else 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one tensor, (height, width, channels)."""
        return (self.height_px, self.width_px, self.channels)
