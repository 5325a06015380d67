"""Which classes a project knows, so that a slip of the pen makes no new one."""

from __future__ import annotations

from darkroom.errors import InvalidLabel, nearest
from darkroom.workspace import Workspace

__all__ = ["known_classes", "refuse_unknown_class"]

SHOWN = 20


def refuse_unknown_class(workspace: Workspace, label: str) -> None:
    """Refuses a class that no picture carries, no dataset holds and darkroom.toml does not name.

    Args:
        workspace: the project.
        label: the class, as it was typed.

    Raises:
        InvalidLabel: nobody knows the class.
    """
    if workspace.catalogue.annotations.is_used("class", label):
        return
    known = known_classes(workspace)
    if label in known:
        return
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    raise InvalidLabel(
        "label.unknown-class",
        "No class {label!r} in this project.{meant} Known: {known}.",
        do="If it is a new one: darkroom label add IMAGE --label CLASS --new-class",
        label=label,
        meant=nearest(label, known),
        known=(", ".join(known[:SHOWN]) + more) or "none",
    )


def known_classes(workspace: Workspace) -> list[str]:
    """Returns the classes of pictures, of frozen datasets and of the stages in darkroom.toml, sorted."""
    catalogue = workspace.catalogue
    found = set(catalogue.annotations.counts("class").labels)
    for version in catalogue.datasets.list():
        found.update(version.classes)
    for stage in workspace.project.stage:
        classes = stage.request.get("classes", ())
        found.update(str(one) for one in classes if not isinstance(classes, str))
    return sorted(found)
