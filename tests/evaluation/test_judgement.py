"""Judging answers, without a network."""

import numpy as np
import pytest

from darkroom.errors import Invalid
from darkroom.evaluation import Evaluation
from darkroom.evaluation.judgement import judge

CLASSES = ("ant", "bee", "cat")


def test_worst_errors_are_the_most_confident_ones_in_order():
    labels = np.array([0, 0, 1, 2, 2])
    probabilities = np.array(
        [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.95, 0.05, 0.0], [0.0, 0.7, 0.3], [0.1, 0.1, 0.8]]
    )
    found = judge(labels, probabilities, ["a", "b", "c", "d", "e"], classes=CLASSES, draws=20)
    assert found.errors == 3
    assert [wrong.image_id for wrong in found.worst] == [
        "c",
        "b",
        "d",
    ]  # b and d tie at 0.7: truth 0.1 < … 0.3
    assert (found.worst[0].truth, found.worst[0].answer) == ("bee", "ant")
    assert (found.worst[0].probability, found.worst[0].truth_probability) == (0.95, 0.05)


def test_no_more_errors_are_listed_than_asked_for_but_all_are_counted():
    labels = np.zeros(50, np.int64)
    found = judge(
        labels,
        np.tile([0.1, 0.9, 0.0], (50, 1)),
        [f"{n:02}" for n in range(50)],
        classes=CLASSES,
        worst=7,
        draws=20,
    )
    assert (found.errors, len(found.worst)) == (50, 7)
    assert [wrong.image_id for wrong in found.worst] == [f"{n:02}" for n in range(7)]


def test_notes_name_what_a_reader_must_know():
    labels = np.repeat([0, 1], [60, 3])
    probabilities = np.eye(3)[labels]
    ids = [str(n) for n in range(63)]
    alone = judge(labels, probabilities, ids, classes=CLASSES, draws=20)
    assert any("“cat”" in note for note in alone.notes)
    assert any("Fewer than 10 images of “bee”" in note for note in alone.notes)
    few = judge(labels, probabilities, ids, [f"g{n % 4}" for n in range(63)], classes=CLASSES, draws=20)
    assert any("Only 4 groups" in note for note in few.notes)
    single = judge(labels, probabilities, ids, ["g"] * 63, classes=CLASSES, draws=20)
    assert any("one group" in note for note in single.notes)


def test_a_full_and_balanced_split_needs_no_notes():
    labels = np.arange(60) % 3
    found = judge(labels, np.eye(3)[labels], [str(n) for n in range(60)], classes=CLASSES, draws=20)
    assert found.notes == ()
    assert found.worst == ()


def test_an_evaluation_survives_its_file():
    labels = np.arange(30) % 3
    probabilities = np.random.default_rng(0).dirichlet([1, 1, 1], 30)
    found = judge(labels, probabilities, [str(n) for n in range(30)], classes=CLASSES)
    assert Evaluation.model_validate_json(found.model_dump_json()) == found


def test_ids_that_do_not_fit_are_refused():
    with pytest.raises(Invalid, match="one image id per label"):
        judge(np.array([0]), np.eye(3)[[0]], ["a", "b"], classes=CLASSES)
