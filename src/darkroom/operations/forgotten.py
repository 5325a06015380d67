"""What lists, pages and fingerprints say of pictures that were forgotten."""

from __future__ import annotations

from collections.abc import Mapping

from darkroom.records import MarkKind
from darkroom.workspace import Workspace

__all__ = ["forgotten_content", "spoken_marks"]

NAMED = 5
"""Names in one sentence."""


def forgotten_content(workspace: Workspace) -> Mapping[str, str]:
    """Returns which pictures were forgotten, as an input of a stage; nothing where none was."""
    count, digest = workspace.catalogue.forgotten.content()
    return {"forgotten": digest} if count else {}


def spoken_marks(workspace: Workspace, kind: MarkKind) -> tuple[str, ...]:
    """Returns a sentence about the datasets, runs or bundles that held a picture which was forgotten."""
    marks = workspace.catalogue.forgotten.marks(kind)
    if not marks:
        return ()
    names = sorted(marks, key=lambda name: (len(name), name))
    shown = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
    said = {
        "dataset": f"{shown}: held a picture that was forgotten since; the hash no longer reproduces.",
        "run": f"{shown}: trained or judged on a picture forgotten since. To be rid of it: darkroom run",
        "bundle": f"{shown}: the model was trained or judged on a picture that was forgotten since.",
    }
    return (said[kind],)
