"""What a project knows, in SQL: images, annotations, splits, datasets, runs, jobs, bundles, stages.

The only room that speaks SQL. Its names load SQLAlchemy when they are first asked for, so that
importing this room costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from darkroom.catalogue.bundles import CataloguedBundle
    from darkroom.catalogue.catalogue import Catalogue
    from darkroom.catalogue.current import LabelCounts
    from darkroom.catalogue.images import Page

__all__ = ["Catalogue", "CataloguedBundle", "LabelCounts", "Page"]

_LEAVES = {
    "Catalogue": "catalogue",
    "CataloguedBundle": "bundles",
    "LabelCounts": "current",
    "Page": "images",
}


def __getattr__(name: str) -> object:
    if name not in _LEAVES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LEAVES[name]}"), name)
