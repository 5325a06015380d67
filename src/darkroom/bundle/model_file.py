"""What is put into a bundle from outside: converted models and further files.

The model "file" of some formats is a folder (.mlpackage); what is done with one is done with either.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ExtraFile", "ModelFile", "copy_model", "parts_of", "size_of"]


@dataclass(frozen=True)
class ModelFile:
    """A converted model that goes into a bundle, under its own file name."""

    path: Path
    """A file, or the folder of a format whose models are folders."""
    target: str
    """"onnx", "litert", …"""
    precision: str
    """"float32", …"""
    outputs: int | None = None
    """How many probabilities it answers with, where the converter knows; held against the labels."""
    note: str = ""
    """What a person who unpacks the bundle should know: that it was chosen, and why."""


@dataclass(frozen=True)
class ExtraFile:
    """Any other file of a bundle: a report, a snippet, a sketch of the domain."""

    path: str
    """Place in the bundle, with forward slashes."""
    data: bytes
    role: str
    """"report", "snippet", "domain", …"""


def parts_of(model: Path) -> tuple[Path, ...]:
    """Returns the files of a model in a fixed order: itself, or all in its folder."""
    if not model.is_dir():
        return (model,)
    return tuple(sorted(path for path in model.rglob("*") if path.is_file()))


def size_of(model: Path) -> int:
    """Returns how many bytes a model has, file or folder; 0 where there is none."""
    return sum(part.stat().st_size for part in parts_of(model) if part.is_file())


def copy_model(model: Path, place: Path) -> None:
    """Copies a model, file or folder.

    Raises:
        OSError: the disk refuses.
    """
    for part in parts_of(model):
        to = place / part.relative_to(model) if model.is_dir() else place
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(part, to)
