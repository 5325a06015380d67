"""Hand a dataset version over as folders that a person and any other tool can open."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from darkroom import atomic
from darkroom.datasets.candidates import SLOTS
from darkroom.datasets.frozen import labels_of
from darkroom.records import SPLITS, DatasetVersion, Image, Location, Member, Split
from darkroom.spreadsheet import csv_text
from darkroom.workspace import ImageFile, Workspace

__all__ = ["deliver"]

TABLE_FILE = "annotations.csv"

COLUMNS = ("image", "label", "group", "image_id", "origin", "source_file")
OF_SETS = ("image", "labels", *COLUMNS[2:])

_BATCH = 1000  # members that are looked up at a time
_STEM_LENGTH = 80
_SUFFIXES = {"JPEG": ".jpg", "MPO": ".jpg", "TIFF": ".tif"}
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]')
_CANNOT_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.EACCES, errno.ENOSYS}


def deliver(
    workspace: Workspace,
    version: DatasetVersion,
    folder: Path,
    *,
    pictures: Literal["link", "copy", "none"] = "link",
) -> Path:
    """Writes `train/`, `val/`, `test/`, …, each with its pictures, `annotations.csv` and masks.

    The whole folder takes the place of what was there, when everything is written.

    Args:
        workspace: the project.
        version: the dataset version.
        folder: where it goes.
        pictures: link them where the file system can, copy them, or write the tables only.

    Raises:
        NotFound: the file of a picture is gone.
        Damaged: the file of a picture holds something else than when it was added.
        StorageFailed: the disk refuses; the folder is as it was.
    """
    with atomic.write_folder(folder) as aside:
        for split in SPLITS:
            if version.counts.get(split):
                _Part(workspace, version, aside / split, pictures).write(split)
        if version.task == "segmentation":
            names = [f"{index} {name}\n" for index, name in enumerate(version.classes)]
            (aside / "classes.txt").write_text("".join(names), "utf-8")
        (aside / "README.txt").write_text(_readme(version, pictures), "utf-8")
    return folder


class _Row(NamedTuple):
    member: Member
    image: Image
    place: Location | None
    file: ImageFile | None


class _Part:
    """The folder of one split."""

    def __init__(self, workspace: Workspace, version: DatasetVersion, folder: Path, pictures: str) -> None:
        self._workspace, self._version, self._folder, self._pictures = workspace, version, folder, pictures
        self._names: set[str] = set()
        self._folders = _class_folders(version.classes) if version.task == "classification" else {}

    def write(self, split: Split) -> None:
        """Writes pictures, masks and the table."""
        self._folder.mkdir()
        rows = [self._written(row) for row in self._rows(split)]
        columns = OF_SETS if self._version.task == "multi-label" else COLUMNS
        (self._folder / TABLE_FILE).write_text(csv_text(columns, rows), "utf-8", newline="")

    def _written(self, row: _Row) -> tuple[str, ...]:
        member, labels = row.member, labels_of(row.member, self._version.task)
        path = self._path(row)
        if row.file is not None:
            _put(row.file, self._folder / path, link=self._pictures == "link")
        if self._version.task == "segmentation":
            label = f"masks/{Path(path).with_suffix('.png').name}"
            mask = self._folder / label
            mask.parent.mkdir(exist_ok=True)
            mask.write_bytes(self._workspace.blobs.get(member.label))
        else:
            label = "|".join(labels) or "|"  # alone it means: none of them, which is an answer
        source_file = f"{row.place.source_id}/{row.place.path}" if row.place else ""
        return (path, label, member.group or "", member.image_id, row.image.origin, source_file)

    def _path(self, row: _Row) -> str:
        """Returns a readable path that stands once, also where capitals do not count."""
        folder = self._folders.get(row.member.label, "images")
        stem = Path(row.place.path).stem if row.place else row.member.image_id[:12]
        suffix = Path(row.place.path).suffix if row.place else ""
        suffix = suffix or _SUFFIXES.get(row.image.format, f".{row.image.format.lower()}")
        stem = _safe(stem)[:_STEM_LENGTH]
        # A mask is called as its picture, so that stems must differ, not only names.
        for name in (stem, f"{stem}-{row.member.image_id[:8]}", row.member.image_id):
            if (key := f"{folder}/{name}".casefold()) not in self._names:
                break
        self._names.add(key)
        return f"{folder}/{name}{suffix}"

    def _rows(self, split: Split) -> Iterator[_Row]:
        workspace = self._workspace
        members = workspace.catalogue.datasets.members(self._version.ref, split)
        while batch := list(islice(members, _BATCH)):
            image_ids = [member.image_id for member in batch]
            images = workspace.catalogue.images.many(image_ids)
            places = workspace.catalogue.locations.of_images(image_ids)
            files = workspace.image_files(image_ids) if self._pictures != "none" else {}
            for member in batch:
                found = places.get(member.image_id, [])
                yield _Row(
                    member,
                    images[member.image_id],
                    found[0] if found else None,
                    files.get(member.image_id),
                )
            workspace.report(f"handing over {split}", done=len(self._names), unit="images")


def _put(file: ImageFile, target: Path, *, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if "://" in file.path:
        import fsspec

        with fsspec.open(file.path, "rb") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)  # type: ignore[arg-type]
        return
    source = os.path.realpath(file.path)
    # A blob is never linked: whoever edits the picture handed over would change what is kept by its hash.
    if link and not file.from_blob:
        try:
            os.link(source, target)
            return
        except OSError as error:
            if error.errno not in _CANNOT_LINK:
                raise
    shutil.copyfile(source, target)


def _class_folders(classes: tuple[str, ...]) -> dict[str, str]:
    """Returns a folder's name for each class: the class itself wherever that can be."""
    folders: dict[str, str] = {}
    taken = {TABLE_FILE}
    for label in classes:
        name = base = _safe(label)
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{base}-{number}"
        taken.add(name.casefold())
        folders[label] = name
    return folders


def _safe(name: str) -> str:
    """Replaces what cannot be in a file's name on Linux, macOS or Windows."""
    safe = _NOT_IN_NAMES.sub("_", name).strip().rstrip(".")
    safe = f"_{safe.lstrip('.')}" if safe.startswith(".") else safe
    while len(safe.encode()) > 200:
        safe = safe[:-1]
    return safe or "_"


def _readme(version: DatasetVersion, pictures: str) -> str:
    counts = "\n".join(
        f"    {split:<10}{version.counts[split]:>9,}" for split in SPLITS if split in version.counts
    )
    left_out = "\n".join(f"    {reason}: {count:,}" for reason, count in version.lineage.left_out.items())
    contract = version.contract
    linked = (
        "\nPictures may be links to the originals: changing one here changes it there."
        if pictures == "link"
        else ""
    )
    return f"""\
Dataset {version.ref}, frozen {version.created_at:%Y-%m-%d %H:%M} UTC
id {version.id}

For: {version.task}
Classes, in the order of the model's output: {", ".join(version.classes)}
Tensor: {contract.colour} {contract.width_px}×{contract.height_px}, {contract.resize}

Pictures:
{counts}

Left out:
{left_out or "    nothing"}

Each of the folders holds its pictures and annotations.csv: the file, its {SLOTS[version.task]}, its group,
its content's sha256, where it came from. A cell that a spreadsheet could take for a formula has an
apostrophe in front.{linked}
"""
