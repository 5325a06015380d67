"""Hand over a report as .docx and PDF beside its page, where the packages for them are installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from darkroom import atomic
from darkroom.errors import MissingExtra
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents.blocks import Paper

__all__ = ["Papers", "deliver_papers"]


class Papers(NamedTuple):
    """What lies beside a page."""

    docx: str = ""
    """Path inside the project; empty where it was not written."""
    pdf: str = ""
    missing: tuple[str, ...] = ()
    """What was not written, and which command installs what is needed."""

    @property
    def words(self) -> Iterator[str]:
        """Where they are, and what is missing."""
        if self.docx or self.pdf:
            yield f"The same as {' and '.join(path for path in (self.docx, self.pdf) if path)}"
        yield from self.missing


def deliver_papers(workspace: Workspace, page: str, paper: Paper) -> Papers:
    """Writes a report as .docx and PDF; a kind whose package is absent is left out, and said.

    Args:
        workspace: the project.
        page: place of the page inside the deliverables; they take its name.
        paper: the report.
    """
    from darkroom.documents import docx, pdf

    written: dict[str, str] = {}
    missing: list[str] = []
    for kind, write in (("docx", docx), ("pdf", pdf)):
        path = workspace.deliverables / PurePosixPath(page).with_suffix(f".{kind}")
        try:
            data = write(paper)
        except MissingExtra as error:
            missing.append(str(error))
            path.unlink(missing_ok=True)  # one of before would be taken for this one
            continue
        atomic.write_bytes(path, data)
        written[kind] = workspace.relative(path)
    return Papers(**written, missing=tuple(missing))
