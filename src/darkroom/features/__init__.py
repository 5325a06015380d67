"""An image's features, computed once and kept by network, weights, contract and image (no torch here)."""

from typing import TYPE_CHECKING, Any

from darkroom.features.key import FeatureKey

if TYPE_CHECKING:
    from darkroom.features.embedder import Embedder, Pictures
    from darkroom.features.store import FeatureStore, of, project_store
    from darkroom.features.table import FeatureTable

__all__ = [
    "Embedder",
    "FeatureKey",
    "FeatureStore",
    "FeatureTable",
    "Pictures",
    "of",
    "project_store",
]

# Loaded when first asked for: they need numpy, which `darkroom --help` does without.
_LATER = {
    "Embedder": "darkroom.features.embedder",
    "FeatureStore": "darkroom.features.store",
    "FeatureTable": "darkroom.features.table",
    "Pictures": "darkroom.features.embedder",
    "of": "darkroom.features.store",
    "project_store": "darkroom.features.store",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATER[name]), name)
