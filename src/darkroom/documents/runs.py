"""The page of the run table: runs side by side, and the figure that decides drawn with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from darkroom.documents.page import html, inline
from darkroom.records import Interval

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["ShownRun", "runs_page"]

MOST_DRAWN = 60
"""Rows in the drawing; the table holds all."""


class ShownRun(NamedTuple):
    """One row of the run table."""

    name: str
    """The run, or the first of some clones and how many more there are."""
    state: str
    values: tuple[str, ...]
    """Of the parameters that are shown."""
    figures: tuple[Interval | None, ...]
    """Of the figures that are shown; one without a method has no interval."""
    tags: tuple[str, ...]
    note: str


def runs_page(
    *,
    project: str,
    parameters: Sequence[str],
    columns: Sequence[str],
    rows: Sequence[ShownRun],
    left_out: int = 0,
    remarks: Sequence[str] = (),
) -> bytes:
    """Returns the page of a run table.

    Args:
        project: name of the project.
        parameters: names of the parameters that are shown.
        columns: names of the figures that are shown.
        rows: the runs.
        left_out: runs that are not shown.
        remarks: what whoever reads the table must know.
    """
    drawn = next((place for place in range(len(columns)) if any(row.figures[place] for row in rows)), None)
    return html(
        "runs",
        project=project,
        parameters=[name.removeprefix("recipe.") for name in parameters],
        columns=columns,
        rows=rows,
        left_out=left_out,
        remarks=remarks,
        figure="" if drawn is None else columns[drawn],
        drawing=None if drawn is None else _drawing(rows, columns[drawn], drawn),
    )


def _drawing(rows: Sequence[ShownRun], figure: str, place: int) -> Markup:
    from darkroom.documents.clone_figures import Strip, strips

    drawn = [
        Strip(f"{row.name} {', '.join(row.tags)}", (), one.value, one.low, one.high, _family(row))
        for row in rows[:MOST_DRAWN]
        if (one := row.figures[place]) is not None
    ]
    return inline(strips(drawn, title=f"{figure} of each run with its interval", x_title=figure))


def _family(row: ShownRun) -> str:
    """Returns the colour of a row: what a person tagged stands out."""
    return "cool" if row.tags else "accent"
