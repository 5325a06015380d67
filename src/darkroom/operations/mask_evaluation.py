"""Evaluate runs that answer masks, and hand over the report."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from darkroom.operations.evaluation import EvaluateReport
from darkroom.operations.gates import check_names, hold_quality
from darkroom.operations.handed_over import handed_over_run, take_back
from darkroom.operations.judged import count_looks
from darkroom.operations.mask_judged import judged_masks
from darkroom.operations.papers import Papers
from darkroom.operations.run_pictures import pictures_of
from darkroom.operations.varying import distinct_clones, same_recipe
from darkroom.records import Gate, Interval, Split, missed_gates
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.datasets import RenderedSplit
    from darkroom.documents import ShownMask
    from darkroom.evaluation import MaskAnswers, MaskClonesSummary, MaskEvaluation, WorstMask

__all__ = ["evaluate_mask_runs"]

MOST_SHOWN = 24
LONGEST_PX = 320
"""Side up to which masks are shown whole; larger ones lose every second, third, … pixel."""

JPEG = {"format": "JPEG", "quality": 85, "subsampling": 0}


def evaluate_mask_runs(workspace: Workspace, runs: tuple[str, ...], split: Split) -> EvaluateReport:
    """Says how good runs that answer masks are on a split; see `model.evaluate`."""
    from darkroom.evaluation import summarise_masks

    for name in runs:  # before anything is looked at
        check_names(workspace, workspace.catalogue.runs.get(name).dataset)
    found = [judged_masks(workspace, name, split) for name in runs]
    evaluations, answers = [one.evaluation for one in found], [one.answers for one in found]
    alike = same_recipe(workspace, runs)
    distinct = distinct_clones(workspace, runs)
    counted = [one for name, one in zip(runs, found, strict=True) if name in distinct.runs]
    clones = summarise_masks([one.evaluation for one in counted], [one.answers for one in counted])
    clones = clones.model_copy(update={"alike": alike})
    gates = hold_quality(workspace, runs)
    dataset = workspace.catalogue.runs.get(runs[0]).dataset
    bad = missed_gates(gates) and handed_over_run(workspace) in runs
    looks = f"{split} of {dataset} was looked at {count_looks(workspace, dataset, split).words}."
    path, papers = _deliver(workspace, evaluations, answers, clones, gates, looks)
    return EvaluateReport(
        runs=runs,
        split=split,
        images=evaluations[0].figures.count,
        figure="mean IoU",
        columns=("run", "seed", "mean IoU", "95 % interval", "pixel accuracy", "boundary F1"),
        rows=tuple(_row(one) for one in evaluations),
        spread=_spoken_spread(clones, alike=alike),
        gates=gates,
        looks=looks,
        said=(*distinct.notes(), *(_spoken_classes(one) for one in evaluations)),
        taken_back=take_back(workspace) if bad else (),
        missing=papers.missing,
        path=path,
        docx=papers.docx,
        pdf=papers.pdf,
    )


def _deliver(
    workspace: Workspace,
    evaluations: list[MaskEvaluation],
    answers: list[MaskAnswers],
    clones: MaskClonesSummary,
    gates: Sequence[Gate],
    looks: str,
) -> tuple[str, Papers]:
    """Writes the page, the same as .docx and PDF, and the figures as JSON."""
    from darkroom.documents import segmentation_page, segmentation_paper
    from darkroom.operations.deliverables import write_evaluation

    facts = {
        "evaluations": evaluations,
        "clones": clones,
        "shown": _shown(workspace, evaluations, answers),
        "gates": gates,
        "looks_in_all": looks,
    }
    return write_evaluation(workspace, facts, segmentation_page, segmentation_paper)


def _shown(
    workspace: Workspace, evaluations: list[MaskEvaluation], answers: list[MaskAnswers]
) -> list[ShownMask]:
    """Returns the worst pictures over all runs, each with the answer of the run that is worst on it."""
    found: dict[str, tuple[WorstMask, str, MaskAnswers]] = {}
    for one, own in zip(evaluations, answers, strict=True):
        for worst in one.worst:
            if worst.image_id not in found or worst.miou < found[worst.image_id][0].miou:
                found[worst.image_id] = (worst, one.source.run, own)
    chosen = sorted(found.values(), key=lambda entry: (entry[0].miou, entry[0].image_id))[:MOST_SHOWN]
    split, several = evaluations[0].source.split, len(evaluations) > 1
    # A run may have a split of its own: then its val pictures are not those of the others.
    images = {run: pictures_of(workspace, run).split(split) for _, run, _ in chosen}
    return [
        _drawn(images[run], worst.image_id, own, _words(worst, run if several else ""))
        for worst, run, own in chosen
    ]


def _drawn(images: RenderedSplit, image_id: str, own: MaskAnswers, words: str) -> ShownMask:
    from darkroom.documents import ShownMask
    from darkroom.images import difference, overlay

    at = np.array([images.image_ids.index(image_id)])
    photo, mask = images.gather(at)[0], images.gather_masks(at)[0]
    answer = own.mask(own.image_ids.index(image_id))
    step = -(-max(mask.shape) // LONGEST_PX)
    photo, mask, answer = (array[::step, ::step] for array in (photo, mask, answer))
    plain = overlay(photo, np.zeros_like(mask))
    drawn = (plain, overlay(photo, mask), overlay(photo, answer), difference(photo, mask, answer))
    return ShownMask(image_id, words, *(_jpeg(one) for one in drawn))


def _jpeg(pixels: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(file, **JPEG)
    return file.getvalue()


def _words(worst: WorstMask, run: str) -> str:
    mixed = ", ".join(f"{one.truth} taken for {one.answer} ({one.pixels:,})" for one in worst.mix_ups)
    head = f"Mean IoU {worst.miou:.1%}, {worst.wrong_pixels:,} of {worst.pixels:,} pixels wrong"
    return f"{head}{f', answered by {run}' if run else ''}: {mixed}."


def _spoken_classes(one: MaskEvaluation) -> str:
    """Returns the IoU of each class in words, the weakest first."""
    known = [row for row in one.figures.classes if row.iou is not None]
    ranked = sorted(known, key=lambda row: row.iou.value if row.iou else 0.0)
    said = ", ".join(f"{row.label} {row.iou}" for row in ranked[:6])
    more = f" and {len(ranked) - 6} more" if len(ranked) > 6 else ""
    absent = [row.label for row in one.figures.classes if row.iou is None]
    gone = f"; no picture shows {', '.join(absent)}" if absent else ""
    return f"{one.source.run}, IoU: {said}{more}{gone}"


def _spoken_spread(clones: MaskClonesSummary, *, alike: bool) -> str:
    miou, count = clones.miou, len(clones.runs)
    if miou.sd is None:
        return f"One clone, mean IoU {miou.mean:.4f}; how much chance decides is unknown: train clones."
    differing = "" if clones.churn is None else f"; two of them differ on {clones.churn:.1%} of the pixels"
    if not alike:
        return (
            f"{count} runs of different recipes, mean IoU from {miou.min:.4f} to {miou.max:.4f}"
            f"{differing}. Compare two of them: darkroom model compare"
        )
    return f"Mean IoU over {count} clones: mean {miou.mean:.4f}, sd {miou.sd:.4f}{differing}."


def _row(one: MaskEvaluation) -> tuple[str, ...]:
    figures = one.figures
    miou = figures.miou
    return (
        one.source.run,
        str(one.source.seed),
        f"{miou.value:.4f}",
        f"[{miou.low:.4f}, {miou.high:.4f}]",
        _value(figures.pixel_accuracy),
        _value(figures.boundary_f1),
    )


def _value(figure: Interval | None) -> str:
    return "—" if figure is None else f"{figure.value:.4f}"
