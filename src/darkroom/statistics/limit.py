"""Hold a figure against a limit: an interval can pass, fail, or leave the question open."""

from __future__ import annotations

from typing import Literal

from darkroom.records import Interval

__all__ = ["Standing", "against_limit"]

Standing = Literal["pass", "fail", "not enough evidence"]
"""What an interval says about a limit."""


def against_limit(figure: Interval, smallest: float) -> Standing:
    """Says whether a figure is at least as large as it must be.

    Args:
        figure: larger is better.
        smallest: passes when the whole interval reaches it, fails when none of it does.
    """
    if figure.low >= smallest:
        return "pass"
    return "fail" if figure.high < smallest else "not enough evidence"
