"""The oldest and the newest Pillow allowed both compute the contract exactly."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tree import ROOT

NOT_FETCHED = 3


@pytest.mark.slow
def test_oldest_middle_and_newest_pillow_equal_the_reference(tmp_path: Path) -> None:
    command = [
        sys.executable,
        str(ROOT / "benchmarks" / "contract.py"),
        "--json",
        "--folder",
        str(tmp_path),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    if run.returncode == NOT_FETCHED:
        pytest.skip(f"needs a package index: {run.stderr.strip()[-200:]}")
    rows = {row["name"]: row for row in map(json.loads, run.stdout.splitlines())}
    exact = {name: row for name, row in rows.items() if "differences" in name}
    assert len(exact) == 3, run.stderr
    assert {name: row["first"] for name, row in exact.items() if row["value"]} == {}
    assert all(row["pictures"] >= 300 for row in exact.values())
