"""Figures of an evaluation: curves with bands, and how reliable the probabilities are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from darkroom.documents.figures import PALETTE, Form, _canvas, _drawn

__all__ = ["BandLine", "ReliabilityLine", "bands", "reliability"]

FAMILIES = ("accent", "cool", "soft", "ink")


class BandLine(NamedTuple):
    """One curve with its band."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


class ReliabilityLine(NamedTuple):
    """Accuracy in bins of confidence, with intervals."""

    name: str
    confidence: Sequence[float]
    accuracy: Sequence[float]
    low: Sequence[float]
    high: Sequence[float]


def bands(
    lines: Sequence[BandLine],
    *,
    title: str,
    x_title: str,
    y_title: str,
    diagonal: bool = False,
    form: Form = "svg",
) -> bytes:
    """Returns curves over 0 to 1 with the bands that other images would move them in.

    Args:
        lines: the curves, at most four; the first one's band is drawn.
        title: what is shown, for those who cannot see it.
        x_title: what lies along the x axis.
        y_title: what lies along the y axis.
        diagonal: draw where answers by chance would lie.
        form: svg takes the page's colours.
    """
    figure, axes = _canvas(3.9, 3.4)
    if diagonal:
        axes.plot([0, 1], [0, 1], color=PALETTE["rule"], linewidth=0.8, linestyle=(0, (3, 3)))
    for line, family in zip(lines, FAMILIES, strict=False):
        if line is lines[0]:
            axes.fill_between(line.x, line.low, line.high, color=PALETTE[family], alpha=0.22, linewidth=0)
        axes.plot(line.x, line.y, color=PALETTE[family], linewidth=1.6, label=line.name)
    _unit_square(axes, x_title, y_title)
    if len(lines) > 1:
        _legend(axes)
    return _drawn(figure, form, title)


def reliability(lines: Sequence[ReliabilityLine], *, title: str, form: Form = "svg") -> bytes:
    """Returns accuracy against confidence; on the diagonal probabilities mean what they say.

    Args:
        lines: one per set of probabilities, at most four.
        title: what is shown, for those who cannot see it.
        form: svg takes the page's colours.

    Source: DeGroot and Fienberg, The comparison and evaluation of forecasters, 1983.
    """
    figure, axes = _canvas(3.9, 3.4)
    axes.plot([0, 1], [0, 1], color=PALETTE["rule"], linewidth=0.8, linestyle=(0, (3, 3)))
    for line, family in zip(lines, FAMILIES, strict=False):
        below = [max(0.0, value - low) for value, low in zip(line.accuracy, line.low, strict=True)]
        above = [max(0.0, high - value) for value, high in zip(line.accuracy, line.high, strict=True)]
        axes.errorbar(
            line.confidence,
            line.accuracy,
            yerr=(below, above),
            color=PALETTE[family],
            linewidth=1.2,
            elinewidth=0.8,
            marker="o",
            markersize=3.5,
            label=line.name,
        )
    _unit_square(axes, "probability of the answer", "share of right answers")
    if len(lines) > 1:
        _legend(axes)
    return _drawn(figure, form, title)


def _unit_square(axes, x_title: str, y_title: str) -> None:
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlabel(x_title)
    axes.set_ylabel(y_title)
    axes.grid(color=PALETTE["rule"], alpha=0.25, linewidth=0.7)


def _legend(axes) -> None:
    legend = axes.legend(frameon=False, fontsize=9, loc="best")
    for text in legend.get_texts():
        text.set_color(PALETTE["ink"])
        text.set_parse_math(False)
