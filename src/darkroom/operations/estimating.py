"""Operation that says before a training what it will take: time, memory, disk, from a few timed batches."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from darkroom.operation import DatasetRef, RunRef, operation
from darkroom.operations.run_weights import LIBRARIES
from darkroom.records import Fact, FrozenMap, Result, Table
from darkroom.records.numbers import counted
from darkroom.training import Recipe
from darkroom.training.plan import ClonesChoice, Plan
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.operations.preparing import Preparation
    from darkroom.operations.run_making import Wanted
    from darkroom.training.timing import Timing

__all__ = ["Amount", "EstimateReport", "estimate"]


class Amount(Fact):
    """A figure with the range that the timed batches show."""

    value: float
    low: float
    high: float
    basis: str
    """What it rests on, in words."""


class EstimateReport(Result):
    """What a training will take, before it."""

    dataset: DatasetRef
    network: str
    epochs: int
    clones: int
    """Those that are not finished yet."""
    finished: int
    """Those that are, and take nothing."""
    batch_s: tuple[float, ...]
    """The timed batches."""
    threads: int
    device: str
    precision: str
    prepare_s: Amount
    """Once, before the first epoch of the first clone: rendering and features that are not there yet."""
    epoch_s: Amount
    training_s: Amount
    all_s: Amount
    """All clones that are not finished, with what is done before them."""
    memory_bytes: Amount
    """Of all processes at the same time."""
    device_bytes: Amount | None
    """On a cuda device."""
    disk_bytes: Amount
    """Of all clones, with what is made before them."""
    disk_by_kind: FrozenMap[str, int]
    """What one run needs, by kind."""
    processes: int
    """Clones at a time."""
    decided: tuple[str, ...]
    """What was decided where that was open, and why, in words."""

    def display(self) -> Iterator[str | Table]:
        """Yields one row per figure, with its range and what it rests on."""
        from darkroom.documents import wording

        of_size, of_time = wording.size, wording.duration
        figures = [
            ("before training", self.prepare_s, of_time),
            ("an epoch", self.epoch_s, of_time),
            ("a training", self.training_s, of_time),
            (f"clones: {self.clones}", self.all_s, of_time),
            ("memory", self.memory_bytes, of_size),
            *([("memory of the GPU", self.device_bytes, of_size)] if self.device_bytes else []),
            ("disk", self.disk_bytes, of_size),
        ]
        rows = tuple((name, say(one.value), _between(one, say), one.basis) for name, one, say in figures)
        title = f"{self.network} on {self.dataset}, {self.device}, {self.threads} threads, {self.precision}"
        yield Table(("", "estimate", "range", "from"), rows, title)
        if self.finished:
            yield f"Clones that are finished already: {self.finished}. They take nothing."
        yield from self.decided


@operation("model.estimate", slow=True, stage=6, libraries=LIBRARIES)
def estimate(
    workspace: Workspace,
    *,
    dataset: DatasetRef,
    recipe: Recipe = Recipe(),
    times: Annotated[int, Field(ge=1, le=1000)] = 3,
    seed: int = 0,
    start_from: RunRef | None = None,
    start_epoch: Annotated[int, Field(ge=0, le=10_000)] = 0,
    side_by_side: Literal["auto", "yes", "no"] = "auto",
) -> EstimateReport:
    """Say what a training and its clones will take: time, memory and disk.

    The real network is timed on a few of the real pictures: a warm-up batch, three more, and a validation
    batch. Nothing of it is kept. What else this machine does at the same time counts.

    Args:
        dataset: the dataset version.
        recipe: how to train.
        times: how many clones.
        seed: seed of the first clone.
        start_from: the run whose weights each clone begins with.
        start_epoch: the snapshot of that run; 0 for its best epoch.
        side_by_side: as in model.clone.
    """
    from darkroom.operations.clones import Series
    from darkroom.operations.preparing import prepare_timing
    from darkroom.operations.run_making import existing_run
    from darkroom.operations.starting import check_start

    series = Series(dataset, recipe, tuple(range(seed, seed + times)), start_from, start_epoch)
    wanted = series.wanted(workspace)
    check_start(wanted[0].start, recipe, wanted[0].version)
    existing = [existing_run(workspace, one) for one in wanted]
    pending = [
        one for one, run in zip(wanted, existing, strict=True) if run is None or run.state != "finished"
    ]
    timing, before = prepare_timing(workspace, wanted[0])
    clones = _choice(workspace, pending, side_by_side, timing, before)
    return _report(wanted, pending, timing, before, clones)


def _choice(
    workspace: Workspace,
    pending: Sequence[Wanted],
    asked: Literal["auto", "yes", "no"],
    timing: Timing,
    before: Preparation,
) -> ClonesChoice:
    from darkroom.operations.side_by_side import decide, refused_early, time_together

    if not pending:
        return ClonesChoice(processes=1, why="All are finished already.")
    early = refused_early(workspace, pending, asked)
    if early is None and asked == "auto" and before.rendering_s:
        why = "The dataset is not rendered yet; whether side by side is faster is measured when it is."
        return ClonesChoice(processes=1, why=why)
    choice = early or decide(workspace, pending, asked, timing)
    if choice.processes == 1 or choice.together_ms is not None or before.rendering_s:
        return choice
    together_s = time_together(workspace, pending[0], choice.processes, choice.threads, timing.choice)
    if together_s is None:
        return choice
    alone_s = statistics.median(timing.batches_s)
    return choice.model_copy(update={"alone_ms": alone_s * 1e3, "together_ms": together_s * 1e3})


def _report(
    wanted: Sequence[Wanted],
    pending: Sequence[Wanted],
    timing: Timing,
    before: Preparation,
    clones: ClonesChoice,
) -> EstimateReport:
    from darkroom.operations.run_costs import spoken_plan

    rounds = math.ceil(len(pending) / clones.processes)
    slower, how = _side_by_side(clones)
    seconds = [slower * one for one in (timing.training_s(), *map(timing.training_s, timing.batches_s))]
    prepare = before.rendering_s + before.features_s if pending else 0.0
    run_bytes = sum(timing.disk_bytes.values()) + timing.weights_bytes
    disk = len(pending) * run_bytes + (before.disk_bytes if pending else 0)
    batches = f"{len(timing.batches_s)} timed batches"
    whole = counted(timing.epochs, "epoch")
    return EstimateReport(
        dataset=wanted[0].version.ref,
        network=wanted[0].recipe.network,
        epochs=timing.epochs,
        clones=len(pending),
        finished=len(wanted) - len(pending),
        batch_s=timing.batches_s,
        threads=clones.threads if clones.processes > 1 and clones.threads else timing.threads,
        device=timing.device,
        precision=timing.precision,
        prepare_s=_amount([prepare], before.basis),
        epoch_s=_amount(
            [one / timing.epochs for one in seconds],
            f"{batches}, {timing.batches:,} in an epoch; {timing.val_count:,} validation pictures",
        ),
        training_s=_amount(seconds, f"{whole}; starting and saving not counted"),
        all_s=_amount([prepare + rounds * one for one in seconds], f"{how}, with what comes before"),
        memory_bytes=_amount(
            [clones.processes * timing.memory_bytes], "this process while timing, and all pictures loaded"
        ),
        device_bytes=_amount([timing.device_bytes], "torch's peak while timing, and all pictures loaded")
        if timing.device == "cuda"
        else None,
        disk_bytes=_amount(
            [disk], f"runs: {len(pending)}, a copy of each one's best weights, {before.made}"
        ),
        disk_by_kind=timing.disk_bytes,
        processes=clones.processes,
        decided=spoken_plan(Plan(clones=clones, precision=timing.choice)),
    )


def _side_by_side(clones: ClonesChoice) -> tuple[float, str]:
    """Returns how much longer a batch takes beside the other clones, and how they are trained, in words."""
    if clones.processes == 1:
        return 1.0, "one after the other"
    how = f"{clones.processes} at a time"
    if clones.together_ms is None or clones.alone_ms is None:
        return 1.0, f"{how}, as if none slowed another"
    return clones.together_ms / clones.alone_ms, how


def _amount(values: Sequence[float], basis: str) -> Amount:
    return Amount(value=values[0], low=min(values), high=max(values), basis=basis)


def _between(amount: Amount, say) -> str:
    return "" if amount.low == amount.high else f"{say(amount.low)} to {say(amount.high)}"
