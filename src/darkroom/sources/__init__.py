"""Where pictures come from: folders, scanned again and again; bad files set aside, the rest goes on."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from darkroom.sources.folder import scan_folder
    from darkroom.sources.listing import listing_digest
    from darkroom.sources.report import ScanReport

__all__ = ["ScanReport", "listing_digest", "scan_folder"]

# Loaded when first asked for: `darkroom status` lists files and does without numpy.
_WHERE = {"ScanReport": "report", "listing_digest": "listing", "scan_folder": "folder"}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
