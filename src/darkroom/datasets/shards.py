"""Arrow files whose pixels are written by many processes: the texts first, each tensor at its own place.

A record batch is written with its texts, and with a hole where its pixels belong. Whoever renders a
picture writes it there. So no tensor travels between processes, and memory does not grow with the set.
"""

from __future__ import annotations

import mmap
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from darkroom.datasets.manifest import ShardFacts
from darkroom.errors import Damaged
from darkroom.records import Contract, Member, canonical_json

__all__ = ["Place", "Shards", "checksum", "pixels_of", "put_pixels", "read_batches"]

BATCH_BYTES = 64 << 20
"""Pixels of one record batch; at most 1 GiB, so that every reader can address it."""

BATCH_ROWS = 4096
"""Rows of one record batch at most: their members are in memory together."""

SHARD_BYTES = 1 << 30
"""Pixels of one file."""

_64_BITS = (1 << 64) - 1
_FACTOR = 0x9E3779B97F4A7C15  # odd, near 2⁶⁴ divided by the golden ratio: Knuth, TAOCP 3, 6.4
_WEIGHTS = np.arange(1, 1 << 14, 2, dtype=np.uint64) * np.uint64(_FACTOR)


class Place(NamedTuple):
    """Where the pixels of one picture belong."""

    file: str
    """Absolute path."""
    offset: int
    """Of the first byte."""


def put_pixels(place: Place, pixels: np.ndarray) -> int:
    """Writes the pixels of one picture into its place, and returns their checksum."""
    flat = np.ascontiguousarray(pixels).reshape(-1)
    data = flat.data
    handle = os.open(place.file, os.O_WRONLY)
    try:
        written = 0
        while written < len(data):
            written += os.pwrite(handle, data[written:], place.offset + written)
    finally:
        os.close(handle)
    return pixels_checksum(flat)


class Shards:
    """The files of one split while they are written.

    Args:
        folder: where they go.
        split: its name.
        contract: what the tensors are made under.
        batch_bytes: pixels of one record batch.
        shard_bytes: pixels of one file.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        contract: Contract,
        *,
        batch_bytes: int = BATCH_BYTES,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        self._folder, self._split = folder, split
        self._row_bytes = int(np.prod(contract.shape))
        self.batch_rows = max(1, min(BATCH_ROWS, batch_bytes // self._row_bytes))
        self._shard_rows = max(self.batch_rows, shard_bytes // self._row_bytes)
        self._schema = _schema(contract)
        self._files: list[_File] = []
        self._rows_put = 0  # in the file that is being filled, which lags behind the one being laid out
        self._filling = 0

    def reserve(self, members: Sequence[Member]) -> list[Place]:
        """Writes the texts of the next pictures, at most `batch_rows`; returns their places."""
        file = self._files[-1] if self._files else None
        if file is None or file.rows + len(members) > self._shard_rows:
            if file is not None:
                file.close()
            name = f"{self._split}-{len(self._files):05d}.arrow"
            file = _File(self._folder / name, self._schema)
            self._files.append(file)
        start = file.write(members, self._row_bytes)
        return [Place(str(file.path), start + number * self._row_bytes) for number in range(len(members))]

    def put(self, member: Member, checksum: int) -> None:
        """Notes that the pixels of the next picture, in the order of `reserve`, are in their place."""
        if self._rows_put == self._files[self._filling].rows:
            self._filling, self._rows_put = self._filling + 1, 0
        file = self._files[self._filling]
        file.checksum = _row_checksum(file.checksum, member.image_id, member.label, member.group, checksum)
        self._rows_put += 1

    def finish(self) -> list[ShardFacts]:
        """Ends the last file; returns the facts of all. Every picture must have been put."""
        self.close()
        return [file.facts(self._split) for file in self._files]

    def close(self) -> None:
        """Closes the file that is open."""
        if self._files:
            self._files[-1].close()


def checksum(path: Path) -> int:
    """Returns the checksum over texts and pixels of a file, as `ShardFacts` keeps it.

    Raises:
        Damaged: it is no such file any more.
    """
    found = 0
    for batch in read_batches(path):
        texts = (batch.column(name).to_pylist() for name in ("image_id", "label", "group"))
        for image_id, label, group, pixels in zip(*texts, pixels_of(batch), strict=True):
            found = _row_checksum(found, image_id, label, group, pixels_checksum(pixels))
    return found


def pixels_checksum(pixels: np.ndarray) -> int:
    """Returns a checksum of 64 bits that every changed word and every changed place of a word changes.

    A tenth of the time of a CRC. Source: sum of words times odd numbers modulo 2⁶⁴, as in M. Dietzfelbinger
    et al., "A reliable randomized algorithm for the closest-pair problem", 1997.

    Args:
        pixels: (bytes,) uint8.
    """
    whole = len(pixels) // 8 * 8
    words = pixels[:whole].view(np.uint64)
    found = zlib.crc32(pixels[whole:].tobytes())
    for start in range(0, len(words), len(_WEIGHTS)):
        block = words[start : start + len(_WEIGHTS)]
        found = (found * _FACTOR + int(np.dot(block, _WEIGHTS[: len(block)]))) & _64_BITS
    return found


def read_batches(path: Path) -> list[pa.RecordBatch]:
    """Returns the record batches of a file; their memory is the file itself.

    Raises:
        Damaged: it is not the Arrow file that was written.
    """
    try:
        reader = pa.ipc.open_file(pa.memory_map(str(path)))
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        for batch in batches:
            batch.validate(full=True)
            batch.select(["image_id", "label", "group", "pixels"])
        return batches
    except (pa.ArrowException, KeyError, ValueError, OSError) as error:
        raise Damaged(
            "rendering.damaged",
            "{path} is not as it was written: {why}.",
            do="Delete its folder; it is rendered again when it is needed.",
            path=path,
            why=error,
        ) from error


def pixels_of(batch: pa.RecordBatch) -> np.ndarray:
    """Returns the pixels of a batch where they lie in the file, (rows, bytes of a tensor) uint8."""
    column = batch.column("pixels")
    return np.frombuffer(column.buffers()[1], np.uint8, batch.num_rows * column.type.byte_width).reshape(
        batch.num_rows, -1
    )


def _row_checksum(before: int, image_id: str, label: str, group: str | None, pixels: int) -> int:
    return zlib.crc32(f"{image_id}\0{label}\0{group or ''}\0{pixels}\n".encode(), before)


def _schema(contract: Contract) -> pa.Schema:
    height_px, width_px, channels = contract.shape
    fields = [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("group", pa.string()),
        pa.field("pixels", pa.binary(height_px * width_px * channels), nullable=False),
    ]
    # For whoever reads the file without Darkroom.
    facts = {"shape": f"{height_px},{width_px},{channels}", "contract": canonical_json(contract)}
    return pa.schema(fields, metadata=facts)


class _File:
    """One Arrow file."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.path = path
        self.rows = 0
        self.checksum = 0
        self._schema = schema
        self._holes = _FileWithHoles(path)
        self._writer: Any = pa.ipc.new_file(pa.PythonFile(self._holes, "w"), schema)

    def write(self, members: Sequence[Member], row_bytes: int) -> int:
        """Writes a record batch; returns where its hole begins."""
        texts = [
            pa.array([getattr(member, name) for member in members], pa.string())
            for name in ("image_id", "label", "group")
        ]
        self._holes.start = -1
        # Memory that nobody ever touches takes none.
        hole = mmap.mmap(-1, len(members) * row_bytes)
        pixels = pa.Array.from_buffers(
            self._schema.field("pixels").type, len(members), [None, pa.py_buffer(hole)]
        )
        self._holes.hole = pa.py_buffer(hole)
        self._writer.write_batch(pa.record_batch([*texts, pixels], schema=self._schema))
        self.rows += len(members)
        if self._holes.start < 0:
            raise RuntimeError("pyarrow wrote the pixels in another way than is known here")
        return self._holes.start

    def close(self) -> None:
        if not self._holes.closed:
            self._writer.close()
            self._holes.close()

    def facts(self, split: str) -> ShardFacts:
        facts = self.path.stat()
        return ShardFacts(
            split=split,
            file=self.path.name,
            rows=self.rows,
            size_bytes=facts.st_size,
            mtime_ns=facts.st_mtime_ns,
            checksum=self.checksum,
        )


class _FileWithHoles:
    """A file in which one buffer is not written but skipped."""

    def __init__(self, path: Path) -> None:
        self.hole = pa.py_buffer(b"")
        """The buffer to skip; all zeros."""
        self.start = -1
        """Where it was skipped."""
        self.closed = False
        self._file = path.open("wb", buffering=0)

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if len(view) == self.hole.size and self._is_hole(data):
            self.start = self._file.tell()
            self._file.seek(len(view), os.SEEK_CUR)
            return len(view)
        written = 0
        while written < len(view):
            written += self._file.write(view[written:]) or 0
        return written

    def _is_hole(self, data: Any) -> bool:
        if isinstance(data, pa.Buffer):
            return data.address == self.hole.address
        # A pyarrow that copies: zeros that are skipped read as zeros, so that nothing can go wrong.
        return not np.frombuffer(data, np.uint8).any()

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True
        self._file.close()
