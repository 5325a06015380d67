"""What mistakes cost: which entry counts, what is refused, and the interval of the mean."""

import numpy as np
import pytest

from darkroom.errors import InvalidConfig
from darkroom.records import Mistake
from darkroom.tasks.costs import cost_interval, cost_table, unpriced

CLASSES = ("ant", "bee", "cat")


def priced(*entries):
    return [Mistake(truth=truth, answer=answer, cost=cost) for truth, answer, cost in entries]


def test_the_most_specific_entry_counts_and_the_truth_goes_before_the_answer():
    mistakes = priced(("*", "*", 1), ("*", "bee", 2), ("ant", "*", 3), ("cat", "bee", 4))
    assert cost_table(mistakes, CLASSES).tolist() == [[0, 3, 3], [1, 0, 1], [1, 4, 0]]
    assert cost_table(mistakes[::-1], CLASSES).tolist() == [[0, 3, 3], [1, 0, 1], [1, 4, 0]]
    assert unpriced(mistakes, CLASSES) == 0


def test_a_mistake_without_an_entry_costs_nothing_and_is_counted():
    mistakes = priced(("ant", "*", 3), ("ant", "bee", 0))
    assert cost_table(mistakes, CLASSES).tolist() == [[0, 0, 3], [0, 0, 0], [0, 0, 0]]
    assert unpriced(mistakes, CLASSES) == 4


def test_an_entry_about_a_rule_that_is_no_class_has_no_effect():
    assert cost_table(priced(("blurred", "*", 3)), CLASSES, ["blurred"]).sum() == 0


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("aunt", "*", 1)], '"aunt", which is neither a class nor a rule. Did you mean "ant"'),
        ([("ant", "ant", 1)], '"ant" answered as "ant" a cost; a right answer costs 0'),
        ([("ant", "*", 1), ("ant", "*", 2)], 'prices "ant" answered as "\\*" twice'),
    ],
)
def test_entries_that_mean_nothing_are_refused(entries, words):
    with pytest.raises(InvalidConfig, match=words):
        cost_table(priced(*entries), CLASSES)


def test_the_interval_holds_the_mean_and_respects_groups():
    costs = np.repeat([5.0, 0.0, 0.0, 1.0], 10)
    alone, grouped = cost_interval(costs, 5), cost_interval(costs, 5, [f"g{n // 10}" for n in range(40)])
    assert alone.value == grouped.value == pytest.approx(1.5)
    assert 0 <= grouped.low < alone.low < 1.5 < alone.high < grouped.high <= 5
    assert grouped.method == "bootstrap by group"


def test_where_nothing_was_paid_the_next_mistake_may_still_be_the_dearest():
    found = cost_interval(np.zeros(50), 10)
    assert (found.value, found.low) == (0, 0)
    assert found.high == pytest.approx(10 * 0.0714, abs=0.01)  # Wilson's upper end of 0 of 50 is 0.0714


def test_where_every_answer_cost_the_same_the_next_may_cost_more_or_nothing():
    found = cost_interval(np.full(50, 2.0), 10)
    assert found.value == pytest.approx(2)
    assert found.low == pytest.approx(2 * (1 - 0.0714), abs=0.01)
    assert found.high == pytest.approx(2 + 8 * 0.0714, abs=0.01)
