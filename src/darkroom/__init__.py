"""Darkroom develops images into models: `darkroom.open("shoes").model.train(dataset="shoes@1")`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from darkroom.project import Project
    from darkroom.workspace import Progress

__all__ = ["open", "outside"]


def open(path: Path | str = ".", *, listener: Callable[[Progress], None] | None = None) -> Project:
    """Opens a project.

    Args:
        path: its folder, or one inside it.
        listener: called with every progress report.

    Raises:
        NotFound: there is no darkroom.toml in the folder or above it.
    """
    from darkroom.project import Project

    return Project(path, listener=listener)


def outside(folder: Path | str = ".", *, listener: Callable[[Progress], None] | None = None) -> Project:
    """Returns the face for what needs no project: `darkroom.outside().model.networks()`.

    Args:
        folder: where relative paths start.
        listener: called with every progress report.
    """
    from darkroom.project import Project

    return Project.outside(folder, listener=listener)
