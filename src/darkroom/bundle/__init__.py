"""Bundles, written and read: what leaves for an app: models, contract, card, golden vectors, hashes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from darkroom.bundle.contract_json import contract_document, contract_of
    from darkroom.bundle.golden import GoldenVector, GoldenVectors
    from darkroom.bundle.inspection import BundleInspection, FileState, inspect
    from darkroom.bundle.model_file import ExtraFile, ModelFile, copy_model, size_of
    from darkroom.bundle.reader import Bundle, read_bundle
    from darkroom.bundle.synthetic import synthetic_images
    from darkroom.bundle.writer import write_bundle

__all__ = [
    "Bundle",
    "BundleInspection",
    "ExtraFile",
    "FileState",
    "GoldenVector",
    "GoldenVectors",
    "ModelFile",
    "contract_document",
    "contract_of",
    "copy_model",
    "inspect",
    "read_bundle",
    "size_of",
    "synthetic_images",
    "write_bundle",
]

# Loaded when first asked for: help and the board know of bundles and do without numpy.
_WHERE = {
    "Bundle": "reader",
    "BundleInspection": "inspection",
    "ExtraFile": "model_file",
    "FileState": "inspection",
    "GoldenVector": "golden",
    "GoldenVectors": "golden",
    "ModelFile": "model_file",
    "copy_model": "model_file",
    "contract_document": "contract_json",
    "contract_of": "contract_json",
    "inspect": "inspection",
    "read_bundle": "reader",
    "size_of": "model_file",
    "synthetic_images": "synthetic",
    "write_bundle": "writer",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = found  # importing the module bound its own name here
    return found
