"""Cells that a spreadsheet could run are escaped, and come back as they were."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from darkroom.spreadsheet import csv_text, escape, unescape

FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "'=1", "＝1", '=HYPERLINK("x")']


@pytest.mark.parametrize("cell", FORMULAS)
def test_a_formula_becomes_text(cell: str) -> None:
    assert escape(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "cat", "it's", "'quoted'", "a=b", "2024-01-01", "🌷", "قطة"])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert escape(cell) == cell


@given(st.text(st.sampled_from("=+-@'\t\r\n ax＝"), max_size=8) | st.text())
def test_every_cell_comes_back(cell: str) -> None:
    assert unescape(escape(cell)) == cell
    assert not escape(cell).lstrip(" ").startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


@given(st.lists(st.lists(st.text(), min_size=2, max_size=2)))
def test_a_table_comes_back_from_csv(rows: list[list[str]]) -> None:
    text = csv_text(["a", "b"], rows)
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert [[unescape(cell) for cell in row] for row in found] == [["a", "b"], *rows]
