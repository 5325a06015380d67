"""Choosing an operating point on validation images, and what it does on others."""

import numpy as np
import pytest

from darkroom.errors import Invalid
from darkroom.evaluation.operating import (
    Prices,
    _thresholds,
    choose_point,
    measure_point,
    pair_costs,
    prices_of,
)
from darkroom.records import Brief, Mistake, OperatingPoint
from darkroom.tasks.operating import NOT_SURE, decide
from tests.tasks.test_calibration import made

CLASSES = tuple("abcde")
ALIKE = np.ones((5, 5)) - np.eye(5)


def cost_of(labels, found, point, prices):
    figures = measure_point(labels, found, CLASSES, None, point, prices, draws=100)
    return figures.expected_cost.value


def test_the_chosen_thresholds_are_the_cheapest_on_the_images_they_were_chosen_on():
    labels, found = made(1500, temperature=1.5)
    prices = Prices(ALIKE, not_sure=0.3)
    chosen = choose_point(labels, found, CLASSES, prices).point
    best = cost_of(labels, found, chosen, prices)
    for label in CLASSES:
        for threshold in np.linspace(0, 1, 41):
            other = chosen.model_copy(update={"thresholds": {**chosen.thresholds, label: float(threshold)}})
            assert cost_of(labels, found, other, prices) >= best - 1e-9


def test_of_true_probabilities_the_threshold_is_chows():
    # Chow, 1970: with mistakes of cost 1, reject where 1 − p is more than the cost of rejecting.
    labels, found = made(40_000)
    chosen = choose_point(labels, found, CLASSES, Prices(ALIKE, not_sure=0.3)).point
    assert chosen.temperature == pytest.approx(1, abs=0.05)
    assert list(chosen.thresholds.values()) == pytest.approx([0.7] * 5, abs=0.08)


def test_a_dear_mistake_raises_the_threshold_of_the_class_that_it_answers():
    labels, found = made(8000)
    table = ALIKE.copy()
    table[:, 0] *= 10
    chosen = choose_point(labels, found, CLASSES, Prices(table, not_sure=0.5)).point
    assert chosen.thresholds["a"] > max(chosen.thresholds.get(label, 0) for label in "bcde") + 0.1


def test_a_point_chosen_on_some_images_saves_cost_on_others_with_evidence():
    labels, found = made(6000, temperature=2.0)
    prices = Prices(ALIKE, not_sure=0.2)
    point = choose_point(labels[:3000], found[:3000], CLASSES, prices).point
    figures = measure_point(labels[3000:], found[3000:], CLASSES, None, point, prices, draws=500)
    assert figures.verdict == "better"
    assert figures.expected_cost.high < figures.cost_if_all_answered.low
    assert figures.accuracy_of_answered.low > (found[3000:].argmax(axis=1) == labels[3000:]).mean()
    assert sum(row.answered + row.not_sure for row in figures.classes) == 3000
    assert figures.coverage.value == pytest.approx(sum(row.answered for row in figures.classes) / 3000)


def test_a_threshold_lies_between_two_confidences_however_near_they_are():
    # Thirty answers at 0.9999991 are wrong, thirty at 0.9999994 right: a millionth is too coarse.
    top = np.repeat(np.float32([0.9999991, 0.9999994]), 30)
    found = np.stack([top, 1 - top], axis=1)
    labels = np.repeat([1, 0], 30)
    prices = Prices(np.ones((2, 2)) - np.eye(2), not_sure=0.4)
    point = OperatingPoint(thresholds=_thresholds_at_one(labels, found, prices))
    figures = measure_point(labels, found, ("a", "b"), None, point, prices, draws=100)
    assert figures.coverage.value == pytest.approx(0.5)
    assert figures.accuracy_of_answered.value == 1


def _thresholds_at_one(labels, found, prices):
    """Returns the thresholds that are chosen where the temperature is 1."""
    decisions = decide(found, ("a", "b"), OperatingPoint())
    return _thresholds(labels, decisions, ("a", "b"), prices)[0]


def test_free_rejecting_answers_nothing_and_dear_rejecting_answers_everything():
    labels, found = made(400, temperature=2.0)
    nothing = choose_point(labels, found, CLASSES, Prices(ALIKE, not_sure=0.0)).point
    figures = measure_point(labels, found, CLASSES, None, nothing, Prices(ALIKE, not_sure=0.0), draws=50)
    assert figures.expected_cost.value == 0
    everything = choose_point(labels, found, CLASSES, Prices(ALIKE, not_sure=5.0)).point
    assert everything.thresholds == {}


def test_if_not_one_answer_counts_there_is_no_accuracy():
    labels, found = made(50)
    point = OperatingPoint(not_sure_below=1.1)
    figures = measure_point(labels, found, CLASSES, None, point, Prices(ALIKE, not_sure=0.1), draws=50)
    assert (figures.coverage.value, figures.accuracy_of_answered) == (0, None)
    assert figures.expected_cost.value == pytest.approx(0.1)


def test_without_prices_only_the_temperature_is_chosen_and_it_says_why():
    labels, found = made(500, temperature=1.5)
    for prices, words in ((None, "No mistake has a cost"), (Prices(ALIKE), "not_sure_cost")):
        chosen = choose_point(labels, found, CLASSES, prices, chosen_on="val of x@1")
        assert chosen.point.thresholds == {}
        assert chosen.point.temperature > 1
        assert chosen.point.chosen_on == "val of x@1"
        assert any(words in note for note in chosen.notes)


def test_few_mistakes_fit_no_temperature_and_few_answers_no_threshold():
    labels = np.arange(100) % 5
    sure = np.full((100, 5), 0.02)
    sure[np.arange(100), labels] = 0.92
    chosen = choose_point(labels, sure, CLASSES, Prices(ALIKE, not_sure=0.1))
    assert chosen.point.temperature == 1
    assert "Too few to fit" in chosen.notes[0]
    assert "common threshold" in chosen.notes[1]


def test_no_images_are_refused():
    with pytest.raises(Invalid, match="there are none"):
        choose_point(np.array([], int), np.empty((0, 5)), CLASSES, None)


def test_what_each_kind_of_mistake_costs_adds_up_to_the_whole():
    labels, found = made(900, temperature=2.0)
    table = ALIKE * np.arange(1, 6)[:, None]
    prices = Prices(table, not_sure=3.0)
    point = OperatingPoint(not_sure_below=0.55)
    pairs = pair_costs(labels, found, CLASSES, None, point, prices, draws=50)
    costs = [pair.expected_cost.value for pair in pairs]
    assert costs == sorted(costs, reverse=True)
    assert NOT_SURE in {pair.answer for pair in pairs}
    assert all(pair.expected_cost.value == pytest.approx(pair.count * pair.cost / 900) for pair in pairs)
    assert sum(costs) <= cost_of(labels, found, point, prices) + 1e-9


def test_prices_are_those_of_the_brief():
    brief = Brief(mistakes=(Mistake(truth="a", answer="*", cost=4),), not_sure_cost=0.5)
    prices = prices_of(brief, CLASSES)
    assert prices is not None
    assert prices.table[0].tolist() == [0, 4, 4, 4, 4]
    assert (prices.not_sure, prices.dearest) == (0.5, 4)
    assert prices.note.startswith("16 of 20")
    assert prices_of(Brief(), CLASSES) is None
