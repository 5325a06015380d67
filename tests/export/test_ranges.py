"""Ranges: what 256 steps are laid over, from what the calibration pictures show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darkroom.errors import Invalid
from darkroom.export.ranges import METHODS, Spread, collect, load_spreads, ranges_of, save_spreads


def spread_of(*pictures: np.ndarray) -> Spread:
    found = Spread()
    for values in pictures:
        found.add(values)
    return found


def error(values: np.ndarray, low: float, high: float) -> float:
    """Mean squared error of values that eight bits between two ends stand for."""
    step = (high - low) / 255
    return float(np.mean((np.clip(np.round(values / step) * step, low, high) - values) ** 2))


NORMAL = np.random.default_rng(0).normal(0, 1, 15_000).astype(np.float32)
POSITIVE = np.maximum(NORMAL, 0)
WITH_OUTLIER = np.append(NORMAL, [500]).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("values", [NORMAL, POSITIVE, -POSITIVE, np.zeros(5), np.full(9, 3.0)])
def test_each_range_holds_zero_and_reaches_no_further_than_the_values(
    method: str, values: np.ndarray
) -> None:
    low, high = ranges_of({"a": spread_of(values)}, method)["a"]
    assert min(0.0, float(values.min())) - 1e-6 <= low <= 0 <= high <= max(0.0, float(values.max())) + 1e-6
    assert high > low or not values.any()


def test_least_and_largest_value_are_those_of_all_pictures() -> None:
    found = ranges_of({"a": spread_of(NORMAL, NORMAL * 3, NORMAL / 2)}, "minmax")["a"]
    assert found == (pytest.approx(3 * NORMAL.min()), pytest.approx(3 * NORMAL.max()))


def test_a_percentile_cuts_off_what_is_rare_and_nothing_else() -> None:
    low, high = ranges_of({"a": spread_of(*[WITH_OUTLIER] * 3)}, "percentile-99.9")["a"]
    assert high < 5
    assert low < -2.5
    low, high = ranges_of({"a": spread_of(NORMAL)}, "percentile-99.9")["a"]
    assert (low, high) == pytest.approx(tuple(np.quantile(NORMAL, [0.0005, 0.9995])), abs=0.05)


@pytest.mark.parametrize("method", ["percentile-99.9", "entropy"])
def test_one_outlier_costs_less_error_than_with_least_and_largest(method: str) -> None:
    spread = spread_of(WITH_OUTLIER)
    wide = error(NORMAL, *ranges_of({"a": spread}, "minmax")["a"])
    assert error(NORMAL, *ranges_of({"a": spread}, method)["a"]) < wide / 4


@pytest.mark.parametrize("values", [NORMAL, POSITIVE, NORMAL**3])
def test_least_squares_finds_about_the_least_error_that_there_is(values: np.ndarray) -> None:
    found = error(values, *ranges_of({"a": spread_of(values)}, "least-squares")["a"])
    shares = np.linspace(0.2, 1, 41)
    best = min(error(values, share * values.min(), share * values.max()) for share in shares)
    assert found < best * 1.1


def test_of_large_tensors_another_part_is_counted_for_each_picture() -> None:
    values = np.zeros(40_000, np.float32)
    values[1::3] = 1  # every third value: a fixed step of three would see all of them, or none
    spread = spread_of(*[values] * 30)
    assert spread.counts[-1] / spread.counts.sum() == pytest.approx(1 / 3, abs=0.02)


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(Invalid, match="NaN"):
        spread_of(np.array([1.0, np.nan]))


def test_spreads_are_collected_by_name_and_come_back_from_the_disk(tmp_path: Path) -> None:
    pictures = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    found = collect(lambda one: {"twice": one * 2.0, "less": one - 3.0}, pictures)
    assert (found["twice"].low, found["twice"].high) == (0, 46)
    save_spreads(tmp_path / "spreads.npz", found)
    again = load_spreads(tmp_path / "spreads.npz")
    for method in METHODS:
        assert ranges_of(again, method) == ranges_of(found, method)
    assert [path.name for path in tmp_path.iterdir()] == ["spreads.npz"]
