"""What a report is made of: sections of text, tables and figures, said once for HTML, .docx and PDF."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias

from darkroom.documents import wording
from darkroom.documents.figures import Form
from darkroom.records import Interval

__all__ = [
    "Block",
    "Cell",
    "Drawing",
    "Drawn",
    "Fold",
    "Paper",
    "Pictures",
    "Section",
    "Shown",
    "Table",
    "Text",
    "number_cell",
    "share_cell",
    "texts_of",
]

Tone = Literal["", "pass", "fail", "open"]


class Cell(NamedTuple):
    """One cell of a table."""

    text: str
    small: str = ""
    """Behind it: mostly the ends of an interval."""
    figure: Interval | None = None
    """Drawn as a line from `floor` to 1, where the medium can."""
    floor: float = 0.0
    human: float | None = None
    """Where people stand on that line."""
    tone: Tone = ""


class Table(NamedTuple):
    """A table; the first cell of a row names it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    right: frozenset[int] = frozenset()
    """Columns of numbers."""


class Text(NamedTuple):
    """A paragraph."""

    text: str
    kind: Literal["plain", "note", "quiet", "head"] = "plain"


class Drawing(NamedTuple):
    """A figure, drawn where it is needed."""

    draw: Callable[[Form], bytes]
    title: str
    """What is shown, for those who cannot see it."""
    words: str = ""


class Drawn:
    """Draws a figure once in each form, however many files show it.

    Args:
        draw: draws it.
    """

    def __init__(self, draw: Callable[[Form], bytes]) -> None:
        self._draw = draw
        self._forms: dict[Form, bytes] = {}

    def __call__(self, form: Form) -> bytes:
        """Returns the figure."""
        if form not in self._forms:
            self._forms[form] = self._draw(form)
        return self._forms[form]


class Shown(NamedTuple):
    """A picture of the dataset with words below."""

    data: bytes | None
    words: str


class Pictures(NamedTuple):
    """Pictures side by side."""

    items: tuple[Shown, ...]


class Fold(NamedTuple):
    """What a page shows when asked to."""

    title: str
    blocks: tuple[Block, ...]


Block: TypeAlias = "Table | Text | Drawing | Pictures | Fold"


class Section(NamedTuple):
    """A part of a report with a heading."""

    id: str
    """Name inside the page."""
    title: str
    blocks: tuple[Block, ...]


class Paper(NamedTuple):
    """A whole report."""

    title: str
    kind: str
    """What it is, above the title."""
    lead: str
    sections: tuple[Section, ...]


def share_cell(figure: Interval | None, *, floor: float | None = None, human: float | None = None) -> Cell:
    """Returns a share with its interval in percent; drawn as a line where a floor is given."""
    if figure is None:
        return Cell(wording.UNDEFINED)
    drawn = figure if floor is not None else None
    return Cell(wording.share(figure.value), wording.ends(figure), drawn, floor or 0.0, human)


def number_cell(figure: Interval | None) -> Cell:
    """Returns a number with its interval."""
    if figure is None:
        return Cell(wording.UNDEFINED)
    return Cell(
        wording.number(figure.value), f"{wording.number(figure.low)} – {wording.number(figure.high)}"
    )


def texts_of(blocks: Iterable[Block]) -> Iterator[str]:
    """Yields every text that a person reads in some blocks, in order."""
    for block in blocks:
        match block:
            case Text():
                yield block.text
            case Table():
                yield from filter(None, (block.caption, *block.columns))
                for row in block.rows:
                    for cell in row:
                        yield from filter(None, (cell.text, cell.small))
            case Drawing():
                yield block.words or block.title
            case Pictures():
                yield from (item.words for item in block.items)
            case Fold():
                yield block.title
                yield from texts_of(block.blocks)
