"""Train one run, or go on with it: find its rendering, its folder and its place in the catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from darkroom import atomic
from darkroom.errors import Cancelled, InvalidConfig, Locked
from darkroom.locks import hold
from darkroom.networks.start import NetworkStart
from darkroom.networks.table import CODE_FILE, library_of
from darkroom.operation import library_versions
from darkroom.operations.run_weights import LIBRARIES, is_whole
from darkroom.operations.starting import check_network, check_start, earlier_run, start_of
from darkroom.operations.stopped import tell_of_stopped, weights_of_now
from darkroom.records import DatasetVersion, Run, content_id, now
from darkroom.training import CardFacts, Recipe, TrainOutcome
from darkroom.training.combinations import check_combinations
from darkroom.training.plan import Plan
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.training.distributed import Team

__all__ = [
    "Wanted",
    "card_facts",
    "enrol",
    "existing_run",
    "own_recipe",
    "run_for",
    "train_here",
    "wanted_run",
]

OnProgress = Callable[[int, int, Mapping[str, float]], None]

TRAINED = ("classification", "multi-label", "segmentation")
"""Tasks that can be trained."""


class Wanted(NamedTuple):
    """A training that was asked for, checked as far as it can be without doing anything."""

    version: DatasetVersion
    recipe: Recipe
    seed: int
    start: NetworkStart
    key: str
    """Of the run that it is."""
    start_from: str | None
    start_epoch: int

    @property
    def on_features(self) -> bool:
        """Whether it trains on features that are computed once."""
        return self.recipe.train_layers == "last" and self.version.task != "segmentation"

    @property
    def request(self) -> dict[str, Any]:
        """The arguments of `run_for` and `wanted_run`, as another process takes them."""
        return {
            "dataset": self.version.ref,
            "recipe": self.recipe.model_dump(mode="json"),
            "seed": self.seed,
            "start_from": self.start_from,
            "start_epoch": self.start_epoch,
        }


def run_for(
    workspace: Workspace,
    dataset: str,
    recipe: Recipe,
    seed: int,
    *,
    again: bool = False,
    start_from: str | None = None,
    start_epoch: int = 0,
    plan: Plan = Plan(),
    processes: int = 1,
) -> tuple[Run, bool]:
    """Returns the finished run of a request, and whether it was there already.

    Args:
        workspace: the project.
        dataset: the dataset version.
        recipe: how to train.
        seed: decides initialisation, order and augmentation.
        again: train anew although such a run is there.
        start_from: the run whose weights it begins with.
        start_epoch: the snapshot of that run; 0 for its best epoch.
        plan: what it has in common with the other clones of a series.
        processes: how many train it together; 0 for one per GPU.

    Raises:
        NotFound: there is no such dataset.
        DarkroomError: as `wanted_run`, `check_start` and `useful_processes`.
        Cancelled: a person stopped the training; it can be gone on with.
    """
    from darkroom.operations.processes import useful_processes

    wanted = wanted_run(workspace, dataset, recipe, seed, start_from=start_from, start_epoch=start_epoch)
    run = None if again else existing_run(workspace, wanted)
    if run is not None and run.state == "finished":
        return run, True
    check_start(wanted.start, recipe, wanted.version)
    count = useful_processes(wanted, processes)
    if run is None:
        if not again:
            tell_of_stopped(workspace, wanted, own_recipe(workspace, wanted.recipe))
        run = enrol(workspace, wanted)
    with _held(workspace, run):
        return _trained(workspace, wanted, run, plan, count), False


def wanted_run(
    workspace: Workspace,
    dataset: str,
    recipe: Recipe,
    seed: int,
    *,
    start_from: str | None = None,
    start_epoch: int = 0,
) -> Wanted:
    """Returns what a request for a training means; the arguments are those of `run_for`.

    Raises:
        NotFound: there is no such dataset, network, run or file of weights.
        InvalidConfig: options do not go together, or not with the dataset.
        Unsupported: the network is too large for this machine.
    """
    version = workspace.catalogue.datasets.get(dataset)
    # A seed that says what the run's own says is left out: the same training is the same run.
    recipe = recipe.model_copy(update={"chance": recipe.chance.settled(seed)})
    _refuse_other_tasks(version)
    check_combinations(recipe, version.classes, goes_on=start_from is not None, task=version.task)
    check_network(recipe.network, version.contract)
    if start_from is None:
        start = start_of(workspace, recipe.network, recipe.network_file, recipe.weights)
        key = _key(version, recipe, seed, start)
    else:
        start = earlier_run(workspace, start_from, start_epoch, recipe, version)
        earlier = workspace.catalogue.runs.get(start_from)
        began = {"from": earlier.key, "epoch": start_epoch}
        if weights := weights_of_now(workspace, earlier):
            began["weights"] = weights
        key = content_id({"key": _key(version, recipe, seed, start), **began})
    return Wanted(version, recipe, seed, start, key, start_from, start_epoch)


def existing_run(workspace: Workspace, wanted: Wanted) -> Run | None:
    """Returns the newest run of what was asked for: finished and whole, or begun, or None."""
    run = workspace.catalogue.runs.find(wanted.key)
    lost = run is not None and run.state == "finished" and not is_whole(workspace, run)
    return None if lost else run


def enrol(workspace: Workspace, wanted: Wanted) -> Run:
    """Adds a run to the catalogue; it waits for whoever trains it."""
    run = workspace.catalogue.runs.create(
        Run(
            id="",
            key=wanted.key,
            operation="model.train",
            dataset=wanted.version.ref,
            network=wanted.recipe.network,
            seed=wanted.seed,
            parent=wanted.start_from,
            created_at=now(),
        )
    )
    _set_leftover_aside(workspace.runs_folder / run.id)
    return run


def _set_leftover_aside(folder: Path) -> None:
    """Renames what a lost catalogue left under the name of a new run; nothing of a person's is deleted."""
    number = 1
    while folder.exists():
        place = folder.with_name(f"{folder.name}.left-{number}")
        if not place.exists():
            folder.rename(place)
        number += 1


def _held(workspace: Workspace, run: Run) -> AbstractContextManager[None]:
    """Keeps a second process out of the run's folder; the lock goes with the process."""
    return hold(workspace.runs_folder / f"{run.id}.lock", lambda: _in_training(run))


def _in_training(run: Run) -> Locked:
    return Locked(
        "run.in-training",
        "Run {run} is being trained by another process.",
        do="Wait until it ends. See: darkroom model list",
        run=run.id,
    )


def _begin(workspace: Workspace, run: Run) -> None:
    """Marks a run as running; one that was running without a process had been lost."""
    runs = workspace.catalogue.runs
    if runs.get(run.id).state == "running":
        runs.update(run.id, state="lost")
    runs.update(run.id, state="running")


def _trained(workspace: Workspace, wanted: Wanted, run: Run, plan: Plan, processes: int) -> Run:
    from darkroom.datasets import render
    from darkroom.operations.processes import train_in_processes

    def show(done: int, total: int, figures: Mapping[str, float]) -> None:
        workspace.report(
            f"training {run.id}", done=done, total=total, unit="batches", stops=False, **figures
        )

    runs = workspace.catalogue.runs
    render(workspace, wanted.version)  # before the run begins, which cannot fail for want of pictures then
    _begin(workspace, run)
    try:
        if processes > 1:
            outcome = train_in_processes(workspace, wanted, run.id, plan, processes, show)
        else:
            stopped = workspace.stop_requested.is_set
            outcome = train_here(workspace, wanted, run.id, plan, on_progress=show, should_stop=stopped)
    except (Cancelled, KeyboardInterrupt):
        runs.update(run.id, state="cancelled")
        raise
    except Exception:
        runs.update(run.id, state="failed")
        raise
    return runs.update(run.id, state="finished", finished_at=now(), metrics=_metrics(outcome))


def train_here(
    workspace: Workspace,
    wanted: Wanted,
    run: str,
    plan: Plan,
    *,
    folder: Path | None = None,
    on_progress: OnProgress | None = None,
    should_stop: Callable[[], bool] | None = None,
    team: Team | None = None,
) -> TrainOutcome:
    """Trains a run in this process, whatever the catalogue says of it.

    Args:
        workspace: the project.
        wanted: what was asked for.
        run: its id.
        plan: what it has in common with the other clones of a series.
        folder: where it is written; the run's own when not given.
        on_progress: told about batches.
        should_stop: asked after each batch.
        team: the processes that train it together.
    """
    from darkroom.datasets import render
    from darkroom.features import project_store
    from darkroom.training.loop import train

    folder = folder or workspace.runs_folder / run
    return train(
        folder,
        rendering=render(workspace, wanted.version),
        recipe=own_recipe(workspace, wanted.recipe),
        start=_with_code_in(folder, wanted.start),
        seed=wanted.seed,
        facts=card_facts(workspace, wanted.version, run),
        on_progress=on_progress,
        should_stop=should_stop,
        features=project_store(workspace, wanted.recipe.network),
        plan=plan,
        **({} if team is None else {"team": team}),
    )


def _key(version: DatasetVersion, recipe: Recipe, seed: int, start: NetworkStart) -> str:
    decisive = {
        "dataset": version.content,
        "recipe": _with_own_code(recipe),
        "weights": start.weights.content if start.weights else "",
        "code": start.code_sha256,
        "seed": seed,
        "libraries": library_versions((*LIBRARIES, *library_of(recipe.network))),
    }
    return content_id(decisive)


def own_recipe(workspace: Workspace, recipe: Recipe) -> Recipe:
    """Returns the recipe as a run keeps it: the user's file beside it, this machine's number of threads."""
    return _with_threads(_with_own_code(recipe), workspace)


def _with_own_code(recipe: Recipe) -> Recipe:
    """Names the copy of the user's file in the run's folder: where it came from decides nothing."""
    if recipe.network_file is None:
        return recipe
    return recipe.model_copy(update={"network_file": Path(CODE_FILE)})


def _with_code_in(folder: Path, start: NetworkStart) -> NetworkStart:
    """Copies the user's file into the run's folder, from where evaluation and export take it."""
    if start.code is None:
        return start
    content = start.code.read_bytes()
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(folder / CODE_FILE, content)
    return replace(start, code=folder / CODE_FILE)


def _with_threads(recipe: Recipe, workspace: Workspace) -> Recipe:
    """Takes the machine's setting when the recipe leaves the number of threads open."""
    if recipe.threads or not workspace.settings.threads:
        return recipe
    return recipe.model_copy(update={"threads": workspace.settings.threads})


def card_facts(workspace: Workspace, version: DatasetVersion, run: str = "") -> CardFacts:
    """Returns what a training is told about data and use."""
    brief = workspace.project.brief
    return CardFacts(
        task=version.task,
        labels=version.classes,
        contract=version.contract,
        run=run,
        dataset=version.ref,
        dataset_id=version.id,
        intended_use=brief.intended_use,
        not_for=brief.not_for,
        human_review=brief.human_review,
        licence=brief.licence,
    )


def _metrics(outcome: TrainOutcome) -> dict[str, float]:
    foreseen = outcome.foreseen.model_dump() if outcome.foreseen else {}
    found = {
        "epochs": outcome.epochs,
        "best_epoch": outcome.best_epoch,
        "train.loss": outcome.best.train_loss,
        "train.accuracy": outcome.best.train_accuracy,
        "val.loss": outcome.best.val_loss,
        "val.accuracy": outcome.best.val_accuracy,
        "val.miou": outcome.best.val_miou,
        "val.mean_ap": outcome.best.val_mean_ap,
        "found.learning_rate": outcome.rate.rate if outcome.rate else None,
        "taken.batch_size": outcome.batch.batch_size if outcome.batch else None,
        **outcome.measured.model_dump(),
        **{f"foreseen.{name}": value for name, value in foreseen.items()},
    }
    return {name: float(value) for name, value in found.items() if value is not None}


def _refuse_other_tasks(version: DatasetVersion) -> None:
    if version.task not in TRAINED:
        raise InvalidConfig(
            "train.task",
            "Dataset {ref} is for {task}, which cannot be trained yet.",
            do="Name a dataset for another task. See: darkroom dataset list",
            ref=version.ref,
            task=version.task,
        )
