"""The page of an evaluation: figures with intervals, clones, classes, confusion, worst mistakes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from darkroom.documents.blocks import Section
from darkroom.documents.evaluation_sections import deeper_sections
from darkroom.documents.page import html, inline
from darkroom.documents.picture import picture
from darkroom.evaluation import ClonesSummary, Evaluation, WrongAnswer, summarise
from darkroom.evaluation.people import against_people
from darkroom.records import Gate, Interval

__all__ = ["evaluation_page", "line_start"]

LARGEST_TABLE = 24
"""With more classes the confusion matrix is drawn, not written."""


def evaluation_page(
    *,
    project: str,
    evaluations: Sequence[Evaluation],
    clones: ClonesSummary | None = None,
    pictures: Mapping[str, bytes] | None = None,
    gates: Sequence[Gate] = (),
    human: float | None = None,
    looks_in_all: str = "",
    most_mistakes: int = 48,
    more: Sequence[Section] = (),
) -> bytes:
    """Returns the page of one or several runs on the same images.

    Args:
        project: name of the project.
        evaluations: one per clone, at least one.
        clones: their summary; made from the evaluations when not given, then without churn.
        pictures: encoded thumbnails of the worst mistakes, by image id.
        gates: the limits of the brief with their verdicts.
        human: accuracy of people on such pictures.
        looks_in_all: how often these pictures were looked at over all runs, in words.
        most_mistakes: how many mistakes to show.
        more: further sections.
    """
    first = evaluations[0]
    matrix = np.sum([np.array(one.figures.confusion) for one in evaluations], axis=0)
    mistakes = _mistakes(evaluations, pictures or {})
    return html(
        "evaluation",
        project=project,
        evaluations=evaluations,
        clones=clones or summarise(evaluations),
        source=first.source,
        first=first.figures,
        labels=first.labels,
        level=first.level,
        notes=tuple(dict.fromkeys(note for one in evaluations for note in one.notes)),
        floor=line_start([one.figures.accuracy for one in evaluations]),
        class_floors=[_class_start(one) for one in evaluations],
        baseline=max(row.support for row in first.figures.classes) / first.figures.count,
        gates=gates,
        human=human,
        people=[against_people(one.figures.accuracy, human) for one in evaluations]
        if human is not None
        else [],
        sections=(*deeper_sections(evaluations, human=human), *more),
        dearest=any(wrong.cost for one in evaluations for wrong in one.worst),
        matrix=_matrix(matrix, first.labels),
        matrix_figure=_matrix_figure(matrix, first.labels),
        mixups=_mixups(matrix, first.labels),
        mistakes=mistakes[:most_mistakes],
        wrong_images=max(len(mistakes), *(one.errors for one in evaluations)),
        looks=max(one.looks for one in evaluations),
        looks_in_all=looks_in_all,
        speed=first.images_per_second,
    )


def line_start(figures: Sequence[Interval | None]) -> float:
    """Returns where the lines of a table begin: the tenth below the least lower end."""
    least = min((figure.low for figure in figures if figure is not None), default=0.0)
    return min(0.9, math.floor(least * 10) / 10)


def _class_start(evaluation: Evaluation) -> float:
    rows = evaluation.figures.classes
    return line_start([figure for row in rows for figure in (row.precision, row.recall, row.f1)])


def _matrix(matrix: np.ndarray, labels: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for place, label in enumerate(labels):
        total = max(1, int(matrix[place].sum()))
        cells = []
        for column, count in enumerate(matrix[place].tolist()):
            kind = "none" if not count else "hit" if column == place else "miss"
            much = round(12 + 43 * math.sqrt(count / total))  # a mistake of one in a hundred is still seen
            cells.append({"count": count, "kind": kind, "much": much})
        rows.append({"label": label, "cells": cells})
    return rows


def _matrix_figure(matrix: np.ndarray, labels: Sequence[str]) -> str:
    from darkroom.documents.figures import confusion

    if len(labels) <= LARGEST_TABLE:
        return ""
    return inline(confusion(matrix.tolist(), labels, title=f"Confusion matrix of {len(labels)} classes"))


def _mixups(matrix: np.ndarray, labels: Sequence[str], most: int = 8) -> list[dict[str, Any]]:
    off = matrix * (1 - np.eye(len(matrix), dtype=matrix.dtype))
    order = np.argsort(-off, axis=None, kind="stable")[:most]
    places = [divmod(int(place), len(labels)) for place in order]
    return [
        {
            "truth": labels[truth],
            "answer": labels[answer],
            "count": int(off[truth, answer]),
            "share": off[truth, answer] / matrix[truth].sum(),
        }
        for truth, answer in places
        if off[truth, answer] > 0
    ]


def _mistakes(evaluations: Sequence[Evaluation], pictures: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Returns one entry per image: the dearest over all clones, then what more of them get wrong."""
    found: dict[str, list[tuple[str, WrongAnswer]]] = {}
    for one in evaluations:
        for wrong in one.worst:
            found.setdefault(wrong.image_id, []).append((one.source.run, wrong))
    ordered = sorted(
        found.items(),
        key=lambda item: (
            -sum(wrong.cost or 0.0 for _, wrong in item[1]),
            -len(item[1]),
            -max(wrong.probability for _, wrong in item[1]),
            item[0],
        ),
    )
    return [
        {
            "image_id": image_id,
            "truth": answers[0][1].truth,
            "picture": picture(pictures.get(image_id)),
            "answers": [
                {
                    "run": run,
                    "answer": wrong.answer,
                    "probability": wrong.probability,
                    "cost": wrong.cost,
                }
                for run, wrong in answers
            ],
        }
        for image_id, answers in ordered
    ]
