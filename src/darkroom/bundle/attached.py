"""What every bundle carries beside its model: examples for an app, a script that measures it elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from darkroom.bundle.model_file import ExtraFile, ModelFile
from darkroom.bundle.snippets import snippets
from darkroom.records import ModelCard

__all__ = ["SCRIPT", "attached"]

SCRIPT = "bench.py"


def attached(card: ModelCard, models: Sequence[ModelFile]) -> tuple[ExtraFile, ...]:
    """Returns these files for one model; the script is the source of `bench.py` beside this file."""
    script = Path(__file__).with_name(SCRIPT).read_bytes()
    return (ExtraFile(SCRIPT, script, "script"), *snippets(card, models))
