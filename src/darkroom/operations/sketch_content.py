"""What of a run's sketch makes a stage stale that carries it along."""

from __future__ import annotations

import json
from collections.abc import Mapping

from darkroom.records import content_id
from darkroom.workspace import Workspace

__all__ = ["sketch_content"]


def sketch_content(workspace: Workspace, run: str) -> Mapping[str, str]:
    """Returns the sketch of a run as an input of a stage; nothing where there is none.

    Two sketches that differ by the moment of their making are the same.
    """
    path = workspace.runs_folder / run / "domain" / "sketch.json"
    try:
        facts = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(facts, dict):
        return {}
    return {f"domain of {run}": content_id({key: facts[key] for key in facts if key != "created_at"})}
