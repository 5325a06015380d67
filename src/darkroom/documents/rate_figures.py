"""Figure of a range test: smoothed loss over the learning rate, with the suggestion marked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from darkroom.documents.figures import PALETTE, Form, _canvas, _drawn

__all__ = ["rate_curve"]

HEADROOM = 0.15
"""The axis ends this share of the fall above the first loss: what runs away leaves the figure."""


def rate_curve(found: Mapping[str, Any], *, form: Form = "svg") -> bytes:
    """Returns the loss over the learning rate, by powers of ten; dots mark lowest loss and suggestion.

    Args:
        found: rates, losses, rate and lowest_at of a range test.
        form: svg takes the page's colours.
    """
    figure, axes = _canvas(6.4, 3.0)
    rates, losses = list(found["rates"]), list(found["losses"])
    axes.set_xscale("log")
    axes.plot(rates, losses, color=PALETTE["soft"], linewidth=1.8)
    low, first = min(losses), losses[0]
    reach = max(first - low, 1e-6 * max(1.0, abs(first)))
    axes.set_ylim(low - HEADROOM * reach, max(first, low) + 2 * HEADROOM * reach)
    place = rates.index(found["lowest_at"])
    axes.plot([rates[place]], [losses[place]], "o", color=PALETTE["cool"], markersize=5)
    axes.annotate(
        f"lowest: {rates[place]:.2g}",
        (rates[place], losses[place]),
        xytext=(6, 6),
        textcoords="offset points",
        fontsize=9,
        color=PALETTE["cool"],
    )
    if found["rate"] is not None:
        axes.axvline(found["rate"], color=PALETTE["accent"], linewidth=1.4)
        axes.annotate(
            f"taken: {found['rate']:g}",
            (found["rate"], low),
            xytext=(-6, 6),
            textcoords="offset points",
            ha="right",
            fontsize=9,
            color=PALETTE["accent"],
        )
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss, smoothed")
    axes.grid(axis="y", color=PALETTE["rule"], alpha=0.25, linewidth=0.7)
    return _drawn(figure, form, "Loss over the learning rate")
