"""Figures of clones and of runs: each value a dot, the interval a bar, the mean a line across it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from darkroom.documents.figures import PALETTE, Form, _canvas, _drawn

__all__ = ["Strip", "strips"]

ROW_IN = 0.46
"""Height of a row, in inches."""

MOST_LETTERS = 26


class Strip(NamedTuple):
    """One row of the figure."""

    name: str
    values: Sequence[float]
    """One per clone; drawn as dots."""
    middle: float
    low: float
    high: float
    family: str = "accent"
    """Colour, a name of the palette."""


def strips(rows: Sequence[Strip], *, title: str, x_title: str, form: Form = "svg") -> bytes:
    """Returns rows of values with their intervals along one axis, the first row on top.

    Args:
        rows: the rows, at least one.
        title: what is shown, for those who cannot see it.
        x_title: what lies along the axis.
        form: svg takes the page's colours.
    """
    figure, axes = _canvas(5.6, 0.75 + ROW_IN * len(rows))
    for place, row in enumerate(rows):
        colour = PALETTE[row.family]
        if row.high > row.low:
            axes.plot([row.low, row.high], [place, place], color=colour, linewidth=7, alpha=0.25)
        axes.plot([row.middle, row.middle], [place - 0.26, place + 0.26], color=colour, linewidth=2)
        if len(row.values) > 1:
            offsets = [place + 0.12 * ((number % 3) - 1) for number in range(len(row.values))]
            axes.plot(row.values, offsets, "o", color=colour, markersize=4, alpha=0.75)
    axes.set_yticks(range(len(rows)))
    axes.set_yticklabels([_short(row.name) for row in rows], parse_math=False)
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.set_xlabel(x_title, parse_math=False)
    axes.grid(axis="x", color=PALETTE["rule"], alpha=0.25, linewidth=0.7)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.margins(x=0.06)
    return _drawn(figure, form, title)


def _short(name: str) -> str:
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"
