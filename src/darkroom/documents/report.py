"""The one-page summary of a project: what it is for, how good it is, what leaves, what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from darkroom.documents import wording
from darkroom.documents.evaluation import line_start
from darkroom.documents.facts import Link, NextStep, TrainedClone
from darkroom.documents.page import html
from darkroom.documents.task_report import TaskSummary
from darkroom.documents.training import curve_figures
from darkroom.evaluation import ClonesSummary, Evaluation, summarise
from darkroom.evaluation.people import against_people
from darkroom.export import ParityReport
from darkroom.records import Brief, DatasetVersion, Gate

__all__ = ["report_page"]


def report_page(
    *,
    project: str,
    brief: Brief | None = None,
    version: DatasetVersion | None = None,
    trainings: Sequence[TrainedClone] = (),
    evaluations: Sequence[Evaluation] = (),
    clones: ClonesSummary | None = None,
    masks: TaskSummary | None = None,
    parity: ParityReport | None = None,
    chosen: str = "",
    gates: Sequence[Gate] = (),
    looks: str = "",
    diagnoses: Sequence[str] = (),
    links: Sequence[Link] = (),
    next_steps: Sequence[NextStep] = (),
) -> bytes:
    """Returns the page that a project ends with; what is not there yet is left out.

    Args:
        project: name of the project.
        brief: the problem and its limits.
        version: the dataset.
        trainings: the clones as they were trained.
        evaluations: one per clone, on one split.
        clones: their summary; made from the evaluations when not given.
        masks: the same of runs that answer masks, or sets of labels.
        parity: how the exported files compare.
        chosen: run that was exported.
        gates: the limits of the brief with their verdicts.
        looks: how often the pictures of the evaluation were looked at over all runs, in words.
        diagnoses: what was found about the trainings, in words.
        links: the other pages.
        next_steps: what to do next, mostly with a command.
    """
    brief = brief or Brief()
    summary = clones or (summarise(evaluations) if evaluations else None)
    return html(
        "report",
        project=project,
        brief=brief,
        version=version,
        trainings=trainings,
        figures=curve_figures(trainings),
        evaluations=evaluations,
        clones=summary,
        **_beside(evaluations, brief),
        weakest=_weakest(summary, evaluations),
        gates=gates,
        looks=looks,
        diagnoses=diagnoses,
        parity=parity,
        **_least(parity),
        chosen=chosen,
        masks=masks,
        sentence=_sentence(summary, masks, parity),
        notes=tuple(_notes(evaluations, masks, parity)),
        links=links,
        next_steps=next_steps,
    )


def _beside(evaluations: Sequence[Evaluation], brief: Brief) -> dict[str, object]:
    """Returns what stands beside the figures: the split, where the line starts, and people."""
    return {
        "split": evaluations[0].source.split if evaluations else "",
        "floor": line_start([one.figures.accuracy for one in evaluations]),
        "people": _people(evaluations, brief.human_baseline),
    }


def _least(parity: ParityReport | None) -> dict[str, float | None]:
    """Returns the smallest agreement and the smallest size of the files."""
    files = parity.files if parity else ()
    return {
        "least_agreement": min((file.agreement for file in files), default=None),
        "smallest": min((file.size_bytes for file in files), default=None),
    }


def _people(evaluations: Sequence[Evaluation], human: float | None) -> list[str]:
    """Returns how each run stands to people; nothing where nobody said how good they are."""
    return [] if human is None else [against_people(one.figures.accuracy, human) for one in evaluations]


def _sentence(clones: ClonesSummary | None, masks: TaskSummary | None, parity: ParityReport | None) -> str:
    parts = [masks.lead] if masks is not None else []
    if clones is not None:
        accuracy, count = clones.accuracy, wording.count(clones.count)
        mean = wording.share(accuracy.mean)
        parts.append(
            f"The model answers {mean} of {count} pictures rightly; one training does not say how much of "
            "that is luck."
            if accuracy.sd is None
            else f"{len(clones.runs)} runs of several recipes answer from {wording.share(accuracy.min)} to "
            f"{wording.share(accuracy.max)} of {count} pictures rightly."
            if not clones.alike
            else f"{len(clones.runs)} clones answer {mean} of {count} pictures rightly on average, from "
            f"{wording.share(accuracy.min)} to {wording.share(accuracy.max)}."
        )
    if parity is not None and parity.files:
        parts.append(
            "The exported files answer as the evaluation did."
            if parity.passes
            else "Not every exported file answers as the evaluation did."
        )
    return " ".join(parts)


def _notes(
    evaluations: Sequence[Evaluation],
    masks: TaskSummary | None,
    parity: ParityReport | None,
) -> Iterator[str]:
    yield from masks.notes if masks is not None else ()
    yield from dict.fromkeys(note for one in evaluations for note in one.notes)
    if parity is not None:
        yield from parity.failures


def _weakest(clones: ClonesSummary | None, evaluations: Sequence[Evaluation]) -> dict[str, Any] | None:
    """Returns the class of which the smallest share is found, over all clones."""
    if clones is None:
        return None
    known = [(row.recall.mean, row.label) for row in clones.classes if row.recall is not None]
    if not known:
        return None
    mean, label = min(known)
    own = [row.recall for row in evaluations[0].figures.classes if row.label == label]
    return {"label": label, "mean": mean, "interval": own[0] if len(evaluations) == 1 else None}
