"""Evaluate runs that answer label sets, choose their thresholds, and hand over the report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from darkroom.operations.calibrating import CalibrateReport
from darkroom.operations.evaluation import EvaluateReport
from darkroom.operations.gates import check_names, hold_quality
from darkroom.operations.handed_over import handed_over_run, take_back
from darkroom.operations.judged import count_looks
from darkroom.operations.label_set_judged import judged_label_sets
from darkroom.operations.operating_points import keep_point
from darkroom.operations.papers import Papers
from darkroom.operations.varying import distinct_clones, same_recipe
from darkroom.records import Gate, Interval, Split, missed_gates
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import LabelSetClonesSummary, LabelSetEvaluation

__all__ = ["calibrate_label_sets", "evaluate_label_set_runs"]

WEAKEST = 6
"""Labels that are named in the shell."""


def evaluate_label_set_runs(workspace: Workspace, runs: tuple[str, ...], split: Split) -> EvaluateReport:
    """Says how good runs that answer label sets are on a split; see `model.evaluate`."""
    from darkroom.evaluation import summarise_label_sets

    for name in runs:  # before anything is looked at
        check_names(workspace, workspace.catalogue.runs.get(name).dataset)
    found = [judged_label_sets(workspace, name, split) for name in runs]
    evaluations = [one.evaluation for one in found]
    alike = same_recipe(workspace, runs)
    distinct = distinct_clones(workspace, runs)
    counted = [one for name, one in zip(runs, found, strict=True) if name in distinct.runs]
    clones = summarise_label_sets(counted).model_copy(update={"alike": alike})
    gates = hold_quality(workspace, runs)
    dataset = workspace.catalogue.runs.get(runs[0]).dataset
    bad = missed_gates(gates) and handed_over_run(workspace) in runs
    looks = f"{split} of {dataset} was looked at {count_looks(workspace, dataset, split).words}."
    path, papers = _deliver(workspace, evaluations, clones, gates, looks)
    return EvaluateReport(
        runs=runs,
        split=split,
        images=evaluations[0].figures.count,
        figure="mean AP",
        columns=("run", "seed", "mean AP", "95 % interval", "macro F1", "micro F1", "all labels right"),
        rows=tuple(_row(one) for one in evaluations),
        spread=_spoken_spread(clones),
        gates=gates,
        looks=looks,
        said=(*distinct.notes(), *(line for one in evaluations for line in _spoken(one))),
        taken_back=take_back(workspace) if bad else (),
        missing=papers.missing,
        path=path,
        docx=papers.docx,
        pdf=papers.pdf,
    )


def calibrate_label_sets(workspace: Workspace, runs: tuple[str, ...]) -> CalibrateReport:
    """Chooses thresholds of runs that answer label sets on val, and keeps them; see `model.calibrate`."""
    words: list[str] = []
    found: list[LabelSetEvaluation] = []
    for name in runs:
        one, notes = _calibrated(workspace, name)
        found.append(one)
        words += [f"{name}: {note}" for note in notes]
    return CalibrateReport(
        runs=runs,
        columns=(
            "run",
            "macro F1 at 0.5",
            "macro F1",
            "micro F1 at 0.5",
            "micro F1",
            "all right at 0.5",
            "all right",
        ),
        rows=tuple(_calibrated_row(one) for one in found),
        threshold_columns=("run", "label", "given from", "precision", "recall", "F1"),
        thresholds=tuple(row for one in found for row in _threshold_rows(one)),
        words=tuple(words),
    )


def _calibrated(workspace: Workspace, name: str) -> tuple[LabelSetEvaluation, tuple[str, ...]]:
    from darkroom.evaluation.label_set_thresholds import choose_thresholds

    workspace.report(f"calibrating {name}")
    one = judged_label_sets(workspace, name, "val")
    chosen = choose_thresholds(
        one.truth,
        one.predictions.probabilities,
        one.evaluation.labels,
        chosen_on=f"val of {one.evaluation.source.dataset}",
    )
    keep_point(workspace, name, chosen.point)
    return judged_label_sets(workspace, name, "val").evaluation, chosen.notes


def _calibrated_row(one: LabelSetEvaluation) -> tuple[str, ...]:
    pairs = [
        (one.at_half.get(name), getattr(one.figures, name).value)
        for name in ("macro_f1", "micro_f1", "exact_match")
    ]
    return (one.source.run, *("—" if value is None else f"{value:.4f}" for pair in pairs for value in pair))


def _threshold_rows(one: LabelSetEvaluation) -> Iterator[tuple[str, ...]]:
    for row in one.figures.classes:
        figures = (_value(figure) for figure in (row.precision, row.recall, row.f1))
        yield (one.source.run, row.label, f"{row.threshold:.4f}", *figures)


def _deliver(
    workspace: Workspace,
    evaluations: list[LabelSetEvaluation],
    clones: LabelSetClonesSummary,
    gates: Sequence[Gate],
    looks: str,
) -> tuple[str, Papers]:
    """Writes the page, the same as .docx and PDF, and the figures as JSON."""
    from darkroom.documents import label_sets_page, label_sets_paper
    from darkroom.operations.deliverables import thumbnails, write_evaluation

    facts = {
        "evaluations": evaluations,
        "clones": clones,
        "pictures": thumbnails(workspace, (one.image_id for found in evaluations for one in found.worst)),
        "gates": gates,
        "looks_in_all": looks,
    }
    return write_evaluation(workspace, facts, label_sets_page, label_sets_paper)


def _spoken(one: LabelSetEvaluation) -> Iterator[str]:
    """Yields the weakest labels, the pictures without labels, and what thresholds gain, in words."""
    known = [row for row in one.figures.classes if row.average_precision is not None]
    ranked = sorted(known, key=lambda row: row.average_precision.value if row.average_precision else 0.0)
    said = ", ".join(f"{row.label} {row.average_precision}" for row in ranked[:WEAKEST])
    more = f" and {len(ranked) - WEAKEST} more" if len(ranked) > WEAKEST else ""
    yield f"{one.source.run}, average precision, the weakest first: {said}{more}"
    figures = one.figures
    empty = (
        f"; {figures.empty:,} of {figures.count:,} pictures have none of the labels"
        if figures.empty
        else ""
    )
    yield f"{one.source.run}, share of wrong labels (Hamming loss): {figures.hamming_loss}{empty}"
    if one.at_half:
        yield (
            f"{one.source.run} at its thresholds: macro F1 {figures.macro_f1.value:.4f}, "
            f"{one.at_half['macro_f1']:.4f} at 0.5 for every label"
        )


def _spoken_spread(clones: LabelSetClonesSummary) -> str:
    """Returns the spread of the mean AP in words; only runs of one recipe are clones."""
    found, count = clones.mean_ap, len(clones.runs)
    if found is None:
        return "No picture has a label: there is no average precision."
    if found.sd is None:
        return f"One clone, mean AP {found.mean:.4f}; how much chance decides is unknown: train clones."
    differing = (
        ""
        if clones.churn is None
        else f"; two of them give other labels to {clones.churn:.1%} of the pictures"
    )
    if not clones.alike:
        return (
            f"{count} runs of different recipes, mean AP from {found.min:.4f} to {found.max:.4f}"
            f"{differing}. Compare two of them: darkroom model compare"
        )
    return f"Mean AP over {count} clones: mean {found.mean:.4f}, sd {found.sd:.4f}{differing}."


def _row(one: LabelSetEvaluation) -> tuple[str, ...]:
    figures = one.figures
    ends = "—" if figures.mean_ap is None else f"[{figures.mean_ap.low:.4f}, {figures.mean_ap.high:.4f}]"
    return (
        one.source.run,
        str(one.source.seed),
        _value(figures.mean_ap),
        ends,
        _value(figures.macro_f1),
        _value(figures.micro_f1),
        _value(figures.exact_match),
    )


def _value(figure: Interval | None) -> str:
    return "—" if figure is None else f"{figure.value:.4f}"
