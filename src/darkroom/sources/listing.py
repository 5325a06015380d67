"""Say in one hash whether anything in a folder may have changed, without opening a file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from darkroom.formats import Problem, Tree

__all__ = ["listing_digest"]


def listing_digest(folder: Path) -> str:
    """Returns a hash over path, size and time of change of every file in a folder, in hex."""
    lines: list[str] = []
    problems: list[Problem] = []
    stat = os.stat  # this loop is most of what `status` takes on a large folder
    for (path, prefix, _), names in Tree(folder, problems).folders():
        for name in names:
            try:
                facts = stat(f"{path}/{name}")
                lines.append(f"{prefix}{name}\0{facts.st_size}\0{facts.st_mtime_ns}")
            except OSError:
                lines.append(f"{prefix}{name}\0gone")
    digest = hashlib.sha256("\0".join(lines).encode())
    for problem in problems:
        digest.update(f"{problem.path}\0{problem.error.id}\0".encode())
    return digest.hexdigest()
