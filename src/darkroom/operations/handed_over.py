"""What lies in the deliverables because every limit held, and how it is taken back once one is missed."""

from __future__ import annotations

import json
from collections.abc import Iterable

from darkroom import atomic
from darkroom.workspace import Workspace

__all__ = ["handed_over", "handed_over_run", "spoken_taken_back", "take_back"]

HANDED_OVER = {"export.verify": "09-mobile/bundle", "report": "report.html"}
"""Each operation that says with what it hands over that the limits hold, and its place."""


def handed_over(workspace: Workspace, operations: Iterable[str] = tuple(HANDED_OVER)) -> tuple[str, ...]:
    """Returns what operations handed over and still lies there, as paths inside the project."""
    places = [workspace.deliverables / HANDED_OVER[name] for name in operations if name in HANDED_OVER]
    return tuple(workspace.relative(place) for place in places if place.exists())


def handed_over_run(workspace: Workspace) -> str:
    """Returns the run that the bundle which was handed over is made of; empty when none is."""
    card = workspace.deliverables / HANDED_OVER["export.verify"] / "model-card.json"
    try:
        return str(json.loads(card.read_bytes()).get("run", ""))
    except (OSError, ValueError, AttributeError, RecursionError):
        return ""


def take_back(workspace: Workspace, operations: Iterable[str] = tuple(HANDED_OVER)) -> tuple[str, ...]:
    """Removes what operations handed over before: what lies there must have passed.

    The bundle itself stays in the project; its stage hands it over again once the limits hold.

    Returns:
        What was removed, as paths inside the project.
    """
    there = handed_over(workspace, operations)
    for path in there:
        atomic.remove(workspace.root / path)
    return there


def spoken_taken_back(paths: Iterable[str]) -> str:
    """Returns in words what was taken back; empty when nothing was."""
    listed = ", ".join(paths)
    return f"Taken back, as a limit is missed: {listed}." if listed else ""
