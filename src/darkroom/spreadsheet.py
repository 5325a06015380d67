"""Text tables that a spreadsheet opens as text: a cell that looks like a formula never runs.

Source: OWASP, "CSV Injection": a cell that begins with = + - @, a tab or a line break may be run.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence

__all__ = ["csv_text", "escape", "unescape"]

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
_BREAKS = ("\t", "\r", "\n")


def escape(cell: str) -> str:
    """Returns a cell that no spreadsheet runs: one that could be a formula gets an apostrophe in front."""
    return f"'{cell}" if _looks_like_formula(cell) else cell


def unescape(cell: str) -> str:
    """Returns the cell that `escape` was given."""
    return cell[1:] if cell.startswith("'") and _looks_like_formula(cell[1:]) else cell


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table as CSV (RFC 4180: commas, a header, lines that end with CR LF), formulas escaped."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    for row in (columns, *rows):
        writer.writerow([escape(cell) for cell in row])
    return text.getvalue()


def _looks_like_formula(cell: str) -> bool:
    # Apostrophes in front are looked through, so that an escaped cell is escaped once more and comes back.
    bare = cell.lstrip("'")
    return bare.startswith(_BREAKS) or bare.lstrip().startswith(_FORMULA)
