"""docs/contract.md says what the code does: its tables are computed anew."""

from __future__ import annotations

import re
import typing

import numpy as np
import pytest

from darkroom.images import Decoded, apply_contract, reference_contract, transform_of
from darkroom.images.opening import FORMATS, MAX_PIXELS, MAX_SIDE_PX
from darkroom.images.reference import axis_coefficients
from darkroom.records import CONTRACT_VERSION, Contract, Enhancement, ResizeMode
from tests.tree import ROOT

PAGE = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if "|" in line]


def numbers(text: str) -> list[int]:
    return [int(found) for found in re.findall(r"\d+", text)]


def test_the_page_is_of_this_version_and_names_every_mode_step_and_format() -> None:
    assert PAGE.startswith(f"# The preprocessing contract, version {CONTRACT_VERSION}\n")
    for name in (*typing.get_args(ResizeMode), *typing.get_args(Enhancement)):
        assert f"`{name}`" in PAGE
    assert {name for name in FORMATS if name.lower() not in PAGE.lower()} == set()
    assert f"{MAX_PIXELS:,}" in PAGE
    assert f"{MAX_SIDE_PX:,}" in PAGE


def test_the_steps_stand_in_the_order_in_which_they_run() -> None:
    chain = re.search(r"file → (.+) → enhance_… → tensor", PAGE)
    assert chain
    steps = apply_contract(Decoded.from_pixels(np.zeros((3, 3, 3), np.uint8)), Contract(), trace=True).steps
    assert chain[1].split(" → ") == [step.name for step in steps]


def geometry_rows() -> list[list[str]]:
    return [row for row in ROWS if len(row) == 5 and row[2] in typing.get_args(ResizeMode)]


@pytest.mark.parametrize("row", geometry_rows(), ids=lambda row: f"{row[0]} {row[2]}")
def test_the_worked_sizes_are_right(row: list[str]) -> None:
    (width, height), (w, h) = numbers(row[0]), numbers(row[1])
    found = transform_of(width, height, Contract(width_px=w, height_px=h, resize=row[2]))
    assert (list(found.crop_box), list(found.tensor_box)) == (numbers(row[3]), numbers(row[4]))


def test_the_page_has_six_worked_sizes() -> None:
    assert len(geometry_rows()) == 6


def test_the_worked_coefficients_are_right() -> None:
    rows = [row for row in ROWS if len(row) == 4 and re.fullmatch(r"\d+ → \d+", row[0])]
    assert len(rows) == 4
    for lengths, i, lo, k in rows:
        n_in, n_out = numbers(lengths)
        assert axis_coefficients(n_in, n_out)[int(i)] == (int(lo), numbers(k))


def test_the_worked_row_is_right() -> None:
    found = re.search(r"The row ([\d, ]+) becomes ([\d, ]+)\.", PAGE)
    assert found
    before, after = numbers(found[1]), numbers(found[2])
    contract = Contract(width_px=len(after), height_px=1, colour="grey", resize="squash")
    row = np.array([before], np.uint8)[:, :, None]
    assert reference_contract(row, contract)[0, :, 0].tolist() == after
    assert apply_contract(Decoded.from_pixels(row), contract).tensor[0, :, 0].tolist() == after


def test_the_table_of_orientations_is_right() -> None:
    head = next(i for i, row in enumerate(ROWS) if row[0] == "orientation")
    columns, rows = ROWS[head + 2][1:], ROWS[head + 3][1:]
    stored = np.arange(15, dtype=np.uint8).reshape(3, 5, 1)
    for orientation, (column, row) in enumerate(zip(columns, rows, strict=True), start=1):
        width, height = (3, 5) if orientation >= 5 else (5, 3)
        contract = Contract(width_px=width, height_px=height, colour="grey")
        decoded = Decoded.from_pixels(stored, orientation=orientation)
        upright = apply_contract(decoded, contract, trace=True).steps[1].pixels
        for y in range(height):
            for x in range(width):
                at = (place(row, x, y), place(column, x, y))
                assert upright[y, x] == stored[at], orientation


def place(text: str, x: int, y: int) -> int:
    """Works out a cell such as W₀−1−x for a stored picture of 5 × 3."""
    value = {"x": x, "y": y}[text[-1]]
    return {"W": 4 - value, "H": 2 - value}.get(text[0], value)
