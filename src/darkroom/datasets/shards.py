"""Arrow files whose pixels are written by many processes: the texts first, each tensor at its own place.

A record batch is written with its texts, and with a hole where its pixels belong, and one for its masks.
Whoever renders a picture writes it there. So no tensor travels between processes, and memory does not grow
with the set.
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
    mask_offset: int | None = None
    """Of the first byte of its mask; None where there are no masks."""


def put_pixels(place: Place, pixels: np.ndarray, mask: np.ndarray | None = None) -> int:
    """Writes the pixels of one picture, and its mask, into their place; returns their checksum."""
    flat = [np.ascontiguousarray(pixels).reshape(-1)]
    offsets = [place.offset]
    if mask is not None and place.mask_offset is not None:
        flat.append(np.ascontiguousarray(mask).reshape(-1))
        offsets.append(place.mask_offset)
    handle = os.open(place.file, os.O_WRONLY)
    try:
        for array, offset in zip(flat, offsets, strict=True):
            data, written = array.data, 0
            while written < len(data):
                written += os.pwrite(handle, data[written:], offset + written)
    finally:
        os.close(handle)
    return pixels_checksum(*flat)


class Shards:
    """The files of one split while they are written.

    Args:
        folder: where they go.
        split: its name.
        contract: what the tensors are made under.
        masks: whether each picture has a mask.
        batch_bytes: pixels of one record batch.
        shard_bytes: pixels of one file.
    """

    def __init__(
        self,
        folder: Path,
        split: str,
        contract: Contract,
        masks: bool = False,
        *,
        batch_bytes: int = BATCH_BYTES,
        shard_bytes: int = SHARD_BYTES,
    ) -> None:
        self._folder, self._split = folder, split
        self._schema = _schema(contract, masks=masks)
        row_bytes = sum(self._schema.field(name).type.byte_width for name in _fixed(self._schema))
        self.batch_rows = max(1, min(BATCH_ROWS, batch_bytes // row_bytes))
        self._shard_rows = max(self.batch_rows, shard_bytes // row_bytes)
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
        return file.write(members)

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
        fixed = zip(*(pixels_of(batch, name) for name in _fixed(batch.schema)), strict=True)
        for image_id, label, group, pixels in zip(*texts, fixed, strict=True):
            found = _row_checksum(found, image_id, label, group, pixels_checksum(*pixels))
    return found


def pixels_checksum(*parts: np.ndarray) -> int:
    """Returns a checksum of 64 bits that every changed word and every changed place of a word changes.

    A tenth of the time of a CRC. Source: sum of words times odd numbers modulo 2⁶⁴, as in M. Dietzfelbinger
    et al., "A reliable randomized algorithm for the closest-pair problem", 1997.

    Args:
        parts: (bytes,) uint8 each: pixels, perhaps a mask.
    """
    first, *others = map(_checksum, parts)
    for found in others:
        first = (first * _FACTOR + found) & _64_BITS
    return first


def _checksum(pixels: np.ndarray) -> int:
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


def pixels_of(batch: pa.RecordBatch, name: str = "pixels") -> np.ndarray:
    """Returns the pixels or masks of a batch where they lie in the file, (rows, bytes of one) uint8."""
    column = batch.column(name)
    return np.frombuffer(column.buffers()[1], np.uint8, batch.num_rows * column.type.byte_width).reshape(
        batch.num_rows, -1
    )


def _row_checksum(before: int, image_id: str, label: str, group: str | None, pixels: int) -> int:
    return zlib.crc32(f"{image_id}\0{label}\0{group or ''}\0{pixels}\n".encode(), before)


def _fixed(schema: pa.Schema) -> list[str]:
    """Returns the columns of pixels."""
    return [name for name in ("pixels", "mask") if name in schema.names]


def _schema(contract: Contract, *, masks: bool) -> pa.Schema:
    height_px, width_px, channels = contract.shape
    fields = [
        pa.field("image_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("group", pa.string()),
        pa.field("pixels", pa.binary(height_px * width_px * channels), nullable=False),
        *([pa.field("mask", pa.binary(height_px * width_px), nullable=False)] if masks else []),
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

    def write(self, members: Sequence[Member]) -> list[Place]:
        """Writes a record batch; returns where its holes begin, for each row."""
        texts = [
            pa.array([getattr(member, name) for member in members], pa.string())
            for name in ("image_id", "label", "group")
        ]
        types = [self._schema.field(name).type for name in _fixed(self._schema)]
        # Memory that nobody ever touches takes none.
        holes = [pa.py_buffer(mmap.mmap(-1, len(members) * type.byte_width)) for type in types]
        fixed = [
            pa.Array.from_buffers(type, len(members), [None, hole])
            for type, hole in zip(types, holes, strict=True)
        ]
        self._holes.skip(holes)
        self._writer.write_batch(pa.record_batch([*texts, *fixed], schema=self._schema))
        self.rows += len(members)
        if len(self._holes.starts) != len(holes):
            raise RuntimeError("pyarrow wrote the pixels in another way than is known here")
        rows = [
            tuple(
                start + row * type.byte_width for start, type in zip(self._holes.starts, types, strict=True)
            )
            for row in range(len(members))
        ]
        return [Place(str(self.path), *offsets) for offsets in rows]

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
    """A file in which some buffers are not written but skipped."""

    def __init__(self, path: Path) -> None:
        self._waiting: list[pa.Buffer] = []
        self.starts: list[int] = []
        """Where buffers were skipped, in their order."""
        self.closed = False
        self._file = path.open("wb", buffering=0)

    def skip(self, holes: Sequence[pa.Buffer]) -> None:
        """Says which buffers, all of zeros, are to be skipped next, in this order."""
        self._waiting, self.starts = list(holes), []

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        if self._waiting and len(view) == self._waiting[0].size and self._is_hole(data):
            self._waiting.pop(0)
            self.starts.append(self._file.tell())
            self._file.seek(len(view), os.SEEK_CUR)
            return len(view)
        written = 0
        while written < len(view):
            written += self._file.write(view[written:]) or 0
        return written

    def _is_hole(self, data: Any) -> bool:
        if isinstance(data, pa.Buffer):
            return data.address == self._waiting[0].address
        # A pyarrow that copies: zeros that are skipped read as zeros, so that nothing can go wrong.
        return not np.frombuffer(data, np.uint8).any()

    def tell(self) -> int:
        return self._file.tell()

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True
        self._file.close()
