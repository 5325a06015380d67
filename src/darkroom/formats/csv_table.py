"""CSV: a table beside the pictures with the columns image, label, and what else is known."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from darkroom import atomic
from darkroom.errors import Invalid, nearest
from darkroom.formats.format import Entry, Export, Picture, Problem, Reading
from darkroom.formats.tree import SPLIT_FOLDERS, Tree, is_picture, put_picture, refuse_full_folder
from darkroom.records import ClassesLabel, ClassLabel
from darkroom.spreadsheet import csv_text, unescape

__all__ = ["TABLE_FILE", "find_tables", "read_csv", "write_csv"]

TABLE_FILE = "annotations.csv"

COLUMNS = {
    "image": "image",
    "file": "image",
    "filename": "image",
    "file_name": "image",
    "path": "image",
    "label": "label",
    "class": "label",
    "labels": "labels",
    "classes": "labels",
    "split": "split",
    "group": "group",
}
"""Heading, in small letters → what the column holds; every other column is metadata."""

SEPARATOR = "|"
"""Between the classes of a picture in the column `labels`; alone it means "none of them"."""

_NO_TEXT = re.compile("[\ud800-\udfff\0]")


class _Table(NamedTuple):
    path: Path
    name: str
    roles: tuple[str, ...]
    """What each column holds; metadata under its own heading with "=" in front."""
    lines: Iterator[tuple[int, list[str]]]


def read_csv(folder: Path) -> Reading:
    """Reads `annotations.csv`, or else all tables of the folder that have an image column.

    The table is UTF-8 (with or without a mark at its beginning) or UTF-16 with a mark, and separated by
    commas, semicolons or tabs. Paths are relative to the folder. A line that cannot be taken is a
    problem with its number; the others count. Pictures that no line names are skipped.

    Raises:
        Invalid: there is no table, it is not text, or its header has no image column.
    """
    tables = find_tables(folder)
    if not tables:
        raise Invalid(
            "csv.no-table",
            "No table in {folder}: expected {file} with the columns image and label.",
            do="Write one, or name another format.",
            folder=folder,
            file=TABLE_FILE,
        )
    problems: list[Problem] = []
    entries: list[Entry] = []
    for path in tables:
        entries += _rows(_open(path), folder, problems)
    skipped: list[str] = []
    walked = _and_skipped(entries, folder, problems, skipped)
    return Reading(_classes(entries), walked, problems, skipped)


def write_csv(folder: Path, export: Export) -> None:
    """Writes `images/` and `annotations.csv`; cells that a spreadsheet could run are escaped.

    Raises:
        Invalid: a text cannot stand in a table.
        Conflict: the folder is not empty.
        StorageFailed: the disk refuses; nothing is left.
    """
    refuse_full_folder(folder)
    label = "labels" if export.task == "multi-label" else "label"
    rows: list[tuple[list[str], Mapping[str, str]]] = []
    with atomic.write_folder(folder) as aside:
        for picture in export.pictures:
            path = PurePosixPath("images", picture.split or "", picture.name)
            put_picture(picture, aside / path)
            known = [str(path), _cell(picture), picture.split or "", picture.group or ""]
            rows.append((known, picture.metadata))
        headings = sorted({heading for _, metadata in rows for heading in metadata})
        _refuse_headings(headings)
        cells = [[*known, *(metadata.get(one, "") for one in headings)] for known, metadata in rows]
        _refuse_non_text(cells, headings)
        text = csv_text(["image", label, "split", "group", *headings], cells)
        (aside / TABLE_FILE).write_bytes(text.encode())


def find_tables(folder: Path) -> list[Path]:
    """Returns the tables of a folder that name pictures: annotations.csv alone, or all others, sorted."""
    if (folder / TABLE_FILE).is_file():
        return [folder / TABLE_FILE]
    found = (path for path in sorted(folder.iterdir()) if path.suffix.lower() == ".csv" and path.is_file())
    return [path for path in found if _names_pictures(path)]


def _names_pictures(path: Path) -> bool:
    try:
        return bool(_open(path))
    except Invalid:
        return False


def _open(path: Path) -> _Table:
    text = _text_of(path)
    delimiter = next((one for one in ",;\t" if "image" in map(_role, _headings(text, one))), ",")
    headings = _headings(text, delimiter)
    roles = tuple(map(_role, headings))
    _check_roles(path, headings, roles)
    # A header written "image, label" says that spaces after the commas mean nothing.
    spaced = len(headings) > 1 and all(heading.startswith(" ") for heading in headings[1:])
    lines = _numbered(_reader(text, delimiter, spaced=spaced))
    next(one for one in lines if any(one[1]))
    return _Table(path, path.name, roles, lines)


def _headings(text: str, delimiter: str) -> list[str]:
    lines = _numbered(_reader(text, delimiter))
    return next((list(map(unescape, cells)) for _, cells in lines if any(cells)), [])


def _role(heading: str) -> str:
    return COLUMNS.get(heading.strip().lower(), f"={heading.strip()}")


def _reader(text: str, delimiter: str, *, spaced: bool = False) -> Any:
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=spaced)


def _text_of(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise Invalid(
            "csv.unreadable",
            "{path} cannot be read: {why}.",
            do="Check the rights on it, then: darkroom run",
            path=path,
            why=error.strerror or error,
        ) from None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Invalid(
            "csv.not-text",
            "{path}, line {line}: this is not UTF-8.",
            do="Save the table as UTF-8 (in Excel: CSV UTF-8).",
            path=path,
            line=data.count(b"\n", 0, error.start) + 1,
        ) from None


def _numbered(reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Yields each row with the line on which it ends; what the csv module refuses ends the table."""
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        yield reader.line_num, [f"\0{error}"]


def _check_roles(path: Path, headings: list[str], roles: tuple[str, ...]) -> None:
    twice = sorted({role for role in roles if not role.startswith("=") and roles.count(role) > 1})
    if "image" in roles and not twice and not {"label", "labels"} <= set(roles):
        return
    if "image" in roles:
        raise Invalid(
            "csv.column-twice",
            "{path}, line 1: more than one column says the {what}.",
            do="Keep one of them.",
            path=path,
            what=twice[0] if twice else "label",
        )
    close = next((found for found in (nearest("image", [one.lower()]) for one in headings) if found), "")
    raise Invalid(
        "csv.no-image-column",
        "{path}, line 1: no column image.{close} Its columns are: {headings}.",
        do="Name the column that holds the files: image.",
        path=path,
        close=close,
        headings=", ".join(headings)[:200] or "none",
    )


def _rows(table: _Table, folder: Path, problems: list[Problem]) -> Iterator[Entry]:
    split = SPLIT_FOLDERS.get(table.path.stem.lower())
    for line, cells in table.lines:
        if not any(cells):
            continue
        try:
            entry = _entry(table, line, cells, folder)
        except Invalid as error:
            problems.append(Problem(f"{table.name}:{line}", error))
            continue
        yield entry if entry.split or not split else entry._replace(split=split)


def _entry(table: _Table, line: int, cells: list[str], folder: Path) -> Entry:
    where = f"{table.name}, line {line}"
    if len(cells) != len(table.roles) or _NO_TEXT.search("".join(cells)):
        raise Invalid(
            "csv.bad-line",
            "{where}: expected {expected} cells of text. Received: {received}.",
            do="Mend the line, then: darkroom run",
            where=where,
            expected=len(table.roles),
            received=f"{len(cells)}" if len(cells) != len(table.roles) else "what is not text",
        )
    row = dict(zip(table.roles, map(unescape, cells), strict=True))
    split = row.get("split", "").strip().lower()
    if split and split not in SPLIT_FOLDERS:
        raise Invalid(
            "csv.unknown-split",
            "{where}: no split {split!r}.{meant} Known: train, val, test, field, must-pass.",
            do="Mend the line, or leave the cell empty; then: darkroom run",
            where=where,
            split=split,
            meant=nearest(split, SPLIT_FOLDERS),
        )
    return Entry(
        path=_path(row["image"], folder, where),
        value=_value(row),
        split=SPLIT_FOLDERS[split] if split else None,
        group=row.get("group") or None,
        metadata={role[1:]: cell for role, cell in row.items() if role[0] == "=" and role[1:] and cell},
    )


def _path(cell: str, folder: Path, where: str) -> str:
    path = cell if _is_file(folder / cell) else cell.replace("\\", "/")
    plain = PurePosixPath(path)
    strange = not plain.parts or plain.is_absolute() or ".." in plain.parts or ":" in plain.parts[0]
    if not cell.strip() or strange:
        raise Invalid(
            "csv.path-outside",
            "{where}: expected the path of a picture inside the folder. Received: {cell!r}.",
            do="Name the picture from the table's folder on, then: darkroom run",
            where=where,
            cell=cell,
        )
    if not _is_file(folder / plain):
        raise Invalid(
            "csv.no-such-picture",
            "{where}: there is no file {path}.",
            do="Paths are relative to the table's folder.",
            where=where,
            path=path,
        )
    return str(plain)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _value(row: Mapping[str, str]) -> ClassLabel | ClassesLabel | None:
    if row.get("label"):
        return ClassLabel(label=row["label"])
    if row.get("labels"):
        return ClassesLabel(labels=tuple(sorted({one for one in row["labels"].split(SEPARATOR) if one})))
    return None


def _classes(entries: Iterable[Entry]) -> tuple[str, ...]:
    found: set[str] = set()
    for entry in entries:
        if isinstance(entry.value, ClassLabel):
            found.add(entry.value.label)
        elif isinstance(entry.value, ClassesLabel):
            found.update(entry.value.labels)
    return tuple(sorted(found))


def _and_skipped(
    entries: list[Entry], folder: Path, problems: list[Problem], skipped: list[str]
) -> Iterator[Entry]:
    yield from entries
    named = {entry.path for entry in entries}
    skipped += [path for path in Tree(folder, problems) if path not in named and is_picture(path)]


def _cell(picture: Picture) -> str:
    if picture.value is None:
        return ""
    if isinstance(picture.value, ClassLabel):
        return picture.value.label
    if any(SEPARATOR in label or not label for label in picture.value.labels):
        raise Invalid(
            "csv.class-name",
            "Among several classes none can be empty or hold {separator!r}: {labels}.",
            do="Give the class another name.",
            separator=SEPARATOR,
            labels=", ".join(picture.value.labels),
        )
    return SEPARATOR.join(picture.value.labels) or SEPARATOR


def _refuse_headings(headings: list[str]) -> None:
    for heading in headings:
        if not heading.strip() or heading != heading.strip() or heading.lower() in COLUMNS:
            raise Invalid(
                "csv.heading",
                "Metadata cannot be written under the heading {heading!r}.",
                do="Give that column another heading in the table that it came from, then: darkroom run",
                heading=heading,
            )


def _refuse_non_text(cells: list[list[str]], headings: list[str]) -> None:
    for row in (*cells, headings):
        if _NO_TEXT.search("".join(row)):
            raise Invalid("csv.cell-not-text", "{cell!r} is not text that a table can hold.", cell=row[1:3])
