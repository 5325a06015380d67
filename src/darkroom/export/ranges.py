"""What values a tensor takes over the calibration pictures, and the range that 256 steps are laid over.

A range too wide wastes steps, one too narrow cuts values off. Each method below weighs the two otherwise;
which is best differs between networks, so several are tried and the answers decide.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from darkroom.errors import Invalid

__all__ = ["METHODS", "Spread", "collect", "load_spreads", "ranges_of", "save_spreads", "spreads_of"]

BINS = 4096
"""Steps of a histogram, over both signs: 2,048 for a tensor that is never negative."""

MOST_VALUES = 16_384
"""Values of one tensor and picture that are counted; of larger tensors every k-th. Least and largest value
are taken over all."""

LEVELS = 256
"""Numbers that eight bits can hold."""


class Spread:
    """Least and largest value of one tensor, and a histogram over [−reach, reach] that grows as needed."""

    def __init__(self) -> None:
        self.low, self.high, self.reach = np.inf, -np.inf, 0.0
        self.counts = np.zeros(BINS, np.int64)
        self._turn = 0

    def add(self, values: np.ndarray) -> None:
        """Counts the values of one picture."""
        flat = np.asarray(values, np.float32).ravel()
        if not flat.size:
            return
        low, high = float(flat.min()), float(flat.max())
        if not np.isfinite(low + high):
            raise Invalid(
                "calibration.not-finite",
                "A calibration picture leads to NaN or infinity.",
                do="See what is wrong with the run: darkroom model diagnose --run RUN",
            )
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._widen(max(abs(low), abs(high)))
        step = -(-flat.size // MOST_VALUES)
        self._turn += 1  # another phase for each picture, so that no row or channel is left out for good
        sample = flat[self._turn % step :: step]
        places = ((sample / self.reach + 1) * (BINS / 2)).astype(np.int64)
        self.counts += np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)

    @property
    def middles(self) -> np.ndarray:
        """(BINS,) float64: value in the middle of each step of the histogram."""
        return ((np.arange(BINS) + 0.5) / (BINS / 2) - 1) * self.reach

    def _widen(self, reach: float) -> None:
        if self.reach == 0:
            self.reach = max(reach, float(np.finfo(np.float32).tiny))
        while self.reach < reach:
            halved = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.zeros(BINS, np.int64)
            self.counts[BINS // 4 : BINS // 4 * 3] = halved
            self.reach *= 2


def collect(
    answer: Callable[[np.ndarray], Mapping[str, np.ndarray]], tensors: np.ndarray
) -> dict[str, Spread]:
    """Returns the spread of each tensor that a network has inside, over the calibration pictures.

    Args:
        answer: gives the tensors by name for one picture (1, height, width, channels) uint8.
        tensors: (n, height, width, channels) uint8.
    """
    found: dict[str, Spread] = {}
    for picture in tensors:
        for name, values in answer(picture[None]).items():
            found.setdefault(name, Spread()).add(values)
    return found


def save_spreads(path: Path, spreads: Mapping[str, Spread]) -> None:
    """Writes spreads, for the other recipes of the same request."""
    ends = {name: (one.low, one.high, one.reach) for name, one in spreads.items()}
    counts = (
        np.stack([one.counts for one in spreads.values()]) if spreads else np.zeros((0, BINS), np.int64)
    )
    aside = path.with_name(f"{path.name}.part")
    with aside.open("wb") as file:
        np.savez(file, ends=np.array(json.dumps(ends)), counts=counts)
    aside.replace(path)


def load_spreads(path: Path) -> dict[str, Spread]:
    """Returns the spreads that `save_spreads` wrote."""
    with np.load(path) as kept:
        ends, counts = json.loads(str(kept["ends"])), kept["counts"]
    found = {}
    for row, (name, (low, high, reach)) in enumerate(ends.items()):
        one = found[name] = Spread()
        one.low, one.high, one.reach, one.counts = low, high, reach, counts[row]
    return found


def spreads_of(
    path: Path | None,
    asked: Callable[[], Callable[[np.ndarray], Mapping[str, np.ndarray]]],
    tensors: np.ndarray,
) -> dict[str, Spread]:
    """Returns spreads as `collect` does, or those that another recipe of the same request left.

    Args:
        path: where recipes of one request leave them; None to leave none.
        asked: makes what `collect` asks, where they must be collected.
        tensors: (n, H, W, C) uint8, the calibration pictures.
    """
    if path is not None and path.is_file():
        return load_spreads(path)
    found = collect(asked(), tensors)
    if path is not None:
        save_spreads(path, found)
    return found


def ranges_of(spreads: Mapping[str, Spread], method: str) -> dict[str, tuple[float, float]]:
    """Returns least and largest value that each tensor is given steps for; zero is always among them.

    Args:
        spreads: what the tensors were like.
        method: name in `METHODS`.
    """
    found = {}
    for name, spread in spreads.items():
        low, high = METHODS[method](spread)
        found[name] = (min(0.0, max(low, spread.low)), max(0.0, min(high, spread.high)))
    return found


def _minmax(spread: Spread) -> tuple[float, float]:
    return spread.low, spread.high


def _percentile(percent: float) -> Callable[[Spread], tuple[float, float]]:
    """Cuts the same share of the values off at either end."""

    def cut(spread: Spread) -> tuple[float, float]:
        below = np.cumsum(spread.counts) / spread.counts.sum()
        tail = (1 - percent / 100) / 2
        step = spread.reach / (BINS / 2)
        low = spread.middles[int(np.searchsorted(below, tail))] - step / 2
        high = spread.middles[min(BINS - 1, int(np.searchsorted(below, 1 - tail)))] + step / 2
        return float(low), float(high)

    return cut


def _least_squares(spread: Spread) -> tuple[float, float]:
    """Looks for the ends with the least expected squared error: of rounding inside, of cutting off outside.

    With steps of size Δ rounding costs Δ²/12 on average; a value x beyond the end e costs (x − e)².
    Source: Sung, Shin and Hwang, Resiliency of deep neural networks under quantization, 2015, sec. 2.
    """
    middles, weights = spread.middles, spread.counts / spread.counts.sum()
    shares = np.linspace(0.2, 1, 41)
    highs = shares * max(spread.high, 0.0) if spread.high > 0 else np.zeros(1)
    lows = shares * min(spread.low, 0.0) if spread.low < 0 else np.zeros(1)
    over = np.array([(weights * np.clip(middles - end, 0, None) ** 2).sum() for end in highs])
    under = np.array([(weights * np.clip(end - middles, 0, None) ** 2).sum() for end in lows])
    steps = (highs[None, :] - lows[:, None]) / (LEVELS - 1)
    cost = steps**2 / 12 + over[None, :] + under[:, None]
    row, column = np.unravel_index(int(cost.argmin()), cost.shape)
    return float(lows[row]), float(highs[column])


def _entropy(spread: Spread) -> tuple[float, float]:
    """Looks for the reach whose quantised histogram loses the least information (Kullback-Leibler).

    Source: Migacz, 8-bit inference with TensorRT, GTC 2017.
    """
    half = BINS // 2
    sizes = spread.counts[half:] + spread.counts[:half][::-1]
    sizes[0] = sizes[1]  # the zeros of a Relu need no steps
    last = int(np.flatnonzero(sizes)[-1]) + 1 if sizes.any() else half
    best, reach = np.inf, last
    for end in range(min(LEVELS // 2, last), last + 1, max(1, last // 128)):
        kept = sizes[:end].astype(np.float64)
        clipped = kept.copy()
        clipped[-1] += sizes[end:].sum()
        cost = _divergence(clipped, _coarse(kept, LEVELS // 2))
        if cost < best:
            best, reach = cost, end
    edge = reach / half * spread.reach
    return -edge, edge


def _coarse(sizes: np.ndarray, levels: int) -> np.ndarray:
    """Returns a histogram after its steps were joined into levels and spread over the filled ones."""
    level = np.arange(len(sizes)) * levels // len(sizes)
    filled = sizes > 0
    sums = np.bincount(level, sizes, levels)
    holders = np.bincount(level, filled, levels)
    return np.where(filled, (sums / np.maximum(holders, 1))[level], 0.0)


def _divergence(first: np.ndarray, second: np.ndarray) -> float:
    if not second.sum():
        return np.inf
    p, q = first / first.sum(), second / second.sum()
    places = p > 0
    return float((p[places] * np.log(p[places] / np.maximum(q[places], 1e-12))).sum())


METHODS: dict[str, Callable[[Spread], tuple[float, float]]] = {
    "minmax": _minmax,
    "percentile-99.99": _percentile(99.99),
    "percentile-99.9": _percentile(99.9),
    "least-squares": _least_squares,
    "entropy": _entropy,
}
"""How a range follows from a spread, by name."""
