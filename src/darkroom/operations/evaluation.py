"""Operations that judge models: evaluate on a split, compare two runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from darkroom.errors import InvalidConfig
from darkroom.operation import Produced, RunRef, operation
from darkroom.operations.findings import spoken_findings
from darkroom.operations.gates import check_names, hold_quality, quality_content, same_recipe
from darkroom.operations.handed_over import handed_over_run, spoken_taken_back, take_back
from darkroom.operations.judged import count_looks, judged
from darkroom.operations.mask_judged import refuse_mixed_tasks
from darkroom.operations.operating_points import point_content
from darkroom.operations.papers import Papers
from darkroom.operations.run_weights import LIBRARIES
from darkroom.records import Gate, Result, Split, Table, content_id, gate_notes, missed_gates, shown_gates
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import ClonesSummary, Evaluation

__all__ = ["compare", "evaluate"]


COLUMNS = ("run", "seed", "accuracy", "95 % interval", "macro F1", "errors")


class EvaluateReport(Result):
    """How good one or several runs are on one split."""

    runs: tuple[RunRef, ...]
    split: str
    images: int
    figure: str = "accuracy"
    """What decides: "accuracy", or "mean IoU" for segmentation."""
    columns: tuple[str, ...] = COLUMNS
    """What stands in the rows."""
    rows: tuple[tuple[str, ...], ...]
    """Run, seed, accuracy, its interval, macro F1, errors; for segmentation as `columns` says."""
    spread: str
    """Spread over the runs, in words."""
    gates: tuple[Gate, ...] = ()
    """The limits on quality, held against the val pictures."""
    looks: str = ""
    """How often these pictures of the dataset version were looked at, over all runs."""
    said: tuple[str, ...] = ()
    """How the runs stand to people, at their operating points, and on parts of the pictures, in words."""
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
    return {**quality_content(workspace), **shown, **point_content(workspace, runs)}


class CompareReport(Result):
    """Two runs on the same pictures."""

    first: RunRef
    second: RunRef
    verdict: str
    """"better", "worse" or "no difference shown", of the first against the second."""
    figure: str = "accuracy"
    """What the difference is of: "accuracy", or "mean IoU" for segmentation."""
    difference: str
    """That of the first minus that of the second, with its interval."""
    only_first_right: int
    """For segmentation: pictures that it answers with a larger IoU."""
    only_second_right: int
    churn: float
    """Share of pictures with different answers; for segmentation of pixels."""

    def display(self) -> Iterator[str | Table]:
        """Yields the verdict in words."""
        yield (
            f"{self.first} against {self.second}: {self.verdict}; {self.figure} differs by "
            f"{self.difference}"
        )
        if self.figure != "accuracy":
            yield (
                f"{self.first} is closer on {self.only_first_right} pictures, {self.second} on "
                f"{self.only_second_right}; {self.churn:.1%} of the pixels differ."
            )
            return
        yield (
            f"Only {self.first} is right {self.only_first_right} times, only {self.second} "
            f"{self.only_second_right} times; {self.churn:.1%} of the answers differ."
        )


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
    from darkroom.evaluation import summarise
    from darkroom.operations.deliverables import deliver_evaluation

    if not runs:
        raise InvalidConfig("evaluate.no-runs", "model.evaluate needs at least one run. Received: none.")
    if refuse_mixed_tasks(workspace, runs):
        from darkroom.operations.mask_evaluation import evaluate_mask_runs

        return evaluate_mask_runs(workspace, runs, split)
    for name in runs:  # before anything is looked at
        check_names(workspace, workspace.catalogue.runs.get(name).dataset)
    found = [judged(workspace, name, split) for name in runs]
    evaluations = [one.evaluation for one in found]
    clones = summarise(evaluations, [one.predictions for one in found])
    gates = hold_quality(workspace, runs)
    dataset = workspace.catalogue.runs.get(runs[0]).dataset
    bad = missed_gates(gates) and handed_over_run(workspace) in runs
    looks = f"{split} of {dataset} was looked at {count_looks(workspace, dataset, split).words}."
    path, papers = deliver_evaluation(workspace, evaluations, clones, gates=gates, looks=looks)
    human = workspace.project.brief.human_baseline
    return EvaluateReport(
        runs=runs,
        split=split,
        images=evaluations[0].figures.count,
        rows=tuple(_row(one) for one in evaluations),
        spread=_spoken_spread(clones, alike=same_recipe(workspace, runs)),
        gates=gates,
        looks=looks,
        said=tuple(line for one in evaluations for line in spoken_findings(one, human)),
        taken_back=take_back(workspace) if bad else (),
        missing=papers.missing,
        path=path,
        docx=papers.docx,
        pdf=papers.pdf,
    )


@operation("model.compare", slow=True, stage=7, libraries=LIBRARIES)
def compare(workspace: Workspace, *, first: RunRef, second: RunRef, split: Split = "val") -> CompareReport:
    """Compare two runs picture by picture; "better" needs evidence.

    Args:
        first: the run in question.
        second: the run that it is held against.
        split: the pictures to ask about.
    """
    from darkroom.evaluation import compare as compared

    if refuse_mixed_tasks(workspace, (first, second)):
        from darkroom.operations.mask_evaluation import compare_mask_runs

        return compare_mask_runs(workspace, first, second, split)
    found = compared(*(judged(workspace, name, split).predictions for name in (first, second)))
    low, high = found.difference.low, found.difference.high
    return CompareReport(
        first=first,
        second=second,
        verdict=found.verdict,
        difference=f"{found.difference.value:+.4f} [{low:+.4f}, {high:+.4f}]",
        only_first_right=found.only_first_right,
        only_second_right=found.only_second_right,
        churn=found.churn,
    )


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
