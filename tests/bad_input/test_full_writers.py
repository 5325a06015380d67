"""A full disk in writers beside `darkroom run`: said in words, nothing half-written, the next try works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.bad_input.full_writers import WRITERS
from tests.networks.test_weights_hub import hub
from tests.tree import ROOT

__all__ = ["hub"]

MOSTLY = {"features": 8, "uploads": 5, "server": 7, "job": 6, "job process": 6, "init": 5, "formats": 8}
MOSTLY |= {"migration": 4, "quickstart": 6, "weights": 10, "conversion": 4}
"""How many kinds of files each writes at least, counting short files."""

LONG = {"quickstart", "conversion", "job process"}


@pytest.mark.parametrize(
    "writer",
    [
        pytest.param(name, marks=pytest.mark.slow) if name in LONG else name
        for name in sorted(set(WRITERS) - {"weights"})
    ],
)
def test_a_full_disk_is_said_and_the_next_try_works(tmp_path: Path, writer: str) -> None:
    refused(writer, tmp_path)


def test_weights_that_find_no_room_are_fetched_by_the_next_try(tmp_path: Path, hub: str) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    told = refused("weights", tmp_path, {**kept, "HF_HOME": str(tmp_path / "disk"), "HF_ENDPOINT": hub})
    assert {one["id"] for one in told if one["kind"]} == {"weights.not-kept"}


def refused(writer: str, folder: Path, environment: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """Refuses each kind of file once, and checks what is said."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.bad_input.full_writers", writer, str(folder / "disk")],
        cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *told, last = map(json.loads, done.stdout.splitlines())
    assert (last["refused"], last["kind"], last["left"]) == ("nothing", "", []), last
    for one in told:
        assert one["left"] == [], one
        if not one["refused"].endswith(WRITERS[writer].silent):
            assert one["kind"] == "StorageFailed", one
            assert one["hint"], one
    assert len(told) >= MOSTLY[writer]
    return told
