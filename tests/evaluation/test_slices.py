"""Slices: called out with evidence alone, however often one looks; never with too few images."""

import numpy as np
import pytest

from darkroom.evaluation.slices import (
    MOST_VALUES,
    SMALLEST,
    find_slices,
    in_quarters,
    named_column,
)


def right_answers(count, share=0.9, seed=0):
    return np.random.default_rng(seed).random(count) < share


def test_a_slice_that_is_worse_is_called_out_first():
    right = right_answers(1000)
    right[:100] = np.arange(100) % 2 == 0
    shop = named_column("shop", ["b"] * 100 + ["a"] * 900)
    found = find_slices(right, [shop, in_quarters("size", np.arange(1000) % 7)])
    first = found.slices[0]
    assert (first.attribute, first.value, first.verdict) == ("shop", "b", "worse")
    assert first.count == 100
    assert first.accuracy.high < first.others
    assert first.adjusted_p_value >= first.p_value
    other = next(row for row in found.slices if row.value == "a")
    assert other.verdict == "better"


def test_chance_alone_is_called_out_in_one_of_twenty_evaluations_however_many_looks():
    alarms = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        columns = [named_column(f"c{n}", generator.choice(list("abcd"), 400).tolist()) for n in range(8)]
        found = find_slices(right_answers(400, seed=seed + 1000), columns, draws=20)
        assert found.looks == 32
        alarms += any(row.verdict in ("worse", "better") for row in found.slices)
    assert alarms <= 9  # 5 expected; without the correction nearly all of the hundred


def test_too_few_images_give_no_verdict():
    right = np.ones(500, bool)
    right[: SMALLEST - 1] = False
    names = ["rare"] * (SMALLEST - 1) + ["usual"] * (501 - SMALLEST)
    found = find_slices(right, [named_column("shop", names)])
    assert {row.verdict for row in found.slices} == {"too few"}
    assert found.looks == 0
    assert all(row.p_value is None for row in found.slices)


def test_groups_need_ten_groups_and_count_once():
    right = np.repeat(np.random.default_rng(3).random(40) < 0.7, 25)
    groups = [f"g{n // 25}" for n in range(1000)]
    half = named_column("side", ["left"] * 500 + ["right"] * 500)
    found = find_slices(right, [half], groups)
    assert all(row.verdict == "no difference shown" for row in found.slices)
    few = find_slices(right, [named_column("side", ["left"] * 200 + ["right"] * 800)], groups)
    assert all(row.verdict == "too few" for row in few.slices)


def test_a_single_group_can_be_worse_than_the_others():
    right = right_answers(600)
    right[:60] = False
    groups = [f"g{n // 60}" for n in range(600)]
    found = find_slices(right, [named_column("group", groups, is_group=True)], groups)
    assert (found.slices[0].value, found.slices[0].verdict) == ("g0", "worse")


def test_an_attribute_that_is_always_the_same_is_left_out_with_the_reason():
    right = right_answers(100)
    columns = [named_column("licence", ["CC0"] * 100), named_column("camera", [""] * 100)]
    found = find_slices(right, columns)
    assert found.slices == ()
    assert found.left_out == {"licence": "always CC0", "camera": "not known"}


def test_rare_values_are_put_together_and_empty_ones_are_unknown():
    names = [f"v{n % 40}" for n in range(400)] + [""] * 50
    column = named_column("city", names)
    assert len(column.values) == MOST_VALUES + 1
    assert column.values[0] == "unknown"
    assert column.values[-1] == f"{41 - MOST_VALUES} others"
    assert np.bincount(column.codes).sum() == 450


def test_figures_are_cut_into_quarters():
    column = in_quarters("brightness", np.array([*np.linspace(0, 1, 100), np.nan]), digits=2)
    assert column.values == ("0 to 0.24", "0.25 to 0.49", "0.51 to 0.75", "0.76 to 1", "unknown")
    assert np.bincount(column.codes).tolist() == [25, 25, 25, 25, 1]
    assert in_quarters("side", np.full(9, 28.0)).values == ("28",)
    assert in_quarters("side", np.full(3, np.nan)).values == ("unknown",)


@pytest.mark.parametrize("values", [[1.0, 1, 1, 2], [1.0, 2, 2, 2]])
def test_few_values_give_few_parts(values):
    column = in_quarters("n", np.array(values))
    assert column.values == ("1", "2")
    assert [column.values[code] for code in column.codes] == [f"{value:g}" for value in values]
