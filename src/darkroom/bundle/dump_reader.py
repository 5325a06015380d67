"""Read a dump that somebody else wrote: sizes are bounded before a byte is unpacked, nothing is trusted."""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from darkroom.bundle.dump import ANSWERS, DUMP_VERSION, INDEX, KIND, Dump, DumpPicture, is_known
from darkroom.errors import Damaged, Invalid, NotFound, Unsupported
from darkroom.images import MAX_PIXELS

__all__ = ["DumpFile", "open_dump"]

MOST_MEMBERS = 200_000
MOST_INDEX_BYTES = 64 * 2**20
MOST_MEMBER_BYTES = 4 * MAX_PIXELS + 4096
"""An array or a picture, unpacked: four channels of the largest picture that is decoded."""
MOST_BYTES = 8 * 2**30
"""All members, unpacked."""
MOST_HEADER_CHARACTERS = 2000
"""Of an .npy file; numpy's own headers have 118."""

NUMBERS = ("float16", "float32", "float64")
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    NotImplementedError,
    RuntimeError,  # an encrypted member; RecursionError too
    OverflowError,
    SyntaxError,  # numpy reads an array's header as a literal
    TypeError,
    KeyError,
    AttributeError,
    UnicodeError,
    MemoryError,
)
"""What a broken zip, JSON or array can raise inside the libraries that read it."""


class DumpFile:
    """A dump, opened; made by `open_dump`. Arrays are read when they are asked for.

    Args:
        path: the file.
        archive: the same, opened.
        dump: what it says.
    """

    def __init__(self, path: Path, archive: zipfile.ZipFile, dump: Dump) -> None:
        self.path, self._archive, self.dump = path, archive, dump

    def step(self, picture: DumpPicture, step: str) -> NDArray[Any] | None:
        """Returns what a step left of a picture; None where the dump does not hold it.

        Pixels are (H, W, C) uint8, everything else is float32.

        Raises:
            Invalid: the array has another type or number of axes than the step.
            Damaged: it cannot be read.
        """
        member = picture.steps.get(step)
        if member is None:
            return None
        array = self._array(member)
        if step == "normalise" or step in ANSWERS:
            axes = (3,) if step == "normalise" else (1, 3)
            return self._numbers(member, array, axes)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] not in (1, 3, 4):
            raise self._other(member, "uint8 (height, width, channels) with 1, 3 or 4 channels", array)
        if 0 in array.shape:
            raise self._other(member, "at least one pixel", array)
        return array

    def layer(self, picture: DumpPicture, place: int) -> NDArray[np.float32]:
        """Returns what a layer gave for a picture, without the batch.

        Raises:
            Invalid: it holds no floating point numbers.
            Damaged: it cannot be read.
        """
        member = picture.layers[place].array
        return self._numbers(member, self._array(member), tuple(range(6)))

    def original(self, picture: DumpPicture) -> bytes | None:
        """Returns the encoded bytes of a picture; None where the dump does not hold them.

        Raises:
            Damaged: they cannot be read, or are not those of the hash.
        """
        if not picture.original:
            return None
        with self._broken_is_damage(picture.original):
            data = self._archive.read(picture.original)
        if picture.sha256 and hashlib.sha256(data).hexdigest() != picture.sha256.lower():
            raise damaged(self.path, f"{picture.original} is not the picture of its sha256")
        return data

    def _array(self, member: str) -> NDArray[Any]:
        with self._broken_is_damage(member), self._archive.open(member) as file:
            return _read_array(file, self._archive.getinfo(member).file_size)

    @contextmanager
    def _broken_is_damage(self, member: str) -> Iterator[None]:
        try:
            yield
        except BROKEN as error:
            raise damaged(self.path, f"{member}: {_said(error)}") from error

    def _numbers(self, member: str, array: NDArray[Any], axes: tuple[int, ...]) -> NDArray[np.float32]:
        if array.dtype.name not in NUMBERS or array.ndim not in axes or not array.size:
            raise self._other(member, f"float32 with {' or '.join(map(str, axes))} axes", array)
        with np.errstate(over="ignore"):
            return array.astype(np.float32)

    def _other(self, member: str, expected: str, array: NDArray[Any]) -> Invalid:
        return Invalid(
            "dump.array",
            "{member} in the dump {path} holds {dtype} {shape}; expected {expected}.",
            do="Write the array as docs/dump.md says.",
            member=member,
            path=self.path.name,
            dtype=array.dtype.name,
            shape=array.shape,
            expected=expected,
        )


@contextmanager
def open_dump(path: Path) -> Iterator[DumpFile]:
    """Opens a dump and checks what it says about itself.

    Raises:
        NotFound: there is no such file.
        Damaged: it is no zip, cut short, or its index makes no sense.
        Unsupported: a newer Darkroom's dump.
        Invalid: it is too large when unpacked, or its parts do not fit together.
    """
    if not path.is_file():
        raise NotFound(
            "dump.missing",
            "There is no dump at {path}.",
            do="Write one: darkroom export dump   or see docs/dump.md for how an app writes it.",
            path=path,
        )
    try:
        archive = zipfile.ZipFile(path)
    except BROKEN as error:
        raise damaged(path, _said(error)) from error
    with archive:
        sizes = _checked_sizes(path, archive)
        dump = _index(path, archive)
        _check_members(path, dump, sizes)
        yield DumpFile(path, archive, dump)


def damaged(path: Path, why: str) -> Damaged:
    """Returns the error for a dump that cannot be read."""
    return Damaged(
        "dump.damaged",
        "The dump {path} cannot be read: {why}.",
        do="Copy it again, or write it as docs/dump.md says; one to compare with: darkroom export dump",
        path=path.name,
        why=why,
    )


def _checked_sizes(path: Path, archive: zipfile.ZipFile) -> dict[str, int]:
    """Returns the unpacked size of each member, none above the limits.

    A member that is longer than it says is not read past that size: `zipfile` stops there.
    """
    entries = archive.infolist()
    sizes = {entry.filename: entry.file_size for entry in entries}
    most = max(sizes.values(), default=0)
    checks = (
        (len(entries), MOST_MEMBERS, "files"),
        (most, MOST_MEMBER_BYTES, "bytes in one file, unpacked"),
        (sum(entry.file_size for entry in entries), MOST_BYTES, "bytes, unpacked"),
        (sizes.get(INDEX, 0), MOST_INDEX_BYTES, f"bytes in {INDEX}"),
    )
    for found, limit, what in checks:
        if found > limit:
            raise Invalid(
                "dump.too-large",
                "The dump {path} holds {found:,} {what}; at most {limit:,} are read.",
                do="Dump fewer pictures, or leave the layers out.",
                path=path.name,
                found=found,
                what=what,
                limit=limit,
            )
    if len(sizes) < len(entries):
        raise damaged(path, "it holds two files of one name")
    if any(entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for entry in entries):
        raise damaged(path, "it is compressed in another way than stored or deflated")
    return sizes


def _index(path: Path, archive: zipfile.ZipFile) -> Dump:
    try:
        raw = json.loads(archive.read(INDEX).decode("utf-8"), parse_constant=_refused)
    except BROKEN as error:
        why = f"it holds no {INDEX}" if INDEX not in archive.namelist() else f"{INDEX}: {_said(error)}"
        raise damaged(path, why) from error
    if not isinstance(raw, dict):
        raise damaged(path, f"{INDEX} is not that of a dump: it holds no JSON object")
    version, kind = raw.get("schema_version"), raw.get("kind")
    if isinstance(version, int) and version > DUMP_VERSION:
        raise Unsupported(
            "dump.newer",
            "The dump {path} is of version {version}; this Darkroom reads up to {known}.",
            do="Update Darkroom: pip install --upgrade darkroom",
            path=path.name,
            version=version,
            known=DUMP_VERSION,
        )
    if not isinstance(version, int) or version < 1 or kind != KIND:
        raise damaged(path, f'{INDEX} is not that of a dump, with "schema_version": 1 and "kind": "{KIND}"')
    try:
        return Dump.model_validate(raw)
    except (ValidationError, RecursionError) as error:
        raise damaged(path, f"{INDEX}: {_said(error)}") from error


def _check_members(path: Path, dump: Dump, sizes: dict[str, int]) -> None:
    names = [picture.name for picture in dump.pictures]
    if not names:
        raise Invalid(
            "dump.no-pictures",
            "The dump {path} holds no picture.",
            do="Dump at least one: darkroom export dump --images photo.jpg",
            path=path.name,
        )
    if len(set(names)) < len(names):
        raise damaged(path, "two pictures have one name")
    if len(set(dump.labels)) < len(dump.labels):
        raise damaged(path, "a label stands twice")
    for picture in dump.pictures:
        known = (member for step, member in picture.steps.items() if is_known(step))
        members = [*known, *(layer.array for layer in picture.layers)]
        members += [picture.original] if picture.original else []
        for member in members:
            if member not in sizes:
                raise damaged(path, f"picture {picture.name} names {member}, which it does not hold")


def _read_array(file: Any, size_bytes: int) -> NDArray[Any]:
    """Reads an .npy file whose header is held against its length before the values are read.

    Source: NumPy Enhancement Proposal 1, the .npy format, versions 1.0 and 2.0.
    """
    version = np.lib.format.read_magic(file)
    read_header = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read_header is None:
        raise ValueError(f".npy of version {version[0]}.{version[1]}")
    shape, by_column, dtype = read_header(file, max_header_size=MOST_HEADER_CHARACTERS)
    if dtype.name != "uint8" and dtype.name not in NUMBERS:
        raise ValueError(f"values of type {dtype}")
    if any(size < 0 for size in shape) or len(shape) > 8:
        raise ValueError(f"shape {shape}")
    needed = math.prod(shape) * dtype.itemsize
    if needed > size_bytes:
        raise ValueError(f"{size_bytes:,} bytes for an array of {needed:,}")
    data = file.read(needed + 1)
    if len(data) != needed:
        raise ValueError(f"{len(data):,} bytes of values for {needed:,}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if by_column else "C")


def _refused(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _said(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:200].rstrip(".")
