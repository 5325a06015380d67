"""Labelled pictures frozen as a version, split without leaks, rendered as tensors, handed over."""

from typing import TYPE_CHECKING, Any

from darkroom.datasets.conflict import LabelConflict, Saying, label_conflicts
from darkroom.datasets.deliverable import deliver
from darkroom.datasets.facts import ClassFacts, DatasetFacts, Histogram, Twins
from darkroom.datasets.frozen import freeze, labels_of
from darkroom.datasets.plan import SplitPlan
from darkroom.datasets.renderer import find_rendering, refuse_empty, render

if TYPE_CHECKING:
    from darkroom.datasets.exploration import Exploration, explore
    from darkroom.datasets.rendering import RenderedSplit, Rendering

__all__ = [
    "ClassFacts",
    "DatasetFacts",
    "Exploration",
    "Histogram",
    "LabelConflict",
    "RenderedSplit",
    "Rendering",
    "Saying",
    "SplitPlan",
    "Twins",
    "deliver",
    "explore",
    "find_rendering",
    "freeze",
    "label_conflicts",
    "labels_of",
    "refuse_empty",
    "render",
]

# Loaded when first asked for: they need numpy and pyarrow, which `darkroom --help` does without.
_LATER = {
    "Exploration": "darkroom.datasets.exploration",
    "RenderedSplit": "darkroom.datasets.rendering",
    "Rendering": "darkroom.datasets.rendering",
    "explore": "darkroom.datasets.exploration",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
