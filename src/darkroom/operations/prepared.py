"""Hand over a dataset version: its pictures with an annotation file per split, and its page."""

from __future__ import annotations

from typing import Literal

from darkroom.records import DatasetVersion
from darkroom.workspace import Workspace

__all__ = ["deliver_dataset"]


def deliver_dataset(
    workspace: Workspace, version: DatasetVersion, pictures: Literal["link", "copy", "none"]
) -> str:
    """Writes `04-dataset` with a folder per split, and its page; returns the folder.

    Args:
        workspace: the project.
        version: the dataset version.
        pictures: put the pictures in as links, as copies, or not at all.
    """
    from darkroom.datasets import deliver

    place = workspace.deliverables / "04-dataset"
    deliver(workspace, version, place, pictures=pictures)
    return workspace.relative(place)
