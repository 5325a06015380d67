"""Bundles, written and read: what leaves for an app: models, contract, card, golden vectors, hashes."""

from darkroom.bundle.contract_document import contract_document, contract_of
from darkroom.bundle.golden import GoldenVector, GoldenVectors
from darkroom.bundle.inspection import BundleInspection, FileState, inspect
from darkroom.bundle.model_file import ExtraFile, ModelFile
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
    "inspect",
    "read_bundle",
    "synthetic_images",
    "write_bundle",
]
