"""A report as .docx, for those who comment and change it in a word processor."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from darkroom.documents.blocks import Block, Drawing, Fold, Paper, Pictures, Table, Text
from darkroom.documents.picture import picture
from darkroom.errors import MissingExtra

__all__ = ["docx"]

COLOURS = {"pass": "2C6B3F", "fail": "A8321D", "open": "8A5A00", "quiet": "625D55"}
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Source: Extensible Markup Language (XML) 1.0, Char."""

WHEN = datetime(2000, 1, 1, tzinfo=UTC)
"""The same facts give the same bytes; the time stands in the evaluation."""

FIGURE_IN, PICTURE_IN, PICTURES_IN_A_ROW = 4.2, 1.1, 4


def docx(paper: Paper) -> bytes:
    """Returns a report as a Word file.

    Raises:
        MissingExtra: python-docx is not installed.
    """
    try:
        import docx as library
    except ImportError as error:
        raise MissingExtra(
            "documents.no-docx",
            "python-docx is not installed, so no .docx is written.",
            do='pip install "darkroom[documents]"',
        ) from error
    document = library.Document()
    facts = document.core_properties
    facts.title, facts.author, facts.comments = _plain(paper.title), "Darkroom", ""
    facts.created = facts.modified = WHEN
    _landscape_margins(document)
    _paragraph(document, paper.kind, "quiet")
    document.add_heading(_plain(paper.title), 0)
    _paragraph(document, paper.lead)
    for section in paper.sections:
        document.add_heading(_plain(section.title), 1)
        _blocks(document, section.blocks)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def _landscape_margins(document: Any) -> None:
    from docx.shared import Cm

    for part in document.sections:
        part.left_margin = part.right_margin = Cm(1.8)


def _blocks(document: Any, blocks: Iterable[Block]) -> None:
    for block in blocks:
        match block:
            case Text(text, "head"):
                document.add_heading(_plain(text), 2)
            case Text(text, kind):
                _paragraph(document, text, kind)
            case Table():
                _table(document, block)
            case Drawing():
                _drawing(document, block)
            case Pictures():
                _pictures(document, block)
            case Fold(title, inner):
                document.add_heading(_plain(title), 2)
                _blocks(document, inner)


def _paragraph(document: Any, text: str, kind: str = "plain") -> None:
    run = document.add_paragraph().add_run(_plain(text))
    _tinted(run, {"note": "open", "quiet": "quiet"}.get(kind, ""))


def _tinted(run: Any, tone: str) -> None:
    from docx.shared import RGBColor

    if tone:
        run.font.color.rgb = RGBColor.from_string(COLOURS[tone])


def _table(document: Any, table: Table) -> None:
    from docx.shared import Pt

    if table.caption:
        _paragraph(document, table.caption, "quiet")
    grid = document.add_table(rows=1 + len(table.rows), cols=len(table.columns), style="Light List")
    for cell, name in zip(grid.rows[0].cells, table.columns, strict=True):
        cell.paragraphs[0].add_run(_plain(name)).font.size = Pt(8)
    for row, cells in zip(grid.rows[1:], table.rows, strict=True):
        for place, content in zip(row.cells, cells, strict=True):
            run = place.paragraphs[0].add_run(_plain(content.text))
            run.font.size = Pt(8)
            _tinted(run, content.tone)
            if content.small:
                small = place.paragraphs[0].add_run(f" ({_plain(content.small)})")
                small.font.size = Pt(7)
                small.bold = False
    document.add_paragraph()


def _drawing(document: Any, block: Drawing) -> None:
    from docx.shared import Inches

    shape = document.add_picture(io.BytesIO(block.draw("png")), width=Inches(FIGURE_IN))
    shape._inline.docPr.set("descr", _plain(block.title))
    _paragraph(document, block.words, "quiet")


def _pictures(document: Any, block: Pictures) -> None:
    from docx.shared import Inches, Pt

    rows = -(-len(block.items) // PICTURES_IN_A_ROW)
    grid = document.add_table(rows=rows, cols=PICTURES_IN_A_ROW)
    for number, item in enumerate(block.items):
        cell = grid.cell(number // PICTURES_IN_A_ROW, number % PICTURES_IN_A_ROW)
        if item.data is not None and picture(item.data) is not None:
            cell.paragraphs[0].add_run().add_picture(io.BytesIO(item.data), width=Inches(PICTURE_IN))
        cell.add_paragraph().add_run(_plain(item.words)).font.size = Pt(8)


def _plain(text: str) -> str:
    """Returns a text without what XML cannot hold."""
    return NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
