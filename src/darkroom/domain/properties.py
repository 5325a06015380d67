"""The table of properties that are compared: what each is called, its unit, the difference that matters.

To add one: a line here, its number in `measures.py`, and what could be done about it in `fixes.py`.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["DISTANCE", "PROPERTIES", "Property"]


class Property(NamedTuple):
    """One number measured on a picture."""

    name: str
    below: str
    """What a picture is whose value lies below those of training."""
    above: str
    """The same above."""
    unit: str
    """Behind the number in words."""
    digits: int
    """Behind the point."""
    floor: float
    """The smallest difference that matters, on the scale where it is compared: a judgement."""
    scale: Literal["plain", "log"] = "plain"
    """log: ratios are compared, not differences."""
    factor: float = 1.0
    """From the value to the unit."""
    colour_only: bool = False
    """Only where the contract keeps colours."""
    side: Literal["both", "below", "above"] = "both"
    """On which side of the training pictures a value is strange."""

    def compared(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns values on the scale where they are compared."""
        return values if self.scale == "plain" else np.log(np.maximum(values, 1e-6))

    def said(self, value: float) -> str:
        """Returns a value in words, without its unit."""
        return f"{round(value * self.factor, self.digits) + 0.0:.{self.digits}f}"  # + 0.0: no "-0"


DISTANCE = Property(
    "distance",
    "it is nearer to training pictures than these are to each other",
    "the network's features of it are far from those of every training picture",
    "",
    3,
    math.log(1.05),
    "log",
    side="above",
)
"""Mean distance to the nearest training pictures in the network's features; not measured on pixels."""

PROPERTIES: tuple[Property, ...] = (
    Property("polarity", "the background is dark", "the background is light", "", 2, 0.15),
    Property("brightness", "it is darker", "it is lighter", " of 255", 0, 8.0),
    Property("contrast", "its contrast is weaker", "its contrast is stronger", " of 255", 0, 8.0),
    Property("sharpness", "it is blurred", "it is sharper", "", 3, math.log(1.1), "log"),
    Property("noise", "it is smoother", "it is noisier", " of 255", 1, 1.0),
    Property(
        "size", "what is on it is smaller", "what is on it is larger", " % of the side", 0, 0.03, factor=100
    ),
    Property(
        "stroke",
        "strokes and parts are thinner or fainter",
        "strokes and parts are thicker",
        " px in full contrast",
        1,
        0.08,
        "log",
    ),
    Property(
        "centre_x",
        "what is on it lies further left",
        "what is on it lies further right",
        " % of the width from the middle",
        0,
        0.02,
        factor=100,
    ),
    Property(
        "centre_y",
        "what is on it lies higher",
        "what is on it lies lower",
        " % of the height from the middle",
        0,
        0.02,
        factor=100,
    ),
    Property(
        "saturation",
        "its colours are weaker",
        "its colours are stronger",
        " of 255",
        0,
        8.0,
        colour_only=True,
    ),
    Property("red_green", "it is greener", "it is redder", " of 255", 0, 8.0, colour_only=True),
    Property("yellow_blue", "it is bluer", "it is yellower", " of 255", 0, 8.0, colour_only=True),
    Property(
        "pixels",
        "the picture has fewer pixels",
        "the picture has more pixels",
        " along each pixel of the tensor",
        2,
        0.2,
        "log",
        side="below",  # a larger photo loses nothing: what is left of it is measured on the tensor
    ),
    Property("aspect", "it is narrower", "it is wider", " times as wide as high", 2, 0.05, "log"),
)
"""In the order of the columns that `measures.measure` gives."""

OF_THE_PHOTO = ("pixels", "aspect")
"""What the tensor no longer shows: measured on the photo's size."""
