"""One file of the store: some hundred vectors with the ids of their images and checksums.

24 bytes              magic, length of the header, checksum of the header, checksum of the rows
header                JSON: image_ids, size; plain text, so that whoever forgets a picture finds its files
rows                  (n, size) float32, little-endian, from the next multiple of 64 bytes on
"""

from __future__ import annotations

import json
import struct
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from darkroom import atomic

__all__ = ["SUFFIX", "Part", "read_part", "write_part"]

SUFFIX = ".rows"
MAGIC = b"DRFEAT1\n"
FIXED = struct.Struct("<8sQII")
ALIGNED_TO_BYTES = 64
CHUNK_BYTES = 1 << 20
ROW = np.dtype("<f4")


class Part(NamedTuple):
    """A file whose checksums were right when it was read."""

    path: Path
    image_ids: tuple[str, ...]
    """Of the n rows."""
    size: int
    """Numbers in a row."""
    offset: int
    """Byte at which the rows begin."""

    def rows(self) -> np.ndarray:
        """Maps the rows (n, size) float32 into memory, read-only."""
        shape = (len(self.image_ids), self.size)
        return np.memmap(self.path, ROW, mode="r", offset=self.offset, shape=shape)


def write_part(folder: Path, image_ids: Sequence[str], rows: np.ndarray) -> None:
    """Writes a new file, whole or not at all.

    Args:
        folder: where; the file's name is random, so that two processes do not meet.
        image_ids: of the n rows.
        rows: (n, size) float32.

    Raises:
        StorageFailed: the disk is full or refuses.
    """
    header = json.dumps({"image_ids": list(image_ids), "size": rows.shape[1]}).encode()
    content = np.ascontiguousarray(rows, ROW).tobytes()
    fixed = FIXED.pack(MAGIC, len(header), zlib.crc32(header), zlib.crc32(content))
    padding = b"\0" * (_offset(len(header)) - len(fixed) - len(header))
    atomic.write_bytes(folder / f"{uuid.uuid4().hex}{SUFFIX}", fixed + header + padding + content)


def read_part(path: Path, *, size: int) -> Part | None:
    """Reads a file's header and checks all of it; None when it is cut, changed, or of another size.

    Args:
        path: the file.
        size: numbers that a row must have.
    """
    try:
        with path.open("rb") as file:
            fixed = file.read(FIXED.size)
            if len(fixed) != FIXED.size or not fixed.startswith(MAGIC):
                return None
            _, length, header_crc, rows_crc = FIXED.unpack(fixed)
            header = file.read(min(length, path.stat().st_size))
            if zlib.crc32(header) != header_crc:
                return None
            facts = json.loads(header)
            part = Part(path, tuple(facts["image_ids"]), int(facts["size"]), _offset(length))
            file.seek(part.offset)
            found = 0
            while chunk := file.read(CHUNK_BYTES):
                found = zlib.crc32(chunk, found)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    whole = path.stat().st_size == part.offset + len(part.image_ids) * part.size * ROW.itemsize
    return part if whole and found == rows_crc and part.size == size else None


def _offset(header_length: int) -> int:
    return -(-(FIXED.size + header_length) // ALIGNED_TO_BYTES) * ALIGNED_TO_BYTES
