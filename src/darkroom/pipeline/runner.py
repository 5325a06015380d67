"""Bring the stages of darkroom.toml up to date, in file order; what did not change is skipped."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Literal

from darkroom import atomic
from darkroom.errors import Cancelled, InvalidConfig, nearest
from darkroom.operation import put
from darkroom.operation.table import find_operation
from darkroom.operations.handed_over import handed_over, spoken_taken_back, take_back
from darkroom.operations.holding import hold_project
from darkroom.pipeline.agreement import disagreements
from darkroom.pipeline.missed import forget_missed, keep_missed
from darkroom.pipeline.plan import StagePlan, plan_stage
from darkroom.pipeline.references import StageResults
from darkroom.records import Fact, Result, StageEntry, StageRecord, Table, now
from darkroom.workspace import Workspace

__all__ = ["RunReport", "StageOutcome", "run_stages"]


class StageOutcome(Fact):
    """What happened to one stage."""

    name: str
    operation: str
    state: Literal["done", "skipped", "to do", "missed"]
    """done: it ran now; skipped: nothing changed; to do: only explained; missed: a limit is missed."""
    why: tuple[str, ...] = ()
    """What had changed."""
    duration_s: float = 0.0


class RunReport(Result):
    """What `darkroom run` did."""

    stages: tuple[StageOutcome, ...]
    missed: int = 0
    """Exit code of the stage that missed a limit, 0 when none did."""
    summary: tuple[str, ...] = ()
    """What the stages that ran have to say: warnings, figures with intervals, what was handed over."""

    @property
    def exit_code(self) -> int:
        """7 when a limit is missed."""
        return self.missed

    def display(self) -> Iterator[str | Table]:
        """Yields the stages and what each did."""
        rows = []
        for stage in self.stages:
            why = "; ".join(stage.why[:3]) + (
                f"; and {len(stage.why) - 3} more" if len(stage.why) > 3 else ""
            )
            took = f"{stage.duration_s:.1f} s" if stage.duration_s else ""
            rows.append((stage.name, stage.operation, stage.state, took, why))
        if not self.stages:
            yield "darkroom.toml names no stage. Add a [[stage]], or make a project: darkroom init --help"
            return
        yield Table(("stage", "operation", "", "took", "because"), tuple(rows))
        if all(stage.state == "skipped" for stage in self.stages):
            yield "Nothing changed: everything is up to date."
        yield from self.summary


def run_stages(
    workspace: Workspace,
    *,
    explain: bool = False,
    rehash: bool = False,
    again: tuple[str, ...] = (),
    until: str | None = None,
) -> RunReport:
    """Brings stages up to date.

    Args:
        workspace: the project.
        explain: say what would run, and run nothing.
        rehash: compare files by content, not by size and time.
        again: stages to run although nothing changed.
        until: last stage to look at.

    Raises:
        Locked: another `darkroom run` works on this project.
        Cancelled: a person stopped it; finished stages are kept.
    """
    entries = _chosen(workspace, again, until)
    with hold_project(workspace):
        _sweep(workspace)
        report = _run(workspace, entries, explain=explain, rehash=rehash, again=again)
    warned = tuple(disagreements(workspace.project.stage))
    return report.model_copy(update={"summary": (*warned, *report.summary)})


def _run(
    workspace: Workspace,
    entries: Sequence[StageEntry],
    *,
    explain: bool,
    rehash: bool,
    again: tuple[str, ...],
) -> RunReport:
    given = StageResults()
    outcomes: list[StageOutcome] = []
    notes: list[str] = []
    for entry in entries:
        waits_for = _waits_for(entry, outcomes) if explain else ""
        if waits_for:
            outcomes.append(_outcome(entry, "to do", _after(workspace, entry, waits_for)))
            continue
        plan = plan_stage(workspace, _with_rehash(entry, rehash), given)
        if plan.state == "done" and entry.name not in again and not _forced(plan, rehash):
            assert plan.last is not None
            given.put(entry.name, plan.operation, list(plan.last.result["results"]))
            if not explain:
                forget_missed(workspace, entry.name)
            outcomes.append(_outcome(entry, "skipped", ()))
        elif explain:
            outcomes.append(_outcome(entry, "to do", plan.why or ("asked for",)))
        else:
            before = handed_over(workspace)
            outcome, results = _perform(workspace, plan)
            outcomes.append(outcome)
            given.put(entry.name, plan.operation, [result.model_dump(mode="json") for result in results])
            notes += [note for result in results for note in result.notes()]
            missed = max(result.exit_code for result in results)
            if missed:
                taken = _take_back(workspace, entry, before)
                keep_missed(workspace, plan, results, taken)
                notes += [_not_reached(entries, entry), spoken_taken_back(taken)]
                return RunReport(
                    stages=tuple(outcomes), missed=missed, summary=tuple(filter(None, dict.fromkeys(notes)))
                )
            forget_missed(workspace, entry.name)
    return RunReport(stages=tuple(outcomes), summary=tuple(dict.fromkeys(notes)))


def _not_reached(entries: Sequence[StageEntry], missed: StageEntry) -> str:
    """Returns which stages did not run because one missed a limit; empty when it was the last."""
    rest = [entry.name for entry in entries[entries.index(missed) + 1 :]]
    if not rest:
        return ""
    return (
        f"{missed.name} missed a limit, so these did not run: {', '.join(rest)}. See: darkroom brief check"
    )


def _take_back(workspace: Workspace, missed: StageEntry, before: Sequence[str]) -> tuple[str, ...]:
    """Takes back what the stages after a missed one handed over before; returns all that went."""
    stages = workspace.project.stage
    take_back(workspace, [entry.operation for entry in stages[stages.index(missed) + 1 :]])
    return tuple(path for path in before if not (workspace.root / path).exists())


def _perform(workspace: Workspace, plan: StagePlan) -> tuple[StageOutcome, list[Result]]:
    """Runs one stage and remembers its result, unless a limit is missed."""
    started = time.monotonic()
    results: list[Result] = []
    for request in plan.requests:
        if workspace.stop_requested.is_set():
            raise Cancelled(
                "run.stopped",
                "Stopped before stage {name}.",
                do="Go on: darkroom run",
                name=plan.entry.name,
            )
        results.append(plan.operation.call(workspace, request))
    duration_s = time.monotonic() - started
    missed = any(result.exit_code for result in results)
    if not missed:
        workspace.catalogue.stages.save(
            StageRecord(
                name=plan.entry.name,
                operation=plan.operation.name,
                fingerprint=plan.fingerprint,
                parts=plan.parts,
                result={"results": [result.model_dump(mode="json") for result in results]},
                finished_at=now(),
                duration_s=duration_s,
            )
        )
    outcome = _outcome(plan.entry, "missed" if missed else "done", plan.why)
    return outcome.model_copy(update={"duration_s": duration_s}), results


def _sweep(workspace: Workspace) -> None:
    """Removes what killed processes left aside."""
    for folder in (
        workspace.root,
        workspace.deliverables,
        workspace.renderings,
        workspace.bundles_folder,
        workspace.runs_folder,
        *workspace.runs_folder.glob("*/"),
    ):
        atomic.sweep(folder)


def _chosen(workspace: Workspace, again: tuple[str, ...], until: str | None) -> list[StageEntry]:
    entries = list(workspace.project.stage)
    names = [entry.name for entry in entries]
    for name in (*again, *([until] if until else [])):
        if name not in names:
            raise InvalidConfig(
                "run.no-such-stage",
                'No stage "{name}" in darkroom.toml.{nearest} Stages: {names}.',
                do="Name one of them, for example: darkroom run --until STAGE",
                name=name,
                nearest=nearest(name, names),
                names=", ".join(names) or "none",
            )
    return entries[: names.index(until) + 1] if until else entries


def _waits_for(entry: StageEntry, outcomes: list[StageOutcome]) -> str:
    """Returns the stage, still to do, whose result an entry takes; empty when there is none."""
    todo = {f"@{outcome.name}": outcome.name for outcome in outcomes if outcome.state == "to do"}
    named = [
        text
        for value in entry.request.values()
        for text in (value if isinstance(value, list | tuple) else [value])
        if isinstance(text, str)
    ]
    return next((todo[text] for text in named if text in todo), "")


def _after(workspace: Workspace, entry: StageEntry, waits_for: str) -> tuple[str, ...]:
    """Returns why a stage that waits for another is to do: surely, or only if that gives something new."""
    if workspace.catalogue.stages.last(entry.name) is None:
        return (f"it has not run yet; after {waits_for}",)
    return (f"if {waits_for} gives something new",)


def _with_rehash(entry: StageEntry, rehash: bool) -> StageEntry:
    if not (rehash and _takes_rehash(entry)):
        return entry
    return entry.model_copy(update={"request": put(entry.request, "rehash", True)})


def _takes_rehash(entry: StageEntry) -> bool:
    parameters = find_operation(entry.operation).parameters
    return any(parameter.name == "rehash" for parameter in parameters)


def _forced(plan: StagePlan, rehash: bool) -> bool:
    return rehash and _takes_rehash(plan.entry)


def _outcome(
    entry: StageEntry, state: Literal["done", "skipped", "to do", "missed"], why: tuple[str, ...]
) -> StageOutcome:
    return StageOutcome(name=entry.name, operation=entry.operation, state=state, why=why)
