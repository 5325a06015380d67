"""What a scan of a source found."""

from __future__ import annotations

from darkroom.records import Record

__all__ = ["ScanReport"]


class ScanReport(Record):
    """What a scan of a source found."""

    source_id: str
    """The source."""
    new: int = 0
    """Files that were not known."""
    changed: int = 0
    """Files that hold another picture than before."""
    vanished: int = 0
    """Files that are gone; their pictures and labels stay in the project."""
    unchanged: int = 0
    """Files as they were."""
    quarantined: int = 0
    """Files of this source that are set aside now; the catalogue lists them with the reason."""
    conflicts: int = 0
    """Pictures of this source that carry two different labels now."""
    contradicted: int = 0
    """Pictures whose label a person gave and the source contradicts; the person's label stays."""
    labelled: int = 0
    """Answers that this scan added to the log."""
    skipped: int = 0
    """Files that are not pictures, or that nothing names."""
    skipped_files: tuple[str, ...] = ()
    """The first twenty of them."""
    seconds: float = 0.0
    """How long it took."""
