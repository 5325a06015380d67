"""What an operation answers: a record that also says how a person sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from darkroom.records.record import Record

__all__ = ["Result", "Table"]


class Table(NamedTuple):
    """Rows of text under headings; the faces draw it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""


class Result(Record):
    """The answer of an operation."""

    @property
    def exit_code(self) -> int:
        """What the shell exits with: 0 unless a limit is missed."""
        return 0

    def notes(self) -> Iterable[str]:
        """Yields what a person must hear even where many results are shown at once: warnings, outcomes."""
        return ()

    def display(self) -> Iterable[str | Table]:
        """Yields what a person sees: lines of text and tables."""
        shown = self.model_dump(exclude={"schema_version"}, mode="json")
        yield Table(("", ""), tuple((name, str(value)) for name, value in shown.items()))
