"""Hand over what a look at a model or at pictures found: a page, and the same as .docx and PDF."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from darkroom import atomic
from darkroom.operations.papers import Papers, deliver_papers
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents.blocks import Section

__all__ = ["deliver_found"]


def deliver_found(
    workspace: Workspace,
    place: str,
    *,
    kind: str,
    lead: str,
    sections: Iterable[Section],
    papers: bool = True,
) -> tuple[str, Papers]:
    """Writes a report; returns the path of its page, and what lies beside it.

    Args:
        workspace: the project.
        place: of the page, inside the deliverables.
        kind: what it is.
        lead: what it says, in a sentence or two.
        sections: the rest.
        papers: write it as .docx and PDF too, where the packages are installed.
    """
    from darkroom.documents.blocks import Paper
    from darkroom.documents.found import found_page

    paper = Paper(workspace.project.project.name, kind, lead, tuple(sections))
    beside = deliver_papers(workspace, place, paper) if papers else Papers()
    path = workspace.deliverables / PurePosixPath(place)
    atomic.write_bytes(path, found_page(paper))
    return workspace.relative(path), beside
