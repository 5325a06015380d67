"""Convert a network to files for other platforms, and prove that each answers as PyTorch does.

The table and the records are here; the work is in `conversion` (write the files) and `parity` (compare).
"""

from darkroom.export.exporters import EXPORTERS, Exporter, find
from darkroom.export.report import (
    Conversion,
    ConvertedFile,
    FailedConversion,
    FileParity,
    Flip,
    GoldenParity,
    Latency,
    MemoryUse,
    ParityReport,
)

__all__ = [
    "EXPORTERS",
    "Conversion",
    "ConvertedFile",
    "Exporter",
    "FailedConversion",
    "FileParity",
    "Flip",
    "GoldenParity",
    "Latency",
    "MemoryUse",
    "ParityReport",
    "find",
]
