"""The rules: what was found explains the rest, and what rests on too little says so."""

from typing import NamedTuple

import numpy as np

from darkroom.diagnosis.evidence import Evidence
from darkroom.diagnosis.labels import LabelEvidence
from darkroom.diagnosis.plan import phases
from darkroom.diagnosis.standing import AS_IT_IS, HALF, RATES, REGULARISED, rate_name
from darkroom.diagnosis.verdicts import diagnose
from darkroom.statistics import wilson


class Answers(NamedTuple):
    losses: np.ndarray
    right: np.ndarray
    confidences: np.ndarray


class Probe(NamedTuple):
    steps: int
    train: Answers
    val: Answers
    diverged: bool = False


def answers(share, loss, count=400):
    draw = np.random.default_rng(int(1000 * share))
    right = np.arange(count) < round(share * count)
    return Answers(loss * draw.uniform(0.5, 1.5, count), right, np.where(right, 0.9, 0.4))


def clean(wrong=0, accuracy=0.95):
    return LabelEvidence(900, accuracy, wilson(wrong, 300), 0.05, wrong / 300, "pixels", ("a" * 64,))


def evidence(train=(0.995, 0.02), val=(0.985, 0.05), **changes):
    facts = {
        "run": "r-1", "classes": 10, "train_count": 1000, "val_count": 400, "steps": 500,
        "learning_rate": 0.002, "weight_decay": 0.0, "lacks": ("augmentation",), "network": "lenet5",
        "parameters": 60_000, "labels": clean(),
        "train": answers(*train) if train else None, "val": answers(*val) if val else None,
    }  # fmt: skip
    return Evidence(**{**facts, **changes})


def found(given):
    return [one.name for one in diagnose(given) if one.state == "found"]


def state(given, name):
    return next(one.state for one in diagnose(given) if one.name.startswith(name))


def test_a_healthy_run_asks_for_no_short_training():
    assert found(evidence()) == ["looks healthy"]
    assert list(phases(evidence())) == []


def test_wrong_labels_explain_everything_else():
    given = evidence((0.7, 1.0), (0.6, 1.3), labels=clean(90, accuracy=0.66))
    assert found(given) == ["labels look wrong"]
    assert list(phases(given)) == []
    assert state(given, "overfitting") == "not enough evidence"


def test_features_that_are_too_weak_doubt_no_label():
    given = evidence(labels=clean(90, accuracy=0.4))
    assert state(given, "labels") == "not enough evidence"
    assert "looks healthy" not in found(given)


def test_a_run_that_learns_badly_is_held_against_other_rates():
    given = evidence((0.3, 2.0), (0.3, 2.0))
    assert list(phases(given)) == [rate_name(one) for one in RATES]
    good, bad = (
        Probe(200, answers(0.95, 0.2), answers(0.93, 0.3)),
        Probe(200, answers(0.1, 2.3), answers(0.1, 2.3)),
    )
    for factor, name in ((0.01, "learning rate too high"), (100.0, "learning rate too low")):
        probes = {rate_name(one): good if one == factor else bad for one in RATES}
        assert found(given._replace(probes=probes)) == [name]


def test_a_rate_that_only_learns_train_by_heart_is_no_better_rate():
    probes = {rate_name(one): Probe(200, answers(0.99, 0.05), answers(0.5, 3.0)) for one in RATES}
    assert found(evidence((0.8, 0.6), (0.78, 0.7), probes=probes)) == []


def test_too_few_steps_say_nothing_of_rates():
    probes = {rate_name(one): Probe(5, answers(0.99, 0.05), answers(0.9, 0.1)) for one in RATES}
    assert (
        state(evidence((0.3, 2.0), (0.3, 2.0), probes=probes), "learning rate too low")
        == "not enough evidence"
    )


def test_what_is_learnt_by_heart_is_held_against_half_the_pictures_and_regularisation():
    given = evidence((1.0, 0.001), (0.8, 1.5))
    assert set(phases(given)) == {AS_IT_IS, HALF, REGULARISED}
    same = Probe(200, answers(1.0, 0.001), answers(0.8, 1.5))
    fewer, better = same._replace(val=answers(0.6, 2.0)), same._replace(val=answers(0.9, 0.4))
    probes = {AS_IT_IS: same, HALF: fewer, REGULARISED: better}
    both = given._replace(probes=probes)
    assert found(both) == ["too few images", "overfitting for lack of regularisation"]
    assert found(both._replace(probes={**probes, HALF: same, REGULARISED: same})) == []


def test_a_handful_of_val_pictures_is_too_few():
    given = evidence(val=None)._replace(val=answers(0.8, 0.5, count=10), val_count=10)
    assert found(given) == ["too few images"]


def test_a_run_without_weights_is_judged_by_what_a_lower_rate_reaches():
    good = Probe(200, answers(0.95, 0.2), answers(0.93, 0.3))
    probes = {rate_name(one): good for one in RATES if one < 1}
    given = evidence(None, None, broken="learning rate", broken_said="The loss ran away.", probes=probes)
    assert found(given) == ["learning rate too high"]


def test_every_verdict_that_is_found_says_what_to_try():
    given = evidence((0.7, 1.0), (0.6, 1.3), labels=clean(90, accuracy=0.66))
    assert all(one.next_steps and one.evidence for one in diagnose(given) if one.state == "found")
