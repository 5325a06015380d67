"""A project with a frozen dataset of handwritten digits, for tests of trainings and clones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from darkroom.operation import find_operation
from darkroom.workspace import Workspace
from tests.jobs.projects import pictures, project

CONTRACT = {"width_px": 16, "height_px": 16, "colour": "grey"}
QUICK = {"epochs": 3, "device": "cpu"}
DATASET = "digits@1"


def call(workspace: Workspace, name: str, **values: Any) -> Any:
    """Calls an operation as every face does: its request is validated."""
    operation = find_operation(name)
    return operation.call(workspace, operation.validate(values))


def digits_project(folder: Path, count: int = 300, **settings: object) -> Workspace:
    """Makes a project with the first digits, frozen as digits@1 and rendered."""
    pictures(folder / "photos", count)
    workspace = project(folder / "p", **settings)
    call(workspace, "source.add", folder=str(folder / "photos"))
    call(workspace, "dataset.freeze", dataset="digits", contract=CONTRACT)
    return workspace


def tree(workspace: Workspace) -> set[str]:
    """Returns every file of a project but those of its database."""
    files = (path for path in workspace.root.rglob("*") if path.is_file())
    return {path.relative_to(workspace.root).as_posix() for path in files if "catalogue" not in path.name}
