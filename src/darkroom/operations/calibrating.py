"""Choose a run's operating point on validation pictures: `darkroom model calibrate`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from darkroom.errors import InvalidConfig
from darkroom.operation import RunRef, operation
from darkroom.operations.run_tasks import common_task, task_of
from darkroom.operations.run_weights import LIBRARIES
from darkroom.records import OperatingPoint, Result, Table, Task, content_id
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.evaluation import Evaluation

__all__ = ["CalibrateReport", "calibrate"]

COLUMNS = (
    *("run", "temperature", "ECE before", "ECE after", "answered"),
    *("right of these", "cost if all answered", "cost"),
)


class CalibrateReport(Result):
    """The operating points of one or several runs."""

    runs: tuple[RunRef, ...]
    rows: tuple[tuple[str, ...], ...]
    """Run, temperature, calibration error before and after, coverage, accuracy of what was answered, cost
    before and after; of several labels as `columns` says."""
    columns: tuple[str, ...] = COLUMNS
    """What stands in the rows."""
    thresholds: tuple[tuple[str, ...], ...] = ()
    """Run, class, threshold, answered, right, not sure; of several labels as `threshold_columns` says."""
    threshold_columns: tuple[str, ...] = ("run", "class", "sure from", "answered", "right", "not sure")
    """What stands in the rows of the thresholds."""
    words: tuple[str, ...] = ()
    """What should be known of how they were chosen."""

    def display(self) -> Iterator[str | Table]:
        """Yields a row per run, their thresholds, and what should be known."""
        title = "On val, where it was chosen; evaluate says how it does on other pictures"
        yield Table(self.columns, self.rows, title)
        if self.thresholds:
            yield Table(self.threshold_columns, self.thresholds)
        yield from self.words
        yield f"Evaluate again to see it on test: darkroom model evaluate --runs {','.join(self.runs)}"

    def notes(self) -> Iterator[str]:
        """Yields what should be known."""
        yield from self.words


def _read(workspace: Workspace, **_: Any) -> Mapping[str, str]:
    """Returns what of the brief decides an operating point."""
    brief = workspace.project.brief
    if not brief.mistakes:
        return {}
    found = {"brief.mistakes": content_id(brief.mistakes)}
    if brief.not_sure_cost is not None:
        found["brief.not_sure_cost"] = content_id(brief.not_sure_cost)
    return found


@operation("model.calibrate", slow=True, stage=7, inputs=_read, libraries=LIBRARIES)
def calibrate(workspace: Workspace, *, runs: tuple[RunRef, ...]) -> CalibrateReport:
    """Choose temperature and thresholds of runs on val, and keep them in their model cards.

    The temperature makes probabilities mean what they say. Thresholds say from which probability on an
    answer counts, and below is "not sure"; they are chosen where [brief] says what mistakes and
    `not_sure_cost` cost. Evaluation, `predict` and the next bundle use them. Test pictures have no say.

    Where a picture may have several labels, a threshold for each is chosen at which its F1 is largest.

    Args:
        runs: the runs; each gets its own.
    """
    if not runs:
        raise InvalidConfig(
            "calibrate.no-runs",
            "model.calibrate needs at least one run. Received: none.",
            do="List the runs: darkroom model list",
        )
    tasks: dict[str, Task] = {name: task_of(workspace, name) for name in runs}
    for name, task in tasks.items():
        _refuse_other_tasks(name, task)
    if common_task(workspace, runs) == "multi-label":
        from darkroom.operations.label_set_evaluation import calibrate_label_sets

        return calibrate_label_sets(workspace, runs)
    found = {name: _calibrated(workspace, name) for name in runs}
    words = [f"{name}: {note}" for name, (_, notes) in found.items() for note in notes]
    return CalibrateReport(
        runs=runs,
        rows=tuple(_row(one) for one, _ in found.values()),
        thresholds=tuple(row for one, _ in found.values() for row in _thresholds(one)),
        words=tuple(words),
    )


def _refuse_other_tasks(name: str, task: Task) -> None:
    if task == "segmentation":
        raise InvalidConfig(
            "calibrate.other-task",
            "An operating point is chosen for whole pictures; {run} answers {task}.",
            do="Leave this run out.",
            run=name,
            task=task,
        )


def _calibrated(workspace: Workspace, name: str) -> tuple[Evaluation, tuple[str, ...]]:
    """Chooses a run's operating point, keeps it, and looks at its answers to val again."""
    from darkroom.evaluation.operating import choose_point, prices_of
    from darkroom.operations.judged import judged
    from darkroom.operations.operating_points import keep_point

    workspace.report(f"calibrating {name}")
    one = judged(workspace, name, "val")
    classes, source = one.evaluation.labels, one.evaluation.source
    chosen = choose_point(
        one.predictions.labels,
        one.predictions.probabilities,
        classes,
        prices_of(workspace.project.brief, classes),
        chosen_on=f"val of {source.dataset}",
    )
    keep_point(workspace, name, chosen.point)
    return judged(workspace, name, "val").evaluation, chosen.notes


def _row(one: Evaluation) -> tuple[str, ...]:
    calibration, operating = one.calibration, one.operating
    assert calibration is not None  # `at_point` measures both
    assert operating is not None
    after = calibration.after or calibration.before
    cost = operating.expected_cost
    return (
        one.source.run,
        f"{operating.point.temperature:.4g}",
        f"{calibration.before.ece_equal_mass.value:.4f}",
        f"{after.ece_equal_mass.value:.4f}",
        f"{operating.coverage.value:.4f}",
        "—" if operating.accuracy_of_answered is None else f"{operating.accuracy_of_answered.value:.4f}",
        "—" if operating.cost_if_all_answered is None else f"{operating.cost_if_all_answered.value:.4f}",
        "—" if cost is None else f"{cost.value:.4f}",
    )


def _thresholds(one: Evaluation) -> Iterator[tuple[str, ...]]:
    if one.operating is None or one.operating.point.thresholds == OperatingPoint().thresholds:
        return
    for row in one.operating.classes:
        threshold = (
            "always" if not row.threshold else "never" if row.threshold > 1 else f"{row.threshold:.4f}"
        )
        yield (
            one.source.run,
            row.label,
            threshold,
            f"{row.answered:,}",
            f"{row.right:,}",
            f"{row.not_sure:,}",
        )
