"""Numbers as people read them, the same in tables, sentences and pages."""

from __future__ import annotations

import math

__all__ = ["THIN", "UNDEFINED", "count", "counted", "number"]

UNDEFINED = "—"
"""What is not defined."""

THIN = "\u202f"
"""Narrow space that does not break."""


def number(value: float | None, digits: int = 3) -> str:
    """Returns a number with so many digits that count: "0.0123", "1.0·10⁻⁴"."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    if value == int(value) and abs(value) < 1e6:
        return count(int(value)).replace("-", "−")
    if abs(value) < 10 ** -(digits + 1) or abs(value) >= 1e6:
        mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
        return f"{mantissa}·10{_raised(int(exponent))}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{decimals}f}".replace("-", "−").replace(",", THIN)


def count(value: int | None) -> str:
    """Returns a whole number in groups of three digits."""
    return UNDEFINED if value is None else f"{value:,}".replace(",", THIN)


def counted(value: int, noun: str, nouns: str = "") -> str:
    """Returns a number with its noun: "1 picture", "1,204 pictures", "2 classes"."""
    return f"{value:,} {noun if value == 1 else nouns or f'{noun}s'}"


def _raised(exponent: int) -> str:
    return str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
