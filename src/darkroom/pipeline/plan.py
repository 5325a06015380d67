"""Decide for each stage of darkroom.toml whether its result still holds, and say why not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from darkroom.errors import InvalidConfig
from darkroom.operation import (
    Operation,
    differences,
    find_operation,
    fingerprint,
    fingerprint_parts,
    swept,
    with_paths,
)
from darkroom.pipeline.reasons import spoken_reasons
from darkroom.pipeline.references import StageResults, content_ids, resolve, still_there
from darkroom.records import Config, StageEntry, StageRecord, validated
from darkroom.workspace import PROJECT_FILE, Workspace

__all__ = ["StagePlan", "StageState", "plan_stage"]

StageState = Literal["done", "stale", "missing"]
"""done: nothing that decides the result changed; stale: something did; missing: it never ran."""


NO_STAGES = ("init", "quickstart", "run", "serve", "status")
"""Verbs that work on all stages."""


@dataclass(frozen=True)
class StagePlan:
    """What is to be done for one stage."""

    entry: StageEntry
    operation: Operation
    requests: tuple[Config, ...]
    """One, or one per combination of a sweep."""
    parts: Mapping[str, Any]
    state: StageState
    why: tuple[str, ...]
    """What changed, one line each."""
    last: StageRecord | None

    @property
    def fingerprint(self) -> str:
        """sha256 over the parts."""
        return fingerprint(self.parts)


def plan_stage(workspace: Workspace, entry: StageEntry, given: StageResults) -> StagePlan:
    """Compares what decides a stage's result now with what decided it when it last ran.

    Raises:
        NotFound: its operation, or something that it names, does not exist.
        InvalidConfig: its request does not fit the operation.
    """
    operation = _stage_operation(entry)
    resolved = resolve(operation, entry.request, given)
    where = f'{PROJECT_FILE}, stage "{entry.name}" ({operation.name})'
    as_written = tuple(
        validated(operation.request, values, where=where, explained=operation.help_command)
        for _, values in swept(resolved, entry.sweep)
    )
    requests = tuple(_rebased(request, workspace.root) for request in as_written)
    every = [
        _parts(workspace, operation, written, request)
        for written, request in zip(as_written, requests, strict=True)
    ]
    parts = every[0] if len(every) == 1 else {str(number): one for number, one in enumerate(every, 1)}
    last = workspace.catalogue.stages.last(entry.name)
    state, why = _state(workspace, operation, parts, last)
    return StagePlan(entry, operation, requests, parts, state, why, last)


def _stage_operation(entry: StageEntry) -> Operation:
    """Returns the operation of a stage; the verbs that work on all stages are none."""
    operation = find_operation(entry.operation)
    if operation.name in NO_STAGES:
        raise InvalidConfig(
            "stage.not-a-stage",
            'Stage "{stage}": {operation} works on the whole project and cannot be a stage.',
            do="Take this stage out of darkroom.toml; in the shell it is: darkroom {operation}",
            stage=entry.name,
            operation=operation.name,
        )
    return operation


def _parts(workspace: Workspace, operation: Operation, written: Config, request: Config) -> dict[str, Any]:
    inputs = dict(content_ids(workspace, operation, request))
    if operation.inputs is not None:
        values = {name: getattr(request, name) for name in type(request).model_fields}
        inputs |= operation.inputs(workspace, **values)
    return fingerprint_parts(operation, written, inputs=inputs)


def _state(
    workspace: Workspace, operation: Operation, parts: Mapping[str, Any], last: StageRecord | None
) -> tuple[StageState, tuple[str, ...]]:
    if last is None:
        return "missing", ("it has not run yet",)
    if last.fingerprint != fingerprint(parts):
        return "stale", spoken_reasons(differences(last.parts, parts))
    for result in last.result["results"]:
        gone = still_there(workspace, operation, result)
        if gone:
            return "stale", (gone,)
    return "done", ()


def _rebased(request: Config, root: Path) -> Config:
    """Returns a request whose relative paths start at the project, wherever the shell stands."""
    return with_paths(request, lambda _kind, _key, path: root / path)
