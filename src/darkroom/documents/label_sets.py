"""The report on label sets, as a page and as a paper: figures, label by label, the worst pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from darkroom.documents.blocks import Paper
from darkroom.documents.label_set_sections import (
    label_runs_section,
    labels_section,
    sets_measured_section,
    worst_sets_section,
)
from darkroom.documents.page import html
from darkroom.documents.task_report import Deciding, TaskSummary, noted, paper_of, summary_of
from darkroom.documents.wording import count, ends, share
from darkroom.evaluation import LabelSetClonesSummary, LabelSetEvaluation
from darkroom.records import Gate

__all__ = ["label_set_summary", "label_sets_page", "label_sets_paper"]

MOST_IN_A_PAPER = 12


def label_sets_page(
    *,
    project: str,
    evaluations: Sequence[LabelSetEvaluation],
    clones: LabelSetClonesSummary,
    pictures: Mapping[str, bytes] | None = None,
    gates: Sequence[Gate] = (),
    looks_in_all: str = "",
) -> bytes:
    """Returns the page of one or several runs that answer label sets, on the same images.

    Args:
        project: name of the project.
        evaluations: one per clone, at least one.
        clones: their summary.
        pictures: encoded thumbnails of the worst pictures, by image id.
        gates: the limits of the brief with their verdicts.
        looks_in_all: how often these pictures were looked at over all runs, in words.
    """
    first = evaluations[0]
    return html(
        "label_sets",
        project=project,
        source=first.source,
        lead=_lead(evaluations, clones),
        clones=clones,
        first=first.figures,
        notes=noted(evaluations),
        gates=gates,
        early=(label_runs_section(evaluations, clones),),
        late=(
            labels_section(evaluations, clones),
            worst_sets_section(evaluations, pictures or {}),
            sets_measured_section(evaluations, looks_in_all),
        ),
        speed=first.images_per_second,
        device=first.device,
    )


def label_sets_paper(
    *,
    project: str,
    evaluations: Sequence[LabelSetEvaluation],
    clones: LabelSetClonesSummary,
    pictures: Mapping[str, bytes] | None = None,
    gates: Sequence[Gate] = (),
    looks_in_all: str = "",
) -> Paper:
    """Returns the same for .docx and PDF; see `label_sets_page` for the arguments."""
    return paper_of(
        project,
        evaluations,
        _lead(evaluations, clones),
        label_runs_section(evaluations, clones),
        gates,
        (
            labels_section(evaluations, clones),
            worst_sets_section(evaluations, pictures or {}, most=MOST_IN_A_PAPER),
            sets_measured_section(evaluations, looks_in_all),
        ),
    )


def label_set_summary(
    evaluations: Sequence[LabelSetEvaluation], clones: LabelSetClonesSummary
) -> TaskSummary:
    """Returns what the project's report says of runs that answer label sets."""
    return summary_of(
        evaluations,
        _deciding(evaluations, clones),
        _lead(evaluations, clones),
        label_runs_section(evaluations, clones),
        figure="Mean AP",
        weakest="Weakest label: “{}”, with an average precision of {}",
        by_class=((row.label, row.average_precision) for row in clones.classes),
    )


def _deciding(evaluations: Sequence[LabelSetEvaluation], clones: LabelSetClonesSummary) -> Deciding | None:
    own = evaluations[0].figures.mean_ap
    if own is None or clones.mean_ap is None:
        return None
    return Deciding("mean average precision", own, clones.mean_ap, clones.alike)


def _lead(evaluations: Sequence[LabelSetEvaluation], clones: LabelSetClonesSummary) -> str:
    """Returns the sentence that a report begins with."""
    first, deciding = evaluations[0].figures, _deciding(evaluations, clones)
    if deciding is None:
        return f"None of the {count(first.count)} pictures has a label: there is nothing to find."
    return deciding.lead(
        evaluations,
        also=f", and gives {share(first.exact_match.value)} of them all their labels rightly",
        expect=f" and {ends(first.exact_match)}",
    )
