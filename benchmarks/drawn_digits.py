"""Digits as people draw them: the same strokes white on black, in colours, thin, off-centre, too large."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

__all__ = ["CONDITIONS", "Condition", "draw"]

FINE = 10  # drawn this many times larger, then averaged down


@dataclass(frozen=True, kw_only=True)
class Condition:
    """How a digit is put on its sheet; lengths in pixels of a 28 px sheet."""

    name: str
    side_px: int = 28
    ink: tuple[int, int, int] = (255, 255, 255)
    paper: tuple[int, int, int] = (0, 0, 0)
    stroke: float = 2.6
    height: float = 20.0
    moved: float = 0.0
    """How far the digit lies from the middle along each side."""


CONDITIONS = (
    Condition(name="white on black, 28 px"),
    Condition(name="red on white, 200 px", side_px=200, ink=(214, 24, 24), paper=(255, 255, 255)),
    Condition(name="blue on yellow, 200 px", side_px=200, ink=(24, 48, 190), paper=(252, 232, 60)),
    Condition(name="thin stroke", stroke=0.9),
    Condition(name="off-centre", moved=4.0),
    Condition(name="too large", height=29.0),
)
"""The first is what the network was trained on; each of the others differs from it in one thing."""


def draw(digit: int, hand: int, condition: Condition) -> Image.Image:
    """Returns a drawing as an RGB picture of `condition.side_px` square.

    The same digit and hand give the same strokes under every condition.

    Args:
        digit: 0 to 9.
        hand: who draws: decides slant, proportions and small errors of the hand.
        condition: how it is put on the sheet.
    """
    side = 28 * FINE
    mask = Image.new("L", (side, side), 0)
    pen = ImageDraw.Draw(mask)
    for stroke in _placed(_written(digit, hand), hand, condition):
        points = [(x * FINE, y * FINE) for x, y in stroke]
        pen.line(points, fill=255, width=round(condition.stroke * FINE), joint="curve")
        radius = condition.stroke * FINE / 2
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    mask = mask.filter(ImageFilter.GaussianBlur(0.35 * FINE))  # a pen's edge, as soft as MNIST's
    size = (condition.side_px, condition.side_px)
    mask = mask.resize(size, Image.Resampling.BOX if condition.side_px == 28 else Image.Resampling.BILINEAR)
    return Image.composite(
        Image.new("RGB", size, condition.ink), Image.new("RGB", size, condition.paper), mask
    )


Stroke = list[tuple[float, float]]

# Control points in a unit square, y downwards; "round" ones are joined by a smooth curve.
SHAPES: dict[int, list[tuple[str, Stroke]]] = {
    0: [("round", [(0.5, 0.05), (0.26, 0.2), (0.2, 0.5), (0.28, 0.82), (0.5, 0.95), (0.73, 0.8), (0.8, 0.5),
                   (0.72, 0.18), (0.5, 0.05)])],
    1: [("straight", [(0.34, 0.26), (0.54, 0.05), (0.5, 0.95)])],
    2: [("round", [(0.22, 0.28), (0.34, 0.09), (0.56, 0.06), (0.74, 0.22), (0.68, 0.46), (0.44, 0.7),
                   (0.2, 0.93)]), ("straight", [(0.2, 0.93), (0.8, 0.92)])],
    3: [("round", [(0.25, 0.14), (0.48, 0.04), (0.72, 0.16), (0.68, 0.38), (0.45, 0.47)]),
        ("round", [(0.45, 0.47), (0.72, 0.55), (0.78, 0.76), (0.56, 0.95), (0.24, 0.88)])],
    4: [("straight", [(0.56, 0.06), (0.2, 0.62), (0.82, 0.6)]), ("straight", [(0.64, 0.36), (0.6, 0.96)])],
    5: [("straight", [(0.74, 0.07), (0.32, 0.08), (0.28, 0.44)]),
        ("round", [(0.28, 0.44), (0.52, 0.38), (0.75, 0.54), (0.74, 0.78), (0.52, 0.95), (0.24, 0.86)])],
    6: [("round", [(0.66, 0.05), (0.42, 0.24), (0.27, 0.55), (0.32, 0.84), (0.54, 0.95), (0.74, 0.8),
                   (0.68, 0.58), (0.46, 0.53), (0.29, 0.68)])],
    7: [("straight", [(0.22, 0.09), (0.78, 0.08), (0.44, 0.95)])],
    8: [("round", [(0.5, 0.47), (0.3, 0.3), (0.36, 0.1), (0.56, 0.05), (0.72, 0.2), (0.62, 0.4),
                   (0.46, 0.5), (0.27, 0.7), (0.34, 0.9), (0.55, 0.95), (0.74, 0.8), (0.66, 0.6),
                   (0.5, 0.47)])],
    9: [("round", [(0.72, 0.26), (0.56, 0.07), (0.34, 0.14), (0.28, 0.36), (0.46, 0.5), (0.66, 0.4),
                   (0.72, 0.26)]), ("round", [(0.72, 0.26), (0.7, 0.58), (0.56, 0.95)])],
}  # fmt: skip


def _written(digit: int, hand: int) -> list[Stroke]:
    """Returns a digit's strokes in the unit square, with the errors of a hand."""
    generator = np.random.default_rng((digit, hand))
    slant, turn = generator.uniform(-0.05, 0.3), math.radians(generator.uniform(-7, 7))
    narrow = generator.uniform(0.75, 1.0)
    strokes = []
    for kind, shape in SHAPES[digit]:
        wobbly = [(x + generator.normal(0, 0.018), y + generator.normal(0, 0.018)) for x, y in shape]
        line = _curve(wobbly) if kind == "round" else wobbly
        strokes.append([_turned((x - 0.5) * narrow + slant * (0.5 - y), y - 0.5, turn) for x, y in line])
    return strokes


def _turned(x: float, y: float, angle: float) -> tuple[float, float]:
    return x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)


def _curve(points: Stroke, steps: int = 12) -> Stroke:
    """Returns the Catmull-Rom curve through points.

    Source: Catmull, Rom, A class of local interpolating splines, 1974.
    """
    ends = [points[0], *points, points[-1]]
    line = []
    for p0, p1, p2, p3 in zip(ends, ends[1:], ends[2:], ends[3:], strict=False):
        for step in range(steps):
            t = step / steps
            weights = (-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, t**3 - t**2)
            line.append(
                tuple(
                    sum(w * p[k] for w, p in zip(weights, (p0, p1, p2, p3), strict=True)) / 2
                    for k in (0, 1)
                )
            )
    return [*line, points[-1]]


def _placed(strokes: list[Stroke], hand: int, condition: Condition) -> list[Stroke]:
    """Returns strokes in pixels of a 28 px sheet: scaled to the height, centred by mass."""
    points = np.array([point for stroke in strokes for point in stroke])
    low, high = points.min(axis=0), points.max(axis=0)
    scale = (condition.height - condition.stroke) / max(high - low)
    middle = points.mean(axis=0) if condition.height <= 20 else (low + high) / 2
    corner = ((-1, -1), (1, -1), (1, 1), (-1, 1))[hand % 4]
    away = [14 + condition.moved * sign for sign in corner]
    return [[tuple((np.array(p) - middle) * scale + away) for p in stroke] for stroke in strokes]
