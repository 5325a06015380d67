"""Operations on models: training, clones, the list of runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from darkroom.errors import NotFound
from darkroom.operation import DatasetRef, Produced, RunRef, operation
from darkroom.operations.forgotten import spoken_marks
from darkroom.operations.gates import check_names, hold_quality, quality_content
from darkroom.operations.judged import kept
from darkroom.operations.label_set_judged import kept_label_sets
from darkroom.operations.mask_judged import kept_masks
from darkroom.operations.run_costs import remarks, shown_costs, spoken_plan, took
from darkroom.operations.run_making import run_for
from darkroom.operations.run_tasks import deciding_figure
from darkroom.operations.run_weights import LIBRARIES
from darkroom.operations.spreads import spread_row, val_spreads
from darkroom.operations.starting import starting_inputs
from darkroom.operations.varying import refuse_idle, spoken_kept
from darkroom.records import (
    FrozenMap,
    Gate,
    Interval,
    Result,
    Run,
    Spread,
    Table,
    gate_notes,
    shown_gates,
)
from darkroom.training import Augment, Recipe
from darkroom.training.chance import Source
from darkroom.workspace import Workspace

__all__ = ["clone", "list_runs", "preview", "train"]

StartEpoch = Annotated[int, Field(ge=0, le=10_000)]
Processes = Annotated[int, Field(ge=0, le=64)]


class TrainReport(Result):
    """One training."""

    run: RunRef
    """The run."""
    reused: bool
    """Whether a finished run with the same dataset, recipe, seed and libraries was there already."""
    best_epoch: int
    val_accuracy: float | None
    """For segmentation: share of right pixels; for several labels, of pictures with all labels right."""
    val_mean_ap: float | None = None
    """For several labels: mean average precision."""
    val_miou: float | None = None
    """For segmentation: mean IoU."""
    interval: Interval | None = None
    """Validation accuracy with its interval."""
    val_loss: float | None
    gates: tuple[Gate, ...] = ()
    """The limits on quality, held against the val pictures; a miss does not stop a training."""
    took: tuple[tuple[str, ...], ...] = ()
    """Run; time, memory and disk, each foreseen from the first batches and measured."""
    remarks: tuple[str, ...] = ()
    """What about the recipe a person should know."""
    path: Produced
    """The deliverable."""

    def display(self) -> Iterator[str | Table]:
        """Yields the outcome."""
        accuracy = "—" if self.val_accuracy is None else str(self.interval or self.val_accuracy)
        again = " (was there already; --again trains anew)" if self.reused else ""
        if self.val_miou is not None:
            accuracy = f"{self.val_accuracy:.4f} of pixels, mean IoU {self.val_miou:.4f}"
        if self.val_mean_ap is not None:
            accuracy = f"{accuracy} (all labels right), mean AP {self.val_mean_ap:.4f}"
        yield f"{self.run}: best epoch {self.best_epoch}, validation accuracy {accuracy}{again}"
        yield from shown_costs(self.took)
        yield from shown_gates(self.gates)
        yield f"Page: {self.path}"

    def notes(self) -> Iterable[str]:
        """Yields the limits that do not pass, and what should be known about the recipe."""
        yield from gate_notes(self.gates)
        yield from self.remarks


class CloneReport(Result):
    """Several trainings that differ by chance alone."""

    runs: tuple[RunRef, ...]
    """The runs, in the order of their seeds."""
    rows: tuple[tuple[str, ...], ...]
    """Run, seed, best epoch, validation accuracy; for several labels mean AP, for segmentation mean IoU."""
    figure: str = "accuracy"
    """What of the validation pictures the rows and the spread show: "accuracy" or "mean IoU"."""
    spread: str
    """Mean and standard deviation over the clones, in words."""
    figures: FrozenMap[str, Spread] = {}
    """Each figure of the validation pictures over the clones: mean, sd, min, max, interval of the mean."""
    varied: str = ""
    """What chance decided anew in each clone, and what was the same for all, in words."""
    gates: tuple[Gate, ...] = ()
    """The limits on quality, held against the val pictures: each clone's, and those of their mean."""
    took: tuple[tuple[str, ...], ...] = ()
    """Run; time, memory and disk, each foreseen from the first batches and measured."""
    decided: tuple[str, ...] = ()
    """How the clones were trained where that was open, and why, in words."""
    remarks: tuple[str, ...] = ()
    """What about the recipe a person should know."""
    path: Produced
    """The deliverable."""

    def display(self) -> Iterator[str | Table]:
        """Yields one row per clone and their spread."""
        yield Table(("run", "seed", "best epoch", f"val {self.figure}"), self.rows)
        if len(self.runs) > 1 and self.figures:
            columns = ("validation", "mean", "sd", "min", "max", "95 % interval of the mean")
            yield Table(columns, tuple(spread_row(name, one) for name, one in self.figures.items()))
        yield self.spread
        yield self.varied
        yield from shown_costs(self.took)
        yield from self.decided
        yield from shown_gates(self.gates)
        yield f"Page: {self.path}"

    def notes(self) -> Iterable[str]:
        """Yields the limits that do not pass, and what should be known about the recipe."""
        yield from gate_notes(self.gates)
        yield from self.remarks


class RunsReport(Result):
    """The runs of a project."""

    rows: tuple[tuple[str, ...], ...]
    figure: str = ""
    """What all of them show of the validation pictures: "accuracy", "mean AP" or "mean IoU"; empty where
    they show different ones, and each row says its own."""
    marked: tuple[str, ...] = ()
    """Which runs were trained on a picture that was forgotten since, in words."""

    def display(self) -> Iterator[str | Table]:
        """Yields the table."""
        columns = ("run", "state", "dataset", "network", "seed", f"val {self.figure or 'figure'}", "when")
        named = f"{self.figure} "
        rows = tuple((*row[:5], row[5].removeprefix(named), *row[6:]) for row in self.rows)
        yield Table(columns, rows)
        yield from self.marked


def _read_by_training(workspace: Workspace, *, recipe: Recipe, **values: Any) -> Mapping[str, str]:
    start = starting_inputs(workspace, recipe.network, recipe.network_file, recipe.weights)
    return {**quality_content(workspace, recipe=recipe, **values), **start}


@operation(
    "model.train",
    version=1,
    slow=True,
    stage=6,
    inputs=_read_by_training,
    libraries=LIBRARIES,
    indifferent=("processes",),
)
def train(
    workspace: Workspace,
    *,
    dataset: DatasetRef,
    recipe: Recipe = Recipe(),
    seed: int = 0,
    again: bool = False,
    start_from: RunRef | None = None,
    start_epoch: StartEpoch = 0,
    processes: Processes = 1,
) -> TrainReport:
    """Train a network once.

    The same dataset, recipe, seed and libraries give the same run: a finished one is taken as it is,
    one that was stopped goes on from its last epoch.

    Args:
        dataset: the dataset version to train on.
        recipe: how to train.
        seed: decides initialisation, order and augmentation.
        again: train anew although such a run is there.
        start_from: the run whose weights it begins with, its last layer too where the classes are equal.
        start_epoch: the snapshot of that run; 0 for its best epoch.
        processes: train in so many processes that share every batch, each with a GPU of its own; 0 takes
            one per GPU. The result is that of one but for how sums are rounded.
    """
    from darkroom.operations.deliverables import deliver_training

    check_names(workspace, dataset)
    start = {"start_from": start_from, "start_epoch": start_epoch}
    run, reused = run_for(workspace, dataset, recipe, seed, again=again, processes=processes, **start)
    gates = hold_quality(workspace, (run.id,))
    path = deliver_training(workspace, [run], gates)
    return TrainReport(
        run=run.id,
        reused=reused,
        best_epoch=int(run.metrics["best_epoch"]),
        val_accuracy=run.metrics.get("val.accuracy"),
        val_mean_ap=run.metrics.get("val.mean_ap"),
        val_miou=run.metrics.get("val.miou"),
        interval=_interval(workspace, run),
        val_loss=run.metrics.get("val.loss"),
        gates=gates,
        took=took([run]),
        remarks=remarks(recipe, [run]),
        path=path,
    )


@operation(
    "model.clone",
    version=1,
    slow=True,
    stage=6,
    inputs=_read_by_training,
    libraries=LIBRARIES,
    indifferent=("side_by_side", "processes"),
    later=("vary",),
)
def clone(
    workspace: Workspace,
    *,
    dataset: DatasetRef,
    recipe: Recipe = Recipe(),
    times: Annotated[int, Field(ge=1, le=1000)] = 3,
    seed: int = 0,
    start_from: RunRef | None = None,
    start_epoch: StartEpoch = 0,
    side_by_side: Literal["auto", "yes", "no"] = "auto",
    processes: Processes = 1,
    vary: tuple[Source, ...] | None = None,
) -> CloneReport:
    """Train several clones that differ by chance alone, to see how much it decides.

    Args:
        dataset: the dataset version to train on.
        recipe: how to train each clone.
        times: how many clones.
        seed: seed of the first clone; the next ones count on from it.
        start_from: the run whose weights each clone begins with.
        start_epoch: the snapshot of that run; 0 for its best epoch.
        side_by_side: train several at a time, each in a process of its own. auto: where a few timed batches
            say that all together take less than 1 / 1.2 of the time; never on a GPU. The last bits of the
            weights depend on the number of threads.
        processes: train each clone in so many processes, as model.train does, one clone after the other.
        vary: what chance decides anew in each clone, of initialisation, order, augmentation, dropout and
            split; the rest is the same for all to the bit, as the first seed has it. split shares train and
            val out anew and leaves test alone. Left out: all but the split.
    """
    from darkroom.operations.clones import Series, train_clones
    from darkroom.operations.deliverables import deliver_training

    check_names(workspace, dataset)
    seeds = tuple(seed + number for number in range(times))
    idle = refuse_idle(recipe, vary, times) if vary is not None else ()
    series = Series(dataset, recipe, seeds, start_from, start_epoch, vary, processes)
    runs, plan = train_clones(workspace, series, side_by_side)
    gates = hold_quality(workspace, [run.id for run in runs])
    by, figure = deciding_figure({name: value for run in runs for name, value in run.metrics.items()})
    figures = val_spreads(runs)
    return CloneReport(
        runs=tuple(run.id for run in runs),
        rows=tuple(
            (run.id, str(run.seed), f"{run.metrics['best_epoch']:.0f}", _figure(workspace, run, by))
            for run in runs
        ),
        figure=figure,
        spread=_spoken_spread(figures[by], figure) if by in figures else "No validation pictures.",
        figures=figures,
        varied=spoken_kept(vary) if times > 1 else "",
        gates=gates,
        took=took(runs),
        decided=spoken_plan(plan),
        remarks=(*remarks(recipe, runs), *idle),
        path=deliver_training(workspace, runs, gates),
    )


@operation("model.list")
def list_runs(workspace: Workspace, *, dataset: DatasetRef | None = None) -> RunsReport:
    """List the runs of the project.

    Args:
        dataset: only those trained on this dataset version.
    """
    runs = workspace.catalogue.runs.list(dataset=dataset)
    figures = {
        figure for run in runs for by, figure in (deciding_figure(run.metrics),) if by in run.metrics
    }
    return RunsReport(
        rows=tuple(
            (
                run.id,
                run.state,
                run.dataset,
                run.network,
                str(run.seed),
                _listed(workspace, run, mixed=len(figures) > 1),
                run.created_at.strftime("%Y-%m-%d %H:%M"),
            )
            for run in runs
        ),
        figure="" if len(figures) > 1 else next(iter(figures), "accuracy"),
        marked=spoken_marks(workspace, "run"),
    )


class PreviewReport(Result):
    """A picture of what augmentation does."""

    path: Produced

    def display(self) -> Iterator[str | Table]:
        """Yields where the picture is."""
        yield f"Each picture as it is, then as training sees it: {self.path}"


@operation("model.preview", stage=6, libraries=LIBRARIES)
def preview(
    workspace: Workspace, *, dataset: DatasetRef, augment: Augment = Augment(), seed: int = 0
) -> PreviewReport:
    """Draw what augmentation makes of some training pictures.

    Args:
        dataset: the dataset version.
        augment: the changes to draw.
        seed: which random changes.
    """
    from darkroom.operations.deliverables import deliver_preview

    version = workspace.catalogue.datasets.get(dataset)
    return PreviewReport(path=deliver_preview(workspace, version, augment, seed))


def _listed(workspace: Workspace, run: Run, *, mixed: bool = False) -> str:
    """Returns the val figure that decides: accuracy, mean AP of several labels, mean IoU of masks.

    Accuracy is only called by its name beside other figures.
    """
    by, figure = deciding_figure(run.metrics)
    found = _figure(workspace, run, by)
    return found if by not in run.metrics or (figure == "accuracy" and not mixed) else f"{figure} {found}"


def _figure(workspace: Workspace, run: Run, by: str = "val.accuracy") -> str:
    """Returns a validation figure in words; with its interval where it is known."""
    value = run.metrics.get(by)
    interval = _interval(workspace, run) if by == "val.accuracy" else None
    if by == "val.miou" and (found := kept_masks(workspace, run.id, "val")) is not None:
        interval = found.evaluation.figures.miou
    if by == "val.mean_ap" and (sets := kept_label_sets(workspace, run.id, "val")) is not None:
        interval = sets.evaluation.figures.mean_ap
    return "—" if value is None else str(interval or f"{value:.4f}")


def _interval(workspace: Workspace, run: Run) -> Interval | None:
    """Returns a run's validation accuracy with its interval, if its dataset is known.

    Where its answers are kept the interval is the one that verdicts rest on; else Wilson's of the share.
    """
    from darkroom.statistics import wilson

    if "val.miou" in run.metrics:
        return None  # pixels of one picture go together: a share of them says nothing of an interval
    found = None if "val.mean_ap" in run.metrics else kept(workspace, run.id, "val")
    if found is not None:
        return found.evaluation.figures.accuracy
    value, count = run.metrics.get("val.accuracy"), _val_count(workspace, run.dataset)
    return wilson(value * count, count) if value is not None and count else None


def _val_count(workspace: Workspace, dataset: str) -> int:
    try:
        return workspace.catalogue.datasets.get(dataset).counts.get("val", 0)
    except NotFound:
        return 0


def _spoken_spread(found, figure: str = "accuracy") -> str:
    if found.sd is None:
        return f"Validation {figure} {found.mean:.4f} of one clone; its spread is unknown."
    return (
        f"Validation {figure} over {len(found.values)} clones: mean {found.mean:.4f}, sd {found.sd:.4f}, "
        f"from {found.min:.4f} to {found.max:.4f}."
    )
