"""Write a dump, a picture at a time, whole or not at all."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkroom import atomic
from darkroom.bundle.dump import INDEX, Dump, DumpLayer, DumpPicture

__all__ = ["DumpedPicture", "write_dump"]


@dataclass(frozen=True)
class DumpedPicture:
    """What became of one picture, with its arrays."""

    name: str
    data: bytes = b""
    """The encoded bytes."""
    orientation: int | None = None
    """As the side read it."""
    steps: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Name of a step → pixels (H, W, C) uint8, or float32 numbers."""
    layers: Sequence[tuple[str, str, NDArray[Any]]] = ()
    """Name, operation and values of each layer, without the batch."""
    answer: str = ""
    """The class that the side told its user."""


def write_dump(path: Path, dump: Dump, pictures: Iterable[DumpedPicture], *, originals: bool = True) -> int:
    """Writes a dump; only one picture's arrays are in memory at a time.

    Args:
        path: the file.
        dump: what it says about the side; its pictures are filled in.
        pictures: what became of each picture.
        originals: put the encoded bytes in; otherwise only their hash.

    Returns:
        How many pictures it holds.

    Raises:
        StorageFailed: the disk refuses; what lay there before is untouched.
    """
    listed: list[DumpPicture] = []
    atomic.write_parts(path, _parts(dump, pictures, listed, originals=originals))
    return len(listed)


def _parts(
    dump: Dump, pictures: Iterable[DumpedPicture], listed: list[DumpPicture], *, originals: bool
) -> Iterator[bytes]:
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, picture in enumerate(pictures):
            listed.append(_put(archive, f"pictures/{number}", picture, originals=originals))
            yield sink.taken()
        said = dump.model_copy(update={"pictures": tuple(listed)})
        # Stored, so that a search through the project's files finds the hashes of pictures in it.
        text = (said.model_dump_json(indent=1) + "\n").encode()
        _write(archive, INDEX, text, zipfile.ZIP_STORED)
    yield sink.taken()


def _put(archive: zipfile.ZipFile, place: str, picture: DumpedPicture, *, originals: bool) -> DumpPicture:
    original = f"{place}/original" if originals and picture.data else ""
    if original:
        _write(archive, original, picture.data)
    steps = {}
    for step, array in picture.steps.items():
        steps[step] = f"{place}/{step}.npy"
        _write(archive, steps[step], _npy(array))
    layers = []
    for number, (name, operation, array) in enumerate(picture.layers):
        member = f"{place}/layers/{number}.npy"
        _write(archive, member, _npy(array))
        layers.append(DumpLayer(name=name, operation=operation, array=member))
    return DumpPicture(
        name=picture.name,
        sha256=hashlib.sha256(picture.data).hexdigest() if picture.data else "",
        original=original,
        orientation=picture.orientation,
        steps=steps,
        layers=tuple(layers),
        answer=picture.answer,
    )


def _write(archive: zipfile.ZipFile, member: str, data: bytes, how: int = zipfile.ZIP_DEFLATED) -> None:
    entry = zipfile.ZipInfo(member)  # a fixed date keeps the bytes the same
    entry.compress_type = how
    archive.writestr(entry, data)


def _npy(array: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return file.getvalue()


class _Sink(io.RawIOBase):
    """Holds what was written until it is taken."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._parts.append(bytes(data))
        return len(self._parts[-1])

    def taken(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)
