"""The table of formats: to add one, write its reader and writer and add a row."""

from __future__ import annotations

from pathlib import Path

from darkroom.errors import InvalidConfig, among
from darkroom.formats.class_folders import read_class_folders, write_class_folders
from darkroom.formats.csv_table import find_tables, read_csv, write_csv
from darkroom.formats.format import Format
from darkroom.formats.png_masks import read_png_masks, write_png_masks

__all__ = ["FORMATS", "detect", "find_format"]

FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format(
            name="class-folders",
            summary="one folder per class, perhaps below train, val and test",
            holds=frozenset({"class"}),
            also=frozenset({"split"}),
            read=read_class_folders,
            write=write_class_folders,
        ),
        Format(
            name="csv",
            summary="a table beside the pictures: image, label or labels, split, group, metadata",
            holds=frozenset({"class", "classes"}),
            also=frozenset({"split", "group", "metadata"}),
            read=read_csv,
            write=write_csv,
        ),
        Format(
            name="png-masks",
            summary="images/, masks/ with a PNG of class indices per picture, classes.txt",
            holds=frozenset({"mask"}),
            also=frozenset({"split"}),
            read=read_png_masks,
            write=write_png_masks,
        ),
    )
}
"""Name → format."""


def find_format(name: str) -> Format:
    """Returns a format by its name.

    Raises:
        InvalidConfig: no format has that name.
    """
    if name not in FORMATS:
        raise InvalidConfig(
            "format.unknown",
            'No format "{name}". Known: {known}.{nearest}',
            do="See: docs/guide/labels-and-formats.md",
            **among(name, FORMATS),
        )
    return FORMATS[name]


def detect(folder: Path) -> str:
    """Returns the name of the format that a folder looks like; "class-folders" when nothing else fits."""
    if (folder / "images").is_dir() and (folder / "masks").is_dir():
        return "png-masks"
    if folder.is_dir() and find_tables(folder):
        return "csv"
    return "class-folders"
