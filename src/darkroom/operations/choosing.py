"""Choose one run by a validation figure; a test figure is refused, and why is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from darkroom.errors import InvalidConfig, NotFound, nearest
from darkroom.operation import DatasetRef, RunRef, operation
from darkroom.operations.run_facts import Figures, figures_of, smaller_is_better
from darkroom.operations.run_pictures import split_seed_of
from darkroom.records import Interval, Result, Run, Table
from darkroom.workspace import Workspace

__all__ = ["SelectReport", "select", "spoken_figure"]


class SelectReport(Result):
    """The run that was chosen."""

    run: RunRef
    by: str
    rows: tuple[tuple[str, ...], ...]
    """Run and figure, best first."""
    remarks: tuple[str, ...] = ()
    """What whoever reads the choice must know."""

    def display(self) -> Iterator[str | Table]:
        """Yields the choice."""
        yield Table(("run", self.by), self.rows)
        yield f"Chosen: {self.run}, by {self.by}. The test pictures had no say."

    def notes(self) -> Iterator[str]:
        """Yields what must be known about the choice."""
        yield from self.remarks


@operation("model.select", stage=6, later=("dataset",))
def select(
    workspace: Workspace,
    *,
    runs: tuple[RunRef, ...] = (),
    by: str = "val.accuracy",
    dataset: DatasetRef | None = None,
) -> SelectReport:
    """Choose one run by a validation figure; never by a test figure.

    Args:
        runs: the runs to choose from; left out, all finished ones of the dataset.
        by: the figure, such as val.accuracy, val.loss, val.mean_ap (for several labels), val.miou (for
            segmentation), val.macro_f1 or val.recall.CLASS; of equal ones the smaller loss wins, then the
            earlier run.
        dataset: where no runs are named: only those on this dataset version.
    """
    _refuse_test(by)
    found = _asked(workspace, runs, dataset)
    known = {run.id: figures_of(workspace, run) for run in found}
    _refuse_unknown(by, known)

    def rank(run: Run) -> tuple[float, float, float]:
        return tuple(_rank(name, known[run.id].get(name)) for name in (by, "val.loss", "val.accuracy"))  # type: ignore[return-value]

    ranked = sorted(found, key=rank)
    return SelectReport(
        run=ranked[0].id,
        by=by,
        rows=tuple((run.id, spoken_figure(known[run.id].get(by))) for run in ranked),
        remarks=_remarks(workspace, found),
    )


def spoken_figure(figure: Interval | None) -> str:
    """Returns a figure in words, with its interval where it has one."""
    if figure is None:
        return "—"
    if figure.method:
        return str(figure)
    return f"{figure.value:.4f}" if abs(figure.value) < 1000 else f"{figure.value:,.0f}"


def _rank(name: str, figure: Interval | None) -> float:
    """Returns a number that is the smaller the better a figure is; a missing one comes last."""
    if figure is None:
        return float("inf")
    return figure.value if smaller_is_better(name) else -figure.value


def _asked(workspace: Workspace, runs: Sequence[str], dataset: str | None) -> list[Run]:
    if runs:
        return [workspace.catalogue.runs.get(name) for name in runs]
    found = workspace.catalogue.runs.list(dataset=dataset, state="finished")
    datasets = sorted({run.dataset for run in found})
    if not found:
        raise InvalidConfig(
            "select.no-runs",
            "There is no finished run to choose from.",
            do="Train one: darkroom model train",
        )
    if len(datasets) > 1:
        raise InvalidConfig(
            "select.several-datasets",
            "The finished runs are on several dataset versions: {datasets}. Their val pictures differ, so "
            "no figure chooses between them.",
            do="Name one: darkroom model select --dataset {newest}",
            datasets=", ".join(datasets),
            newest=datasets[-1],
        )
    return found


def _refuse_test(by: str) -> None:
    split = by.partition(".")[0]
    if split in ("test", "field", "must-pass"):
        raise InvalidConfig(
            "select.by-test",
            "No run is chosen by {by}. The {split} pictures are there to say once how good the chosen run "
            "is: the best of several on them is partly the luckiest; its figure would promise too much.",
            do="Choose by val, then ask about {split} once: darkroom model select --by val.accuracy",
            by=by,
            split=split,
        )


def _refuse_unknown(by: str, known: dict[str, Figures]) -> None:
    names = sorted({name for of_run in known.values() for name in of_run if name.startswith("val.")})
    if not by.startswith("val."):
        raise InvalidConfig(
            "select.not-val",
            "A run is chosen by a figure of the val pictures. Received: {by}.{meant}",
            do="For example: darkroom model select --by val.accuracy",
            by=by,
            meant=nearest(f"val.{by}", names),
        )
    if by not in names:
        raise NotFound(
            "select.unknown-figure",
            "None of these runs has a figure {by}.{meant} Known: {known}.",
            do="Figures of classes are there once a run was asked: darkroom model evaluate --split val",
            by=by,
            meant=nearest(by, names),
            known=", ".join(name for name in names if name.count(".") == 1) or "none",
        )


def _remarks(workspace: Workspace, runs: Sequence[Run]) -> tuple[str, ...]:
    own = [run.id for run in runs if split_seed_of(workspace, run.id) is not None]
    if not own or len(runs) < 2:
        return ()
    listed = ", ".join(own[:5]) + ("" if len(own) <= 5 else f" and {len(own) - 5} more")
    return (
        f"{listed}: trained with a split of its own, so its val pictures are others. Between runs with "
        "different val pictures the choice is partly one of easier pictures.",
    )
