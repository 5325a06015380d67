"""What a notebook shows of a result: the blocks of the pages in a frame, light and dark, no script."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from darkroom.documents.blocks import Block, Cell, Section, Table, Text
from darkroom.documents.page import html
from darkroom.records import Table as PlainTable

__all__ = ["blocks_of", "notebook_html"]


def notebook_html(title: str, lead: str, sections: Sequence[Section]) -> str:
    """Returns what a notebook shows: HTML that needs nothing beside it and runs no script.

    Args:
        title: what it is, in a few words.
        lead: the most important sentence; may be empty.
        sections: the parts; those without a title go on from the one before.
    """
    return html("notebook", title=title, lead=lead, sections=sections).decode()


def blocks_of(parts: Iterable[str | PlainTable]) -> tuple[Block, ...]:
    """Returns lines and tables, as a result shows itself, as blocks."""
    return tuple(_blocks(parts))


def _blocks(parts: Iterable[str | PlainTable]) -> Iterator[Block]:
    for part in parts:
        if isinstance(part, str):
            if part:
                yield Text(part)
            continue
        rows = tuple(tuple(Cell(cell) for cell in row) for row in part.rows)
        yield Table(part.columns, rows, part.title)
