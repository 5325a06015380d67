"""Train the clones of one recipe: one after the other, or several at a time in processes of the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from darkroom.engines import Failure
from darkroom.operations.processes import useful_processes
from darkroom.operations.run_making import (
    Wanted,
    card_facts,
    enrol,
    existing_run,
    own_recipe,
    run_for,
    wanted_run,
)
from darkroom.operations.scoreboard import Scoreboard
from darkroom.operations.side_by_side import choose_clones
from darkroom.operations.starting import check_start
from darkroom.operations.together import WorkerPlace, run_together
from darkroom.operations.varying import recipe_of_clone
from darkroom.records import Run
from darkroom.training import Recipe
from darkroom.training.chance import Source
from darkroom.training.plan import ClonesChoice, Plan, PrecisionChoice
from darkroom.workspace import Workspace

__all__ = ["Series", "train_clone", "train_clones"]


class Series(NamedTuple):
    """The clones of one request."""

    dataset: str
    recipe: Recipe
    seeds: tuple[int, ...]
    start_from: str | None
    start_epoch: int
    vary: tuple[Source, ...] | None = None
    """What chance decides anew in each clone; None for all but the split."""
    processes: int = 1
    """How many processes share every batch of a clone; 0 for one per GPU."""

    def recipe_of(self, seed: int) -> Recipe:
        """Returns the recipe of the clone with a seed."""
        return recipe_of_clone(self.recipe, self.vary, self.seeds[0], seed)

    def wanted(self, workspace: Workspace) -> list[Wanted]:
        """Returns what each clone means; see `wanted_run`."""
        start = {"start_from": self.start_from, "start_epoch": self.start_epoch}
        return [
            wanted_run(workspace, self.dataset, self.recipe_of(seed), seed, **start) for seed in self.seeds
        ]


def train_clones(
    workspace: Workspace, series: Series, side_by_side: Literal["auto", "yes", "no"] = "auto"
) -> tuple[list[Run], Plan]:
    """Returns the finished runs of a series, in the order of their seeds, and what was decided for all.

    Args:
        workspace: the project.
        series: what to train.
        side_by_side: whether to train several at a time.

    Raises:
        Unsupported: side by side on a device that all would share.
        Cancelled: a person stopped it; every clone goes on from its last saved epoch.
        DarkroomError: as `run_for`. One that fails among several does not stop the others.
    """
    wanted = series.wanted(workspace)
    existing = [existing_run(workspace, one) for one in wanted]
    pending = [place for place, run in enumerate(existing) if run is None or run.state != "finished"]
    kept = _kept_plan(workspace, existing)
    if not pending:
        return [run for run in existing if run is not None], kept
    check_start(wanted[pending[0]].start, series.recipe, wanted[pending[0]].version)
    together = useful_processes(wanted[pending[0]], series.processes) > 1
    plan = _plan(workspace, [wanted[place] for place in pending], kept, "no" if together else side_by_side)

    def train_here(seed: int) -> Run:
        start = {"start_from": series.start_from, "start_epoch": series.start_epoch}
        how = {"plan": plan, "processes": series.processes, **start}
        return run_for(workspace, series.dataset, series.recipe_of(seed), seed, **how)[0]

    if plan.clones is not None and plan.clones.processes > 1:
        if wanted[0].on_features:
            # The first one computes the features; several at once would wait for each other's.
            train_here(series.seeds[pending.pop(0)])
        if len(pending) > 1:
            # Here, so that their ids follow their seeds.
            runs = {place: existing[place] or enrol(workspace, wanted[place]) for place in pending}
            trained = {run.id: wanted[place] for place, run in runs.items()}
            _side_by_side(workspace, trained, plan, plan.clones.processes)
    return [train_here(seed) for seed in series.seeds], plan


def train_clone(
    place: WorkerPlace,
    *,
    dataset: str,
    recipe: Mapping[str, Any],
    seed: int,
    start_from: str | None,
    start_epoch: int,
    plan: Mapping[str, Any],
) -> str:
    """Trains one clone in a process of the engine, and returns its run."""
    with place.entered() as (workspace, _):
        run, _ = run_for(
            workspace,
            dataset,
            Recipe.model_validate(recipe),
            seed,
            start_from=start_from,
            start_epoch=start_epoch,
            plan=Plan.model_validate(plan),
        )
        return run.id


def _plan(
    workspace: Workspace,
    pending: Sequence[Wanted],
    kept: Plan,
    side_by_side: Literal["auto", "yes", "no"],
) -> Plan:
    """Decides for all clones; what was decided when some of them were begun stays."""
    clones = kept.clones if side_by_side == "auto" else None
    if clones is None:
        clones, precision = choose_clones(workspace, pending, side_by_side, kept.precision)
        return Plan(clones=clones, precision=precision)
    precision = kept.precision
    if precision is None and pending[0].recipe.precision == "auto":
        precision = _precision(workspace, pending[0], clones)
    return Plan(clones=clones, precision=precision)


def _precision(workspace: Workspace, wanted: Wanted, clones: ClonesChoice) -> PrecisionChoice:
    from darkroom.datasets import render
    from darkroom.training.device import choose_device, default_threads, reproducible
    from darkroom.training.precision import choose_precision

    recipe = own_recipe(workspace, wanted.recipe)
    device = choose_device(recipe.device)
    with reproducible(device, recipe.threads or clones.threads or default_threads()):
        return choose_precision(
            render(workspace, wanted.version),
            recipe,
            wanted.seed,
            card_facts(workspace, wanted.version),
            device,
            wanted.start,
            should_stop=workspace.stop_requested.is_set,
        )


def _kept_plan(workspace: Workspace, existing: Sequence[Run | None]) -> Plan:
    """Returns what was decided for the first of these clones that has begun."""
    for run in existing:
        if run is None:
            continue
        try:
            found = json.loads((workspace.runs_folder / run.id / "environment.json").read_text("utf-8"))
            plan = Plan.model_validate(
                {"clones": found.get("clones"), "precision": found.get("precision_choice")}
            )
        except (OSError, ValueError, AttributeError):
            continue  # it was stopped before it began, or the file is damaged: then it says nothing
        if plan != Plan():
            return plan
    return Plan()


def _side_by_side(workspace: Workspace, pending: Mapping[str, Wanted], plan: Plan, processes: int) -> None:
    """Trains clones, by their runs, in processes of the engine; one that fails does not stop the others.

    Raises:
        Cancelled: a person stopped it.
        DarkroomError: what went wrong with a clone, after the others have ended.
    """

    def show(board: Scoreboard) -> None:
        epochs = {f"epoch of {run}": float(epoch) for run, epoch in zip(pending, board.epochs, strict=True)}
        what = f"training {len(pending)} clones"
        workspace.report(what, done=board.done, total=board.total, unit="batches", stops=False, **epochs)

    values = {"plan": plan.model_dump(mode="json")}
    calls = {f"{run}, seed {one.seed}": {**one.request, **values} for run, one in pending.items()}
    results = run_together(workspace, train_clone, calls, processes, show)
    failures = [result for result in results if isinstance(result, Failure)]
    for failure in failures:
        workspace.tell(f"{failure.item.name} failed: {failure.error}")
    if failures:
        workspace.tell(f"Finished clones: {len(results) - len(failures)} of {len(results)}.")
        raise failures[0].error
