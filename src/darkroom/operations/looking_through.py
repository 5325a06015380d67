"""Look through files of a project for what names a picture; no link is followed."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["SEARCHED_BYTES", "files_below", "folders_in", "holds_any"]

SEARCHED_BYTES = 256 << 20
"""Files up to this size are searched for the picture's id."""


def folders_in(place: Path) -> list[Path]:
    """Returns the folders directly in a folder, by name."""
    if place.is_symlink() or not place.is_dir():
        return []
    return sorted(path for path in place.iterdir() if path.is_dir() and not path.is_symlink())


def files_below(place: Path) -> Iterator[Path]:
    """Gives the files below a folder."""
    for parent, _, names in os.walk(place):
        for name in names:
            path = Path(parent, name)
            if path.is_file() and not path.is_symlink():
                yield path


def holds_any(path: Path, words: Iterable[bytes]) -> bool:
    """Says whether a file holds one of some words; it is mapped, not read into memory."""
    size_bytes = path.stat().st_size
    if not 0 < size_bytes <= SEARCHED_BYTES:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(word) >= 0 for word in words)
