"""Train the trials of a study, one after the other in one process, until its budget is spent."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from darkroom.errors import Cancelled, DarkroomError, MissingExtra, StorageFailed
from darkroom.operations.gates import hold_quality, limits_on_quality
from darkroom.operations.run_making import Wanted, enrol, existing_run, run_for, wanted_run
from darkroom.operations.starting import check_start
from darkroom.operations.together import WorkerPlace
from darkroom.records import Gate, Run, content_id
from darkroom.training.plan import Plan
from darkroom.training.recipe import network_options
from darkroom.tuning.budget import Budget
from darkroom.tuning.candidates import estimated_flops
from darkroom.tuning.recipes import contract_of, recipe_of
from darkroom.tuning.study import Asked, Study
from darkroom.workspace import Progress, Workspace

__all__ = ["FIELDS", "study_tag", "tag_run", "work_apart", "work_trials"]

FIELDS = {
    "val.accuracy": "val_accuracy",
    "val.loss": "val_loss",
    "val.mean_ap": "val_mean_ap",
    "val.miou": "val_miou",
}
"""Name of a run's figure → the same in the line of an epoch."""

ENDS_ALL = (StorageFailed, MissingExtra)
"""What goes wrong with one trial and would with every other."""

SIZES = ("model_bytes", "memory_bytes")
IN_BYTES: dict[str, Any] = {"at_most": True, "unit": "bytes", "verdict": "pass"}
"""What was trained is within its limits; what was not was refused."""


def work_trials(workspace: Workspace, study: Study, budget: Budget, plan: Plan = Plan()) -> None:
    """Trains trials until the budget is spent, or the space holds no other.

    Args:
        workspace: the project.
        study: where trials come from.
        budget: when it ends.
        plan: what all trials have in common beside their recipes.

    Raises:
        Cancelled: a person stopped it; the same call goes on.
        StorageFailed: the disk refuses.
    """
    while True:
        if workspace.stop_requested.is_set():
            raise Cancelled(
                "tune.cancelled",
                "The search {study} was stopped.",
                do="The same command goes on with it.",
                study=study.plan.id,
            )
        asked = study.ask(budget)
        if asked is None:
            return
        _Bench(workspace, study, budget, plan).try_one(asked)


def work_apart(
    place: WorkerPlace, *, folder: str, session: str, budget: Budget, plan: Mapping[str, Any]
) -> None:
    """Trains trials in a process of the engine, beside others that do the same."""
    with place.entered() as (workspace, _):
        work_trials(workspace, Study(Path(folder), session), budget, Plan.model_validate(plan))


def study_tag(study: str) -> str:
    """Returns the tag of runs that belong to a study."""
    return f"study-{study}"


def tag_run(workspace: Workspace, run: Run, *tags: str) -> Run:
    """Adds tags to a run."""
    wanted = tuple(dict.fromkeys((*run.tags, *tags)))
    return run if wanted == run.tags else workspace.catalogue.runs.update(run.id, tags=wanted)


class _Stop(threading.Event):
    """Ends one trial: because everything is to stop, or because this one is."""

    def __init__(self, outer: threading.Event) -> None:
        super().__init__()
        self._outer = outer
        self.reason = ""

    def is_set(self) -> bool:
        return self._outer.is_set() or super().is_set()

    def end(self, reason: str) -> None:
        self.reason = reason
        self.set()


class _Bench(NamedTuple):
    """Where one trial is tried."""

    workspace: Workspace
    study: Study
    budget: Budget
    plan: Plan

    def try_one(self, asked: Asked) -> None:
        """Trains one trial; what goes wrong with it alone is noted, and the study goes on."""
        stop, study = _Stop(self.workspace.stop_requested), self.study
        try:
            wanted = self._wanted(asked)
            costs = self._costs(wanted)
            why = self._refusal(wanted, costs)
            if why:
                study.refuse(asked, why)
                return
            run = self._enrolled(asked, wanted)
            asked = study.begin(asked, run=run.id, dataset=wanted.version.ref)
            run = self._trained(asked, wanted, stop)
            figures = {**_val_figures(run), **costs}
            gates = self._gates(run, costs) if self.budget.until_brief else ()
            study.finish(asked, figures, epochs=int(run.metrics.get("epochs", 0)), gates=gates)
        except Cancelled:
            if not stop.reason or self.workspace.stop_requested.is_set():
                study.let_go(asked)
                raise
            study.prune(asked, stop.reason, epochs=self._epochs(asked))
        except (KeyboardInterrupt, *ENDS_ALL):
            study.let_go(asked)
            raise
        except Exception as error:
            study.fail(asked, _reason(error), epochs=self._epochs(asked))

    def _wanted(self, asked: Asked) -> Wanted:
        """Returns the training that a trial means, on the dataset in the trial's input size."""
        from darkroom.datasets.variant import under_contract

        plan, values = self.study.plan, asked.trial.values
        version = self.workspace.catalogue.datasets.get(plan.dataset)
        version = under_contract(self.workspace, version, contract_of(version.contract, values))
        wanted = wanted_run(self.workspace, version.ref, recipe_of(plan, values), plan.seed)
        check_start(wanted.start, wanted.recipe, wanted.version)
        return wanted

    def _costs(self, wanted: Wanted) -> dict[str, float]:
        """Returns what the network takes, of what is an aim or has a limit; it is not trained for that."""
        limits = self.workspace.project.brief.limits
        asked = {*self.study.plan.aims, *(name for name in SIZES if getattr(limits, name) is not None)}
        recipe, contract = wanted.recipe, wanted.version.contract

        def make():
            return wanted.start.network(
                recipe.network,
                channels=contract.channels,
                size=(contract.height_px, contract.width_px),
                classes=len(wanted.version.classes),
                options=dict(network_options(recipe)),
            )

        if asked & {"memory_bytes", "latency_ms"}:
            return {name: value for name, value in self._measured(wanted, make).items() if name in asked}
        if "model_bytes" in asked:
            return {"model_bytes": 4.0 * make().parameter_count}
        return {}

    def _measured(self, wanted: Wanted, make: Callable[[], Any]) -> dict[str, float]:
        from darkroom.tuning.architecture import measure_architecture

        version = wanted.version
        self.workspace.report(f"measuring {wanted.recipe.network} as a file")
        found = measure_architecture(
            self.study.folder / "architectures" / content_id(wanted.start.code_sha256)[:8],
            wanted.recipe.network,
            make,
            version.contract,
            version.classes,
            version.task,
        )
        if found.memory_bytes is None:
            raise DarkroomError(
                "tune.memory-unmeasured",
                "The memory of {network} cannot be measured here.",
                do="Leave memory_bytes out of the aims and the limits.",
                network=wanted.recipe.network,
            )
        return {name: float(value) for name, value in found.model_dump().items()}

    def _refusal(self, wanted: Wanted, costs: Mapping[str, float]) -> str:
        """Returns which limit the network breaks before it is trained; empty where it breaks none."""
        from darkroom.networks import find

        limits, most = self.workspace.project.brief.limits, self.study.plan.most_flops
        for name in SIZES:
            allowed = getattr(limits, name)
            if allowed is not None and costs[name] > allowed:
                return f"{wanted.recipe.network}: {costs[name]:,.0f} bytes; {name} allows {allowed:,}"
        contract = wanted.version.contract
        flops = estimated_flops(find(wanted.recipe.network), (contract.height_px, contract.width_px))
        if most is not None and flops > most:
            return f"{wanted.recipe.network}: about {flops:,} operations; most_flops allows {most:,}"
        return ""

    def _enrolled(self, asked: Asked, wanted: Wanted) -> Run:
        """Returns the run of a trial, marked as the study's before it is trained."""
        run = existing_run(self.workspace, wanted) or enrol(self.workspace, wanted)
        tag = study_tag(self.study.plan.id)
        return tag_run(self.workspace, run, tag, f"{tag}-trial-{asked.trial.number}")

    def _trained(self, asked: Asked, wanted: Wanted, stop: _Stop) -> Run:
        inside = self.workspace.again()
        inside.stop_requested = stop
        inside.listener = self._listener(asked, wanted.recipe.epochs, stop)
        return run_for(inside, wanted.version.ref, wanted.recipe, wanted.seed, plan=self.plan)[0]

    def _listener(self, asked: Asked, epochs: int, stop: _Stop) -> Callable[[Progress], None]:
        """Returns what hears the training: it tells on, and reports each epoch to the study."""
        study, field = self.study, FIELDS[self.study.plan.metric]
        named = f"{study.plan.id}, trial {asked.trial.number}"

        def listen(report: Progress) -> None:
            if self.workspace.listener is not None:
                self.workspace.listener(report._replace(what=f"{named}: {report.what}"))
            if field not in report.metrics:
                return
            epoch = int(report.metrics["epoch"])
            behind = study.report(asked, epoch, report.metrics[field])
            if epoch >= epochs:
                return
            if behind:
                stop.end(f"behind the other trials after epoch {epoch} of {epochs}")
            elif self.budget.time_is_up and any(one.state == "finished" for one in study.trials()):
                stop.end(f"the time was up after epoch {epoch} of {epochs}")

        return listen

    def _gates(self, run: Run, costs: Mapping[str, float]) -> tuple[Gate, ...]:
        """Returns every limit that a trial can be held against, with its verdict on val."""
        quality = hold_quality(self.workspace, (run.id,)) if limits_on_quality(self.workspace) else ()
        limits = self.workspace.project.brief.limits
        sizes = [(name, bound) for name in SIZES if (bound := getattr(limits, name)) is not None]
        held = (
            Gate(limit=name, bound=bound, subject=run.id, value=costs[name], **IN_BYTES)
            for name, bound in sizes
        )
        return (*quality, *held)

    def _epochs(self, asked: Asked) -> int:
        from darkroom.training.run_folder import read_metrics

        run = asked.trial.run
        return len(read_metrics(self.workspace.runs_folder / run)) if run else 0


def _val_figures(run: Run) -> dict[str, float]:
    return {name: value for name, value in run.metrics.items() if name.startswith("val.")}


def _reason(error: Exception) -> str:
    """Returns why a trial failed, in one line."""
    said = error.message if isinstance(error, DarkroomError) else f"{type(error).__name__}: {error}"
    return said.strip().splitlines()[0][:400] if said.strip() else type(error).__name__
