"""What a change gained: pairs of the same pictures, judged by today's labels."""

from __future__ import annotations

import numpy as np
import pytest

from darkroom.evaluation.gain import Asked, measure_gain
from darkroom.evaluation.must_pass import MustPass, MustPassAnswer, must_pass_gates
from darkroom.evaluation.predictions import Predictions


def asked(run: str, ids: str, labels: list[int], answers: list[int], classes=("x", "y")) -> Asked:
    probabilities = np.eye(len(classes), dtype=np.float32)[answers]
    return Asked(run, classes, Predictions(tuple(ids), np.array(labels), None, probabilities))


def test_only_the_same_pictures_count_and_todays_labels_are_right() -> None:
    before = asked("r-1", "abcd", [0, 0, 1, 1], [1, 1, 1, 0])
    after = asked("r-2", "ebcda", [0, 1, 1, 1, 0], [0, 1, 1, 1, 0])
    found = measure_gain([before], [after], split="test")
    assert found is not None
    assert (found.images, found.relabelled, found.split) == (4, 1, "test")
    # by today's labels a 0, b 1, c 1, d 1: before 1, 1, 1, 0 is right on b and c; after on all
    assert found.difference.value == pytest.approx(0.5)
    assert set(found.now_right) == {"a", "d"}
    assert found.now_wrong == ()


def test_classes_are_compared_by_name() -> None:
    before = asked("r-1", "ab", [0, 1], [0, 1], classes=("x", "y"))
    after = asked("r-2", "ab", [2, 0], [2, 0], classes=("y", "new", "x"))
    found = measure_gain([before], [after])
    assert found is not None
    assert found.difference.value == 0
    assert found.verdict == "no difference shown"


def test_clones_count_by_their_mean() -> None:
    before = [
        asked(f"r-{n}", "abcdefgh", [0] * 8, answers)
        for n, answers in enumerate(([1] * 8, [1] * 4 + [0] * 4))
    ]
    after = [asked("r-9", "abcdefgh", [0] * 8, [0] * 8)]
    found = measure_gain(before, after)
    assert found is not None
    assert found.difference.value == pytest.approx(0.75)
    assert found.verdict == "better"
    assert found.now_right == tuple("abcd")


def test_evaluations_that_share_no_picture_say_nothing() -> None:
    assert measure_gain([asked("r-1", "a", [0], [0])], [asked("r-2", "b", [0], [0])]) is None


def answers_of(run: str, *pairs: tuple[str, str, str]) -> MustPass:
    rows = tuple(
        MustPassAnswer(image_id=f"{place}" * 12, truth=truth, answer=answer, probability=0.9, split=split)
        for place, (truth, answer, split) in enumerate(pairs)
    )
    return MustPass(run=run, answers=rows)


def test_the_gate_counts_wrong_pictures_and_names_them() -> None:
    one = answers_of("r-1", ("x", "x", "train"), ("x", "y", "test"), ("y", "", ""))
    [gate] = must_pass_gates([one], 0, alike=False)
    assert (gate.verdict, gate.value, gate.missed_by) == ("fail", 2, 2)
    assert gate.sentence.startswith(
        "wrong must-pass pictures ≤ 0: fail, r-1 on must-pass has 2; missed by 2"
    )
    assert "111111111111" in gate.note
    assert "1 of 3 were trained on" in gate.note
    assert must_pass_gates([one], 2, alike=False)[0].verdict == "pass"


def test_of_clones_the_worst_decides_and_of_other_runs_one_that_holds_is_enough() -> None:
    good, bad = answers_of("r-1", ("x", "x", "")), answers_of("r-2", ("x", "y", ""))
    clones = must_pass_gates([good, bad], 0, alike=True)
    assert [(gate.subject, gate.decides) for gate in clones] == [("r-1", False), ("r-2", True)]
    others = must_pass_gates([good, bad], 0, alike=False)
    assert not any(gate.decides for gate in others)
    assert all(gate.decides for gate in must_pass_gates([bad, bad], 0, alike=False))


def test_an_empty_list_is_not_measured() -> None:
    [gate] = must_pass_gates([answers_of("r-1")], 0, alike=False)
    assert gate.verdict == "not measured"
    assert "image require" in gate.note
