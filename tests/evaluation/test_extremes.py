"""The telling pictures of a class, by hand."""

from __future__ import annotations

import numpy as np

from darkroom.evaluation.extremes import find_extremes
from darkroom.evaluation.predictions import Predictions

ANSWERS = Predictions(
    ("a", "b", "c", "d", "e"),
    np.array([0, 0, 0, 1, 1]),
    None,
    np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.45, 0.55], [0.7, 0.3]], np.float32),
)


def test_each_class_shows_what_it_is_surest_of_and_what_it_cannot_decide() -> None:
    found = find_extremes(ANSWERS, ("rose", "tulip"), most=2)
    shown = {
        (kind, label): [one.image_id for one in found if (one.kind, one.label) == (kind, label)]
        for kind in ("surest right", "surest wrong", "least sure")
        for label in ("rose", "tulip")
    }
    assert shown == {
        ("surest right", "rose"): ["a", "b"],
        ("surest wrong", "rose"): ["c"],
        ("least sure", "rose"): ["b", "c"],
        ("surest right", "tulip"): ["d"],
        ("surest wrong", "tulip"): ["e"],
        ("least sure", "tulip"): ["d", "e"],
    }
    wrong = next(one for one in found if one.image_id == "c")
    assert (wrong.answer, round(wrong.probability, 4), round(wrong.truth_probability, 4)) == (
        "tulip",
        0.8,
        0.2,
    )
    assert [one.rank for one in found[:2]] == [1, 2]
