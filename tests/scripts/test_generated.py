"""What is generated from the source is fresh."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.tree import ROOT


@pytest.mark.parametrize("script", ["messages.py", "reference.py"])
def test_generated_files_are_fresh(script: str) -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / script), "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
