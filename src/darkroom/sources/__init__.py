"""Where pictures come from: folders, scanned again and again; bad files set aside, the rest goes on."""

from darkroom.sources.folder import scan_folder
from darkroom.sources.listing import listing_digest
from darkroom.sources.report import ScanReport

__all__ = ["ScanReport", "listing_digest", "scan_folder"]
