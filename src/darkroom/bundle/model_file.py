"""What is put into a bundle from outside: converted models and further files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["ExtraFile", "ModelFile"]


@dataclass(frozen=True)
class ModelFile:
    """A converted model that goes into a bundle, under its own file name."""

    path: Path
    target: str
    """"onnx", "litert", …"""
    precision: str
    """"float32", …"""
    outputs: int | None = None
    """How many probabilities it answers with, where the converter knows; held against the labels."""


@dataclass(frozen=True)
class ExtraFile:
    """Any other file of a bundle: a report, a snippet, a sketch of the domain."""

    path: str
    """Place in the bundle, with forward slashes."""
    data: bytes
    role: str
    """"report", "snippet", "domain", …"""
