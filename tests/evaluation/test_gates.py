"""Limits on quality against what runs answered: per run, over clones, and by name."""

import numpy as np
import pytest

from darkroom.errors import InvalidConfig
from darkroom.evaluation import EvaluationSource, Judged, Predictions, judge, quality_gates
from darkroom.records import Brief, Limits, Mistake, Rule, missed_gates

CLASSES = ("ant", "bee")


def answered(run, wrong, count=200, groups=None):
    """A run that is wrong on the first pictures; "ant" and "bee" take turns."""
    labels = np.arange(count) % 2
    answers = np.where(np.arange(count) < wrong, 1 - labels, labels)
    probabilities = np.eye(2, dtype=np.float32)[answers] * 0.8 + 0.1
    ids = tuple(f"{number:064x}" for number in range(count))
    source = EvaluationSource(run=run, split="val")
    evaluation = judge(labels, probabilities, ids, groups, classes=CLASSES, source=source, draws=2000)
    return Judged(evaluation, Predictions(ids, labels, groups, probabilities))


def held(limits, *runs, alike=True, **brief):
    return quality_gates(Brief(limits=limits, **brief), runs, alike=alike)


@pytest.mark.parametrize(
    ("least", "verdict"), [(0.85, "pass"), (0.91, "not enough evidence"), (0.97, "fail")]
)
def test_a_gate_says_what_the_interval_says(least, verdict):
    (gate,) = held(Limits(accuracy=least), answered("r-1", 20))
    assert gate.verdict == verdict
    assert gate.value == pytest.approx(0.9)
    assert (gate.missed_by is not None) is (verdict == "fail")
    assert (gate.more_images is not None) is (verdict == "not enough evidence")


def test_a_miss_says_by_how_much_in_words():
    (gate,) = held(Limits(accuracy=0.97), answered("r-1", 20))
    assert gate.sentence.startswith("accuracy ≥ 0.97: fail, r-1 on val has 0.9000 [0.8")
    assert gate.sentence.endswith("; missed by 0.07.")
    assert missed_gates([gate]) == (gate,)


@pytest.mark.parametrize(("least", "way"), [(0.88, "pass"), (0.92, "fail")])
def test_an_open_limit_says_which_way_more_pictures_would_settle_it(least, way):
    (gate,) = held(Limits(accuracy=least), answered("r-1", 20))
    assert gate.verdict == "not enough evidence"
    assert f"would settle it (an estimate), as a {way} if the figure stays" in gate.sentence


def test_a_figure_on_its_limit_is_settled_by_no_number():
    (gate,) = held(Limits(accuracy=0.9), answered("r-1", 20))
    assert gate.more_images is None
    assert "no number of pictures settles it" in gate.sentence


def test_the_expected_cost_is_the_mean_over_all_pictures():
    mistakes = (Mistake(truth="ant", answer="*", cost=10), Mistake(truth="bee", answer="*", cost=1))
    (gate,) = held(Limits(expected_cost=0.2), answered("r-1", 20), mistakes=mistakes)
    assert gate.value == pytest.approx((10 * 10 + 10 * 1) / 200)
    assert (gate.verdict, gate.expected) == ("fail", "≤ 0.2")


def test_a_cost_limit_without_costs_is_not_measured_and_says_what_to_do():
    (gate,) = held(Limits(expected_cost=0.2), answered("r-1", 20))
    assert gate.verdict == "not measured"
    assert "[[brief.mistakes]]" in gate.note


def test_the_recall_of_a_rule_is_that_of_the_class_with_its_name():
    limits = Limits(recall={"bee": 0.8, "blurred": 0.9})
    rules = (Rule(name="bee"), Rule(name="blurred"))
    bee, blurred = held(limits, answered("r-1", 20), rules=rules)
    assert bee.verdict == "pass"
    assert blurred.verdict == "not measured"
    assert "label pictures that break it" in blurred.note


def test_a_name_that_is_neither_class_nor_rule_is_refused_with_the_nearest():
    with pytest.raises(InvalidConfig, match='"be", which is neither .* Did you mean "bee"'):
        held(Limits(recall={"be": 0.9}), answered("r-1", 20))


def test_the_mean_of_clones_decides_and_its_interval_holds_the_seeds_too():
    runs = [answered("r-1", 10), answered("r-2", 20), answered("r-3", 30)]
    *each, mean = held(Limits(accuracy=0.97), *runs)
    assert [gate.verdict for gate in each] == ["not enough evidence", "fail", "fail"]
    assert [gate.decides for gate in (*each, mean)] == [False, False, False, True]
    assert mean.subject == "mean of 3 clones"
    assert mean.value == pytest.approx(0.9)
    widest = max(gate.interval.high - gate.interval.low for gate in each)
    assert mean.interval.high - mean.interval.low > widest
    assert mean.verdict == "not enough evidence"
    assert "train more clones" in mean.note
    assert missed_gates((*each, mean)) == ()


def test_clones_that_all_miss_miss():
    *_, mean = gates = held(Limits(accuracy=0.97), *(answered(f"r-{n}", 40) for n in range(3)))
    assert missed_gates(gates) == (mean,)


def test_among_different_recipes_one_that_holds_is_enough():
    good, bad = answered("r-1", 4), answered("r-2", 60)
    assert missed_gates(held(Limits(accuracy=0.9), good, bad, alike=False)) == ()
    assert len(missed_gates(held(Limits(accuracy=0.9), bad, bad, alike=False))) == 2


def test_recall_and_cost_of_clones_have_a_mean_too():
    mistakes = (Mistake(truth="*", answer="*", cost=4),)
    limits = Limits(recall={"ant": 0.5}, expected_cost=3)
    gates = held(limits, answered("r-1", 20), answered("r-2", 22), answered("r-3", 21), mistakes=mistakes)
    means = [gate for gate in gates if gate.decides]
    assert [(gate.limit, gate.verdict) for gate in means] == [("recall", "pass"), ("expected_cost", "pass")]
    assert means[1].value == pytest.approx(4 * 21 / 200)


def test_groups_widen_the_interval_of_a_gate():
    groups = tuple(f"g{n // 20}" for n in range(200))
    mistakes = (Mistake(truth="*", answer="*", cost=4),)
    limits = Limits(accuracy=0.8, expected_cost=3)
    alone = held(limits, answered("r-1", 20), mistakes=mistakes)
    grouped = held(limits, answered("r-1", 20, groups=groups), mistakes=mistakes)
    for one, other in zip(alone, grouped, strict=True):
        assert other.interval.high - other.interval.low > one.interval.high - one.interval.low
