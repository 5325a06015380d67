"""Find or make the study of a request, and let its trials be trained, several at a time where that pays."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from filelock import FileLock, Timeout

from darkroom import atomic
from darkroom.engines import Failure
from darkroom.errors import InvalidConfig, Locked
from darkroom.operation import library_versions
from darkroom.operations.run_tasks import DECIDING
from darkroom.operations.run_weights import LIBRARIES
from darkroom.operations.together import run_together
from darkroom.operations.trials import FIELDS, work_apart, work_trials
from darkroom.records import DatasetVersion, content_id, new_ulid, now
from darkroom.training import Recipe
from darkroom.training.plan import Plan
from darkroom.tuning.budget import Budget
from darkroom.tuning.span import Span
from darkroom.tuning.study import Study, make_study, read_plan
from darkroom.tuning.trial import StudyPlan, Trial, Variable
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.operations.scoreboard import Scoreboard

__all__ = ["SearchRequest", "planned", "search", "study_folder"]

LOOK_S = 1.0
"""How often the state of a study is read for the progress."""


class SearchRequest(NamedTuple):
    """What decides which trials there are."""

    dataset: str
    recipe: Recipe
    space: Mapping[str, Span]
    by: str
    aims: tuple[str, ...]
    prune: Literal["auto", "median", "hyperband", "none"]
    most_flops: int | None
    seed: int
    until_brief: bool = False


def planned(workspace: Workspace, request: SearchRequest) -> StudyPlan:
    """Returns the plan of a request, networks held against the limits; the id is still open.

    Raises:
        NotFound: there is no such dataset or network.
        InvalidConfig: the space, the aims or the recipe do not go together, or no network is left.
        Invalid: there are no val pictures.
    """
    from darkroom.tuning.space import Given, read_space

    version = workspace.catalogue.datasets.get(request.dataset)
    if not version.counts.get("val"):
        raise InvalidConfig(
            "tune.no-val",
            "Trials are told apart by val pictures, and {dataset} has none.",
            do="Freeze the dataset with a share for val.",
            dataset=version.ref,
        )
    given = Given(request.recipe, version.contract, version.counts.get("train", 0))
    variables, weights, filtered = _with_networks(
        workspace, request, version, read_space(request.space, given)
    )
    limits = workspace.project.brief.limits
    sizes = [limits.model_bytes, limits.memory_bytes]
    plan = StudyPlan(
        id="",
        key="",
        dataset=version.ref,
        recipe=request.recipe.model_dump(mode="json"),
        variables=variables,
        weights=weights,
        filtered=filtered,
        metric=_metric(version, request.by),  # type: ignore[arg-type]
        aims=_aims(request.aims),
        most_flops=request.most_flops,
        prune=_pruner(request),
        seed=request.seed,
        created_at=now(),
    )
    decisive = {
        "plan": plan.model_dump(mode="json", exclude={"created_at", "filtered", "recipe"}),
        "recipe": request.recipe,
        "content": version.content,
        "limits": limits.model_dump(mode="json") if request.until_brief else sizes,
        "libraries": library_versions(LIBRARIES),
    }
    return plan.model_copy(update={"key": content_id(decisive)})


def study_folder(workspace: Workspace, plan: StudyPlan) -> Path:
    """Returns the folder of a plan's study; makes it where there is none.

    Raises:
        Damaged: the folder of a study cannot be read: it may be this one's.
        MissingExtra: Optuna is not installed.
    """
    place = workspace.studies_folder
    place.mkdir(parents=True, exist_ok=True)
    with FileLock(place / "studies.lock"):
        folders = sorted(place.glob("s-*"), key=lambda path: path.name)
        known = {
            path.name: read_plan(path) for path in folders if path.is_dir() and path.name[2:].isdecimal()
        }
        for name, found in known.items():
            if found.key == plan.key:
                return place / name
        numbers = [int(path.name[2:].partition(".")[0]) for path in folders if path.name[2:3].isdecimal()]
        made = plan.model_copy(update={"id": f"s-{max(numbers, default=0) + 1}"})
        version = workspace.catalogue.datasets.get(plan.dataset)
        make_study(place / made.id, made, version.contract)
        return place / made.id


def search(
    workspace: Workspace, folder: Path, budget: Budget, side_by_side: Literal["auto", "yes", "no"] = "auto"
) -> Study:
    """Trains the trials of a study until its budget is spent; returns it.

    Raises:
        Locked: another process works on the study.
        Unsupported: side by side on a device that all would share.
        Cancelled: a person stopped it; the same call goes on.
        DarkroomError: the disk refuses, or a package is missing.
    """
    with _owned(folder):
        for place in (folder.parent, folder):
            atomic.sweep(place)
        study = Study(folder, new_ulid())
        left = budget.trials - sum(one.counts and one.state != "running" for one in study.trials())
        if left > 0 and not budget.is_spent(study.trials()):
            plan = _plan(workspace, study.plan, left, side_by_side)
            if plan.clones is None or plan.clones.processes < 2:
                work_trials(workspace, study, budget, plan)
            else:
                _several(workspace, study, budget, plan)
            _report(workspace, study.plan, study.trials(), budget)
        return study


def _several(workspace: Workspace, study: Study, budget: Budget, plan: Plan) -> None:
    """Lets processes of the engine take trials from the study until none of them finds another.

    The trial of a process that died is taken up again, a few times at most; see `Study.ask`.
    """
    assert plan.clones is not None
    looked: list[float] = [0.0]

    def show(board: Scoreboard) -> None:
        if time.monotonic() - looked[0] >= LOOK_S:
            looked[0] = time.monotonic()
            _report(workspace, study.plan, study.trials(), budget)

    while True:
        shared = {
            "folder": str(study.folder),
            "session": new_ulid(),
            "budget": budget,
            "plan": plan.model_dump(mode="json"),
        }
        calls = {f"process {number}": shared for number in range(1, plan.clones.processes + 1)}
        results = run_together(workspace, work_apart, calls, plan.clones.processes, show)
        failures = [result for result in results if isinstance(result, Failure)]
        for failure in failures:
            if getattr(failure.error, "id", "") != "engine.worker-died":
                raise failure.error
            workspace.tell(
                f"A process of the search died, and its trial is taken up again: {failure.error}"
            )
        if not failures:
            return


def _with_networks(
    workspace: Workspace, request: SearchRequest, version: DatasetVersion, variables: tuple[Variable, ...]
) -> tuple[tuple[Variable, ...], dict[str, str], dict[str, str]]:
    """Returns the variables with the networks that are left, their weights, and why others are not."""
    from darkroom.networks import NETWORKS
    from darkroom.tuning.candidates import Frame, family_of, filter_networks
    from darkroom.tuning.space import HEAD, NETWORK, TABLE, WIDTH, refuse_empty, sides_of

    by_name = {one.name: one for one in variables}
    widths = {name: width for width, name in family_of(request.recipe.network).items()}
    names: tuple[str, ...] = (request.recipe.network,)
    if NETWORK in by_name:
        chosen = tuple(map(str, by_name[NETWORK].choices))
        names = tuple(NETWORKS) if TABLE in chosen else chosen
    elif WIDTH in by_name:
        names = tuple(name for name, width in widths.items() if width in by_name[WIDTH].choices)
    sides = sides_of(version.contract, variables)
    limits = workspace.project.brief.limits
    frame = Frame(version.task, len(version.classes), sides, limits, request.most_flops)
    head = HEAD in by_name and "last" in by_name[HEAD].choices
    at_hand = _weights(workspace, request.recipe, names) if request.recipe.weights or head else None
    left = filter_networks(names, frame, at_hand)
    if not left.weights:
        raise InvalidConfig(
            "tune.no-network-left",
            "No network is left to search among: {why}.",
            do="Name other networks under space, or change the limits in [brief.limits].",
            why="; ".join(f"{name}: {why}" for name, why in left.filtered.items()),
        )
    kept = tuple(left.weights)
    replaced = {NETWORK: kept, WIDTH: tuple(sorted(widths[name] for name in kept if name in widths))}
    fitting = tuple(
        one.model_copy(update={"choices": replaced[one.name]}) if one.name in replaced else one
        for one in variables
    )
    refuse_empty(fitting)
    return fitting, (left.weights if at_hand is not None else {}), left.filtered


def _weights(workspace: Workspace, recipe: Recipe, names: tuple[str, ...]) -> dict[str, str]:
    """Returns pretrained weights at hand by network; the recipe's own come first.

    Weights are those of the layers that look at the picture: one file fits every network with an encoder.
    """
    from darkroom.networks.table import layers_of
    from darkroom.networks.weights import list_weights, weights_places

    found = {recipe.network: recipe.weights} if recipe.weights else dict[str, str]()
    if len(names) > 1 or not recipe.weights:
        by_layers: dict[str, str] = {}
        for facts in list_weights(weights_places(workspace.settings, workspace.root)):
            by_layers.setdefault(layers_of(facts.network), facts.name)
        for name in names:
            if layers_of(name) in by_layers:
                found.setdefault(name, by_layers[layers_of(name)])
    return found


def _metric(version: DatasetVersion, by: str) -> str:
    metric = by
    if by == "auto":
        metric = DECIDING[version.task][0]
    assert metric in FIELDS
    owner = next((task for task, (name, _) in DECIDING.items() if name == metric), version.task)
    if owner not in ("classification", version.task):
        raise InvalidConfig(
            "tune.metric-of-masks",
            "{metric} is a figure of {owner}, and {dataset} is for {task}.",
            do="Leave by out, or take val.accuracy or val.loss.",
            metric=metric,
            owner=owner,
            dataset=version.ref,
            task=version.task,
        )
    return metric


def _aims(aims: tuple[str, ...]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(aims))
    if "metric" not in found:
        raise InvalidConfig(
            "tune.aims-without-metric",
            "The metric has to be among the aims. Received: {aims}.",
            do="Write aims = metric,model_bytes, or leave aims out.",
            aims=", ".join(found) or "none",
        )
    return ("metric", *(one for one in found if one != "metric"))


def _pruner(request: SearchRequest) -> Literal["median", "hyperband", "none"]:
    several = len(set(request.aims)) > 1
    if request.prune == "auto":
        return "none" if several else "median"
    if several and request.prune != "none":
        raise InvalidConfig(
            "tune.prune-one-aim",
            "With several aims no trial is ended early: it may be behind in accuracy and ahead in size.",
            do="Leave prune out, or name one aim.",
        )
    return request.prune


def _plan(
    workspace: Workspace, plan: StudyPlan, left: int, side_by_side: Literal["auto", "yes", "no"]
) -> Plan:
    """Decides how many trials are trained at a time, by trainings of the recipe that they begin from."""
    from darkroom.operations.run_making import wanted_run
    from darkroom.operations.side_by_side import choose_clones

    recipe = Recipe.model_validate(dict(plan.recipe))
    wanted = wanted_run(workspace, plan.dataset, recipe, plan.seed)
    clones, precision = choose_clones(workspace, [wanted] * left, side_by_side)
    return Plan(clones=clones if clones.processes > 1 else None, precision=precision)


@contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Keeps a second process out of a study; the lock goes with the process."""
    lock = FileLock(f"{folder}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise Locked(
            "tune.at-work",
            "Another process works on study {study}.",
            do="Wait until it ends, or stop it; the same command then goes on.",
            study=folder.name,
        ) from None
    try:
        yield
    finally:
        lock.release()


def _report(workspace: Workspace, plan: StudyPlan, trials: tuple[Trial, ...], budget: Budget) -> None:
    from darkroom.tuning.pareto import best_first

    done = sum(one.counts and one.state != "running" for one in trials)
    best = best_first(plan, trials)[:1]
    figures: dict[str, Any] = {f"best {plan.metric}": one.figures[plan.metric] for one in best}
    workspace.report(
        f"searching, study {plan.id}", done=done, total=budget.trials, unit="trials", **figures
    )
