"""Numbers as people read them: shares, intervals, sizes, durations; "—" for what is not defined."""

from __future__ import annotations

import math
from collections.abc import Iterable

from darkroom.records import Interval, Spread
from darkroom.records.numbers import THIN, UNDEFINED, count, number

__all__ = [
    "UNDEFINED",
    "count",
    "duration",
    "ends",
    "listed",
    "number",
    "share",
    "signed",
    "size",
    "spell_spread",
]


def share(value: float | None, decimals: int = 1) -> str:
    """Returns a share of 1 in percent; "100 %" and "0 %" are exact, so decimals are added to 99.99 %."""
    if value is None or not math.isfinite(value):
        return UNDEFINED
    percent = value * 100
    if value in (0, 1):
        return f"{percent:.0f}{THIN}%"
    while decimals < 6 and _reads_as_whole(percent, decimals):
        decimals += 1
    return f"{percent:.{decimals}f}{THIN}%"


def ends(interval: Interval | None) -> str:
    """Returns the two ends of a share's interval, in percent."""
    if interval is None:
        return UNDEFINED
    low, high = share(interval.low), share(interval.high)
    return f"{low.removesuffix(f'{THIN}%')} – {high}"


def signed(value: float | None, decimals: int = 1) -> str:
    """Returns a difference of shares in percentage points, with its sign."""
    if value is None:
        return UNDEFINED
    return f"{value * 100:+.{decimals}f}".replace("-", "−")


def size(size_bytes: int | None) -> str:
    """Returns a size with a decimal unit: 1 kB is 1000 bytes."""
    if size_bytes is None:
        return UNDEFINED
    value = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.0f}{THIN}{unit}" if unit == "bytes" else f"{number(value)}{THIN}{unit}"
        value /= 1000
    raise AssertionError("the last unit takes everything")


def duration(seconds: float | None) -> str:
    """Returns a time as 8.3 s, 4 min 07 s or 2 h 05 min."""
    if seconds is None:
        return UNDEFINED
    if seconds < 60:
        return f"{number(seconds, 2)}{THIN}s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes}{THIN}min {rest:02}{THIN}s"
    return f"{minutes // 60}{THIN}h {minutes % 60:02}{THIN}min"


def spell_spread(spread: Spread | None) -> str:
    """Returns the spread of a share over clones in words."""
    if spread is None:
        return UNDEFINED
    if spread.sd is None:
        return f"{share(spread.mean)}, one clone: spread unknown"
    return f"{share(spread.mean)} ± {share(spread.sd, 2)}, {share(spread.min)} to {share(spread.max)}"


def listed(names: Iterable[str], most: int = 8) -> str:
    """Returns names as "a, b and c"; from so many on, how many more there are."""
    shown = list(names)
    if len(shown) > most:
        return f"{', '.join(shown[:most])} and {len(shown) - most} more"
    if len(shown) < 2:
        return shown[0] if shown else UNDEFINED
    return f"{', '.join(shown[:-1])} and {shown[-1]}"


def _reads_as_whole(percent: float, decimals: int) -> bool:
    shown = round(percent, decimals)
    return (shown == 100 and percent < 100) or (shown == 0 and percent > 0)
