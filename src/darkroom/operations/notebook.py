"""What a notebook shows: of datasets, runs, evaluations and comparisons the blocks of their pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from darkroom.errors import DarkroomError
from darkroom.records import Result, Split
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents.blocks import Block, Section
    from darkroom.operations.comparing import CompareReport
    from darkroom.operations.dataset import FreezeReport
    from darkroom.operations.evaluation import EvaluateReport
    from darkroom.records import Config

__all__ = ["html_of"]

EXAMPLES_PER_CLASS, MOST_EXAMPLES, LOOKED_AT = 2, 16, 2000
MOST_MISTAKES, MOST_DIFFERENT = 8, 6
OPEN = ("runs", "brief", "classes", "confusion", "worst")
"""Sections of an evaluation that are shown; the others are folded away."""


class Shown(NamedTuple):
    """What is shown of a result."""

    title: str
    lead: str
    sections: tuple[Section, ...]


def html_of(workspace: Workspace, operation: str, request: Config, result: Result) -> str:
    """Returns what a notebook shows of a result; what its lines and tables say where nothing more is known.

    Args:
        workspace: the project; it may be closed already.
        operation: what gave the result, "noun.verb".
        request: what it was asked.
        result: the result.
    """
    from darkroom.documents.notebook import notebook_html

    with Workspace(workspace.root, settings=workspace.settings) as opened:
        try:
            shown = SHOWN[operation](opened, request, result) if operation in SHOWN else None
        except DarkroomError:  # its files are gone: what was said of them still stands
            shown = None
        shown = shown or Shown(operation.replace(".", " "), "", (_section(_said(result)),))
        return notebook_html(shown.title, shown.lead, shown.sections)


def _dataset(workspace: Workspace, _: Config, result: Any) -> Shown:
    from darkroom.documents.blocks import Drawing, Fold
    from darkroom.documents.figures import histogram

    report: FreezeReport = result
    version = workspace.catalogue.datasets.get(report.dataset)
    counts = {split: dict(rows) for split, rows in version.histogram.items()}
    title = "Pictures per class and split"
    draw = partial(_drawn_histogram, histogram, counts, version.classes, title)
    blocks = (
        *_notes(report.notes()),
        Drawing(draw, title),
        *_examples(workspace, version),
        Fold("In numbers", _said(report)),
    )
    contract = version.contract
    lead = (
        f"{sum(version.counts.values()):,} pictures of {len(version.classes)} classes, as tensors of "
        f"{contract.width_px}×{contract.height_px} {contract.colour}: "
        f"{', '.join(f'{count:,} {split}' for split, count in version.counts.items() if count)}."
    )
    return Shown(f"Dataset {report.dataset}", lead, (_section(blocks),))


def _drawn_histogram(draw: Any, counts: Any, classes: Any, title: str, form: Any) -> bytes:
    return draw(counts, classes, title=title, form=form)


def _examples(workspace: Workspace, version: Any) -> tuple[Block, ...]:
    """Returns a few training pictures of each class; of masks and of several labels a few of all."""
    from itertools import islice

    from darkroom.documents.blocks import Pictures
    from darkroom.documents.blocks import Shown as Picture
    from darkroom.operations.deliverables import thumbnails

    found: dict[str, list[str]] = {}
    one_each = version.task == "classification"
    for member in islice(workspace.catalogue.datasets.members(version.ref, "train"), LOOKED_AT):
        of_class = found.setdefault(member.label if one_each else "", [])
        if len(of_class) < (EXAMPLES_PER_CLASS if one_each else MOST_EXAMPLES // 2):
            of_class.append(member.image_id)
    chosen = [(image_id, label) for label in sorted(found) for image_id in found[label]][:MOST_EXAMPLES]
    small = thumbnails(workspace, (image_id for image_id, _ in chosen))
    return (Pictures(tuple(Picture(small.get(image_id), label) for image_id, label in chosen)),)


def _training(workspace: Workspace, _: Config, result: Any) -> Shown:
    from darkroom.documents.blocks import Fold
    from darkroom.documents.training import curve_drawings
    from darkroom.operations.deliverables import trained_clones

    names = result.runs if hasattr(result, "runs") else (result.run,)
    runs = [workspace.catalogue.runs.get(name) for name in names]
    blocks = (
        *_notes(result.notes()),
        *curve_drawings(trained_clones(workspace, runs)),
        Fold("In numbers", _said(result)),
    )
    several = f"{len(runs)} clones of {runs[0].network}" if len(runs) > 1 else f"Run {runs[0].id}"
    first = next((part for part in result.display() if isinstance(part, str)), "")
    return Shown(f"{several} on {runs[0].dataset}", first, (_section(blocks),))


def _evaluation(workspace: Workspace, _: Config, result: Any) -> Shown | None:
    from darkroom.documents.blocks import Fold, Text

    report: EvaluateReport = result
    paper = _paper(workspace, report)
    if paper is None:
        return None
    shown = tuple(section for section in paper.sections if section.id in OPEN)
    folded = tuple(Fold(one.title, one.blocks) for one in paper.sections if one.id not in OPEN)
    said = tuple(Text(line) for line in (report.looks, *report.said) if line)
    return Shown(
        f"{', '.join(report.runs)} on {report.images:,} pictures of {report.split}",
        paper.lead,
        (*shown, _section((*said, *folded))),
    )


def _paper(workspace: Workspace, report: EvaluateReport) -> Any:
    """Returns the paper of an evaluation; None for a task that has none."""
    from darkroom.documents import evaluation_paper, segmentation_paper
    from darkroom.evaluation import (
        load_any_evaluation,
        load_mask_answers,
        load_predictions,
        summarise,
        summarise_masks,
    )
    from darkroom.operations.deliverables import thumbnails
    from darkroom.operations.gates import same_recipe

    folders = [workspace.runs_folder / run for run in report.runs]
    split: Any = report.split
    found: list[Any] = [load_any_evaluation(folder, split) for folder in folders]
    facts: dict[str, Any] = {
        "project": workspace.project.project.name,
        "evaluations": found,
        "gates": report.gates,
    }
    alike = {"alike": same_recipe(workspace, report.runs)}
    if found[0].figures.kind == "segmentation":
        answers = [load_mask_answers(folder, split) for folder in folders]
        return segmentation_paper(clones=summarise_masks(found, answers).model_copy(update=alike), **facts)
    if found[0].figures.kind != "classification":
        return None
    clones = summarise(found, [load_predictions(folder, split) for folder in folders])
    worst = [one.image_id for each in found for one in each.worst[:MOST_MISTAKES]]
    return evaluation_paper(
        clones=clones.model_copy(update=alike),
        pictures=thumbnails(workspace, worst),
        human=workspace.project.brief.human_baseline,
        most_mistakes=MOST_MISTAKES,
        **facts,
    )


def _comparison(workspace: Workspace, request: Any, result: Any) -> Shown:
    from darkroom.documents.blocks import Cell, Section, Table, share_cell

    report: CompareReport = result
    tone = {"better": "pass", "worse": "fail"}.get(report.verdict, "open")
    rows = [(Cell("Verdict on the first"), Cell(report.verdict, tone=tone))]  # type: ignore[arg-type]
    rows.append((Cell(f"Difference of {report.figure}"), Cell(report.difference)))
    for name, figure in (
        ("The first is ahead on a picture that tells them apart", report.on_a_picture),
        ("A clone of the first beats one of the second", report.between_clones),
    ):
        if figure is not None:
            rows.append((Cell(name), share_cell(figure, floor=0.0)))
    table = Table(("", report.counted), tuple(rows))
    sections = [Section("", "", (*_notes(report.notes()), table)), _section(_said(report))]
    if report.figure == "accuracy":
        sections += _different(workspace, report.first, report.second, request.split)
    return Shown(f"{report.first} against {report.second}", "", tuple(sections))


def _different(workspace: Workspace, first: str, second: str, split: Split) -> list[Section]:
    """Returns pictures that only one of two runs answers rightly."""
    import numpy as np

    from darkroom.documents.blocks import Pictures, Section
    from darkroom.documents.blocks import Shown as Picture
    from darkroom.evaluation import load_evaluation, load_predictions
    from darkroom.operations.deliverables import thumbnails

    runs = (first, second)
    found = {run: load_predictions(workspace.runs_folder / run, split) for run in runs}
    if found[first].image_ids != found[second].image_ids:
        return []
    classes = load_evaluation(workspace.runs_folder / first, split).labels
    right = {run: found[run].answers == found[run].labels for run in runs}
    sections = []
    for run, other in (runs, runs[::-1]):
        places = np.flatnonzero(right[run] & ~right[other])[:MOST_DIFFERENT].tolist()
        names = [found[run].image_ids[place] for place in places]
        small = thumbnails(workspace, names)
        shown = tuple(
            Picture(
                small.get(name),
                f"{classes[found[run].labels[place]]}; {other} says {classes[found[other].answers[place]]}",
            )
            for name, place in zip(names, places, strict=True)
        )
        if shown:
            sections.append(Section(f"only-{run}", f"Only {run} is right", (Pictures(shown),)))
    return sections


def _said(result: Result) -> tuple[Block, ...]:
    from darkroom.documents.notebook import blocks_of

    return blocks_of(result.display())


def _notes(lines: Any) -> tuple[Block, ...]:
    from darkroom.documents.blocks import Text

    return tuple(Text(line, "note") for line in lines)


def _section(blocks: Sequence[Block]) -> Section:
    from darkroom.documents.blocks import Section

    return Section("", "", tuple(blocks))


SHOWN: dict[str, Callable[[Workspace, Config, Result], Shown | None]] = {
    "dataset.freeze": _dataset,
    "dataset.show": _dataset,
    "model.train": _training,
    "model.clone": _training,
    "model.evaluate": _evaluation,
    "model.compare": _comparison,
}
"""Operation → what a notebook shows of its result."""
