"""The report on masks, as a page and as a paper: figures with intervals, classes, the worst pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from darkroom.documents.blocks import Paper
from darkroom.documents.mask_sections import (
    WORST_WORDS,
    ShownMask,
    classes_section,
    confusion_section,
    measured_section,
    runs_section,
    worst_section,
)
from darkroom.documents.page import html
from darkroom.documents.picture import picture
from darkroom.documents.task_report import Deciding, TaskSummary, noted, paper_of, summary_of
from darkroom.evaluation import MaskClonesSummary, MaskEvaluation
from darkroom.images import class_colours
from darkroom.records import Gate

__all__ = ["ShownMask", "mask_summary", "segmentation_page", "segmentation_paper"]

MOST_IN_A_PAPER = 8


def segmentation_page(
    *,
    project: str,
    evaluations: Sequence[MaskEvaluation],
    clones: MaskClonesSummary,
    shown: Sequence[ShownMask] = (),
    gates: Sequence[Gate] = (),
    looks_in_all: str = "",
) -> bytes:
    """Returns the page of one or several runs that answer masks, on the same images.

    Args:
        project: name of the project.
        evaluations: one per clone, at least one.
        clones: their summary.
        shown: the worst pictures, drawn.
        gates: the limits of the brief with their verdicts.
        looks_in_all: how often these pictures were looked at over all runs, in words.
    """
    first = evaluations[0]
    return html(
        "segmentation",
        project=project,
        source=first.source,
        lead=_deciding(evaluations, clones).lead(evaluations),
        clones=clones,
        first=first.figures,
        notes=noted(evaluations),
        early=(runs_section(evaluations, clones),),
        late=(
            classes_section(evaluations, clones),
            confusion_section(evaluations),
        ),
        measured=measured_section(evaluations, looks_in_all),
        gates=gates,
        legend=_legend(first.labels),
        worst_words=WORST_WORDS,
        shown=[{"words": one.words, "image_id": one.image_id, "four": _encoded(one)} for one in shown],
        looks=max(one.looks for one in evaluations),
        speed=first.images_per_second,
        device=first.device,
    )


def segmentation_paper(
    *,
    project: str,
    evaluations: Sequence[MaskEvaluation],
    clones: MaskClonesSummary,
    shown: Sequence[ShownMask] = (),
    gates: Sequence[Gate] = (),
    looks_in_all: str = "",
) -> Paper:
    """Returns the same for .docx and PDF; see `segmentation_page` for the arguments."""
    return paper_of(
        project,
        evaluations,
        _deciding(evaluations, clones).lead(evaluations),
        runs_section(evaluations, clones),
        gates,
        (
            classes_section(evaluations, clones),
            confusion_section(evaluations),
            worst_section(shown[:MOST_IN_A_PAPER]),
            measured_section(evaluations, looks_in_all),
        ),
    )


def mask_summary(evaluations: Sequence[MaskEvaluation], clones: MaskClonesSummary) -> TaskSummary:
    """Returns what the project's report says of runs that answer masks."""
    deciding = _deciding(evaluations, clones)
    return summary_of(
        evaluations,
        deciding,
        deciding.lead(evaluations),
        runs_section(evaluations, clones),
        figure="Mean IoU",
        weakest="Weakest class: “{}”, with an IoU of {}",
        by_class=((row.label, row.iou) for row in clones.classes),
    )


def _deciding(evaluations: Sequence[MaskEvaluation], clones: MaskClonesSummary) -> Deciding:
    return Deciding("mean IoU", evaluations[0].figures.miou, clones.miou, clones.alike)


def _legend(labels: Sequence[str]) -> list[dict[str, str]]:
    """Returns each class with its colour; the first stays as the picture is."""
    colours = class_colours(len(labels)).tolist()
    return [
        {"label": label, "colour": "" if not place else f"rgb({', '.join(map(str, colours[place]))})"}
        for place, label in enumerate(labels)
    ]


def _encoded(one: ShownMask) -> list[dict[str, Any]]:
    return [{"name": name, "picture": picture(data)} for name, data in one.four]
