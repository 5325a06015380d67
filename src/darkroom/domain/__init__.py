"""Does this picture look like the training pictures, and if not, how does it differ (no torch here)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from darkroom.domain.answer import DomainAnswer, DomainReason, NearestImage
    from darkroom.domain.check import DomainCheck
    from darkroom.domain.files import read_sketch, sketch_files, write_sketch
    from darkroom.domain.learning import Examples, learn, measured_on
    from darkroom.domain.measures import measure, measure_all
    from darkroom.domain.properties import PROPERTIES, Property
    from darkroom.domain.sketch import Calibration, Sketch

__all__ = [
    "PROPERTIES",
    "Calibration",
    "DomainAnswer",
    "DomainCheck",
    "DomainReason",
    "Examples",
    "NearestImage",
    "Property",
    "Sketch",
    "learn",
    "measure",
    "measure_all",
    "measured_on",
    "read_sketch",
    "sketch_files",
    "write_sketch",
]

# Loaded when first asked for: they need numpy, which `darkroom --help` does without.
_WHERE = {
    "PROPERTIES": "properties",
    "Calibration": "sketch",
    "DomainAnswer": "answer",
    "DomainCheck": "check",
    "DomainReason": "answer",
    "Examples": "learning",
    "NearestImage": "answer",
    "Property": "properties",
    "Sketch": "sketch",
    "learn": "learning",
    "measure": "measures",
    "measure_all": "measures",
    "measured_on": "learning",
    "read_sketch": "files",
    "sketch_files": "files",
    "write_sketch": "files",
}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = found  # importing the module bound its own name here
    return found
