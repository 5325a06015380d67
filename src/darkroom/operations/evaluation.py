"""The operation that judges models on a split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from darkroom.errors import InvalidConfig
from darkroom.operation import Produced, RunRef, operation
from darkroom.operations.findings import spoken_findings
from darkroom.operations.following_up import follow_up
from darkroom.operations.gates import check_names, hold_quality, quality_content
from darkroom.operations.handed_over import handed_over_run, spoken_taken_back, take_back
from darkroom.operations.judged import count_looks, judged
from darkroom.operations.must_pass import must_pass_content
from darkroom.operations.operating_points import point_content
from darkroom.operations.papers import Papers
from darkroom.operations.run_tasks import common_task
from darkroom.operations.run_weights import LIBRARIES
from darkroom.operations.varying import distinct_clones, same_recipe
from darkroom.records import Gate, Result, Split, Table, content_id, gate_notes, missed_gates, shown_gates
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import ClonesSummary, Evaluation, Judged

__all__ = ["EvaluateReport", "evaluate"]


COLUMNS = ("run", "seed", "accuracy", "95 % interval", "macro F1", "errors")


class EvaluateReport(Result):
    """How good one or several runs are on one split."""

    runs: tuple[RunRef, ...]
    split: str
    images: int
    figure: str = "accuracy"
    """What decides: "accuracy", "mean AP" for several labels, or "mean IoU" for segmentation."""
    columns: tuple[str, ...] = COLUMNS
    """What stands in the rows."""
    rows: tuple[tuple[str, ...], ...]
    """Run, seed, accuracy, its interval, macro F1, errors; for other tasks as `columns` says."""
    spread: str
    """Spread over the runs, in words."""
    gates: tuple[Gate, ...] = ()
    """The limits on quality, held against the val pictures."""
    looks: str = ""
    """How often these pictures of the dataset version were looked at, over all runs."""
    said: tuple[str, ...] = ()
    """How the runs stand to people, at their operating points, and on parts of the pictures, in words."""
    gained: tuple[str, ...] = ()
    """What changed since the evaluation before, and what that gained, on the pictures that both saw."""
    must_pass: tuple[str, ...] = ()
    """How the runs stand to the must-pass list; every wrong picture is named."""
    missing: tuple[str, ...] = ()
    """Which documents were not written, and why."""
    taken_back: tuple[str, ...] = ()
    """What had been handed over of these runs and was removed, as a limit is missed."""
    path: Produced
    """The page."""
    docx: Produced = ""
    """The same as .docx; empty where python-docx is not installed."""
    pdf: Produced = ""
    """The same as PDF; empty where typst is not installed."""

    @property
    def exit_code(self) -> int:
        """7 when a limit is missed."""
        return 7 if missed_gates(self.gates) else 0

    def display(self) -> Iterator[str | Table]:
        """Yields one row per run and their spread."""
        yield Table(self.columns, self.rows, f"{self.images:,} pictures of {self.split}")
        yield self.spread
        yield self.looks
        yield from self.said
        yield from self.gained
        yield from self.must_pass
        yield from shown_gates(self.gates)
        yield from self._whose()
        if self.taken_back:
            yield spoken_taken_back(self.taken_back)
        yield f"Page: {self.path}"
        yield from Papers(self.docx, self.pdf, self.missing).words

    def notes(self) -> Iterator[str]:
        """Yields what decides for each run with its interval, and their spread."""
        for run, _, value, interval, *_ in self.rows:
            yield f"{run}: {self.figure} {value} {interval} on {self.images:,} pictures of {self.split}"
        if len(self.runs) > 1:
            yield self.spread
        yield self.looks
        yield from self.said
        yield from self.gained
        yield from self.must_pass
        yield from gate_notes(self.gates)
        yield from self.missing
        yield from self._whose()
        if self.taken_back:
            yield spoken_taken_back(self.taken_back)

    def _whose(self) -> Iterator[str]:
        """Yields whose figures the verdicts rest on, where that is no single run."""
        if any(gate.subject not in self.runs for gate in self.gates if gate.value is not None):
            yield (
                f"These verdicts are on the mean of {', '.join(self.runs)}. `darkroom brief check` shows "
                "the one run that the bundle is made of, so its figures are others."
            )


def _shown(workspace: Workspace, *, runs: tuple[str, ...] = (), **_: Any) -> Mapping[str, str]:
    """Returns what the page shows: of the brief limits, costs and how good people are; operating points."""
    brief = workspace.project.brief
    words = {
        "brief.human_baseline": brief.human_baseline,
        "brief.mistakes": brief.mistakes or None,
        "brief.not_sure_cost": brief.not_sure_cost,
    }
    shown = {name: content_id(value) for name, value in words.items() if value is not None}
    listed = must_pass_content(workspace)
    return {**quality_content(workspace), **shown, **point_content(workspace, runs), **listed}


@operation("model.evaluate", slow=True, stage=7, inputs=_shown, libraries=LIBRARIES)
def evaluate(workspace: Workspace, *, runs: tuple[RunRef, ...], split: Split = "test") -> EvaluateReport:
    """Say how good runs are on pictures that they have not seen, with intervals.

    Answers that are kept are judged anew and not asked for again, while weights and libraries are the same:
    that is no look at the pictures.

    The limits on quality in [brief.limits] are held against the val pictures, whatever split is asked
    about, so that nothing is tuned on test. A missed one ends with exit code 7 after everything is written.

    Args:
        runs: the runs; several clones are shown with their spread.
        split: the pictures to ask about.
    """
    from darkroom.operations.deliverables import deliver_evaluation

    _refuse_none(runs)
    task = common_task(workspace, runs)
    if task == "segmentation":
        from darkroom.operations.mask_evaluation import evaluate_mask_runs

        return evaluate_mask_runs(workspace, runs, split)
    if task == "multi-label":
        from darkroom.operations.label_set_evaluation import evaluate_label_set_runs

        return evaluate_label_set_runs(workspace, runs, split)
    for name in runs:  # before anything is looked at
        check_names(workspace, workspace.catalogue.runs.get(name).dataset)
    found = [judged(workspace, name, split) for name in runs]
    evaluations = [one.evaluation for one in found]
    alike = same_recipe(workspace, runs)
    distinct = distinct_clones(workspace, runs)
    clones = _spread(found, [name in distinct.runs for name in runs], alike=alike)
    gates = hold_quality(workspace, runs)
    dataset = workspace.catalogue.runs.get(runs[0]).dataset
    bad = missed_gates(gates) and handed_over_run(workspace) in runs
    looks = f"{split} of {dataset} was looked at {count_looks(workspace, dataset, split).words}."
    beside = follow_up(workspace, runs, found, split)
    path, papers = deliver_evaluation(
        workspace, evaluations, clones, gates=gates, looks=looks, more=beside.sections
    )
    return EvaluateReport(
        runs=runs,
        split=split,
        images=evaluations[0].figures.count,
        rows=tuple(_row(one) for one in evaluations),
        spread=_spoken_spread(clones, alike=alike),
        gates=gates,
        looks=looks,
        said=(*distinct.notes(), *_said(workspace, evaluations)),
        gained=beside.gained,
        must_pass=beside.must_pass,
        taken_back=take_back(workspace) if bad else (),
        missing=papers.missing,
        path=path,
        docx=papers.docx,
        pdf=papers.pdf,
    )


def _said(workspace: Workspace, evaluations: Sequence[Evaluation]) -> Iterator[str]:
    human = workspace.project.brief.human_baseline
    for one in evaluations:
        yield from spoken_findings(one, human)


def _spread(found: Sequence[Judged], counts: Sequence[bool], *, alike: bool) -> ClonesSummary:
    """Returns the spread over those runs that count."""
    from darkroom.evaluation import summarise

    counted = [one for one, counted in zip(found, counts, strict=True) if counted]
    clones = summarise([one.evaluation for one in counted], [one.predictions for one in counted])
    return clones.model_copy(update={"alike": alike})


def _spoken_spread(clones: ClonesSummary, *, alike: bool) -> str:
    """Returns the spread of accuracy in words; only runs of one recipe are clones."""
    accuracy, count = clones.accuracy, len(clones.runs)
    if accuracy.sd is None:
        return f"One clone, accuracy {accuracy.mean:.4f}; how much chance decides is unknown: train clones."
    differing = (
        "" if clones.churn is None else f"; two of them differ on {clones.churn:.1%} of the pictures"
    )
    if not alike:
        return (
            f"{count} runs of different recipes, accuracy from {accuracy.min:.4f} to {accuracy.max:.4f}"
            f"{differing}. Compare two of them: darkroom model compare"
        )
    return f"Accuracy over {count} clones: mean {accuracy.mean:.4f}, sd {accuracy.sd:.4f}{differing}."


def _row(evaluation: Evaluation) -> tuple[str, ...]:
    accuracy, f1 = evaluation.figures.accuracy, evaluation.figures.macro_f1
    return (
        evaluation.source.run,
        str(evaluation.source.seed),
        f"{accuracy.value:.4f}",
        f"[{accuracy.low:.4f}, {accuracy.high:.4f}]",
        f"{f1.value:.4f}",
        str(evaluation.errors),
    )


def _refuse_none(runs: Sequence[str]) -> None:
    if not runs:
        raise InvalidConfig(
            "evaluate.no-runs",
            "model.evaluate needs at least one run. Received: none.",
            do="List the runs, and name one: darkroom model list",
        )
