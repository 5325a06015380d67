"""The page of a look at a model or at pictures: sections of blocks under one heading."""

from __future__ import annotations

from darkroom.documents.blocks import Paper
from darkroom.documents.page import html

__all__ = ["found_page"]


def found_page(paper: Paper) -> bytes:
    """Returns a report as a page.

    Args:
        paper: the report; its title is the name of the project.
    """
    return html("found", project=paper.title, paper=paper)
