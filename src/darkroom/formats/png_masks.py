"""PNG masks: `images/`, `masks/` with a PNG of class indices per picture, and `classes.txt`."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from darkroom import atomic
from darkroom.errors import Invalid, InvalidImage, InvalidLabel, Unsupported
from darkroom.formats.format import Entry, Export, Picture, Problem, Reading
from darkroom.formats.tree import (
    SPLIT_FOLDERS,
    Tree,
    is_picture,
    put_picture,
    refuse_full_folder,
    subfolders,
)
from darkroom.records import Split

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CLASSES_FILE", "IGNORE", "encode_mask", "load_mask", "read_png_masks", "write_png_masks"]

CLASSES_FILE = "classes.txt"

IGNORE = 255
"""Index that means "not said"."""

MOST_PIXELS = 100_000_000
"""A mask with more is refused before it is decoded."""

_INDEXED = re.compile(r"\s*(\d{1,5})[\s:,;]+(\S.*)")


def read_png_masks(folder: Path) -> Reading:
    """Reads `images/`, `masks/` and `classes.txt`, perhaps with train, val and test below both folders.

    A mask is called as its picture, with the ending .png. Each line of classes.txt is a name, the first
    for index 0, or a number and a name. A picture without a mask has no label.

    Raises:
        Invalid: a folder or classes.txt is missing, or classes.txt cannot be understood.
    """
    for name in ("images", "masks"):
        if not (folder / name).is_dir():
            raise Invalid(
                "masks.no-folder",
                "No folder {name} in {folder}: expected images, masks and {file}.",
                name=name,
                folder=folder,
                file=CLASSES_FILE,
            )
    names = _read_classes(folder / CLASSES_FILE)
    problems: list[Problem] = []
    skipped: list[str] = []
    return Reading(
        classes=tuple(names.values()),
        entries=_entries(folder, problems, skipped),
        problems=problems,
        skipped=skipped,
        mask_values={value: index for index, value in enumerate(names)},
    )


def write_png_masks(folder: Path, export: Export) -> None:
    """Writes `images/`, `masks/` and `classes.txt`; 255 stays "not said".

    Raises:
        Invalid: there are more than 255 classes, a name spans lines, or two pictures differ in their
            ending only.
        Conflict: the folder is not empty.
        StorageFailed: the disk refuses; nothing is left.
    """
    refuse_full_folder(folder)
    _check_classes(export.classes)
    masks: set[PurePosixPath] = set()
    with atomic.write_folder(folder) as aside:
        for name in ("images", "masks"):
            (aside / name).mkdir()
        for picture in export.pictures:
            target = PurePosixPath(picture.split or "", picture.name)
            if target.with_suffix("") in masks:
                raise Invalid(
                    "masks.same-stem",
                    "Two pictures are called {name} but for their endings; their masks would be one file.",
                    name=target.stem,
                )
            masks.add(target.with_suffix(""))
            _write_pair(aside, target, picture)
        lines = [f"{index} {name}\n" for index, name in enumerate(export.classes)]
        (aside / CLASSES_FILE).write_bytes("".join(lines).encode())


def load_mask(
    path: Path, values: Mapping[int, int], *, size_px: tuple[int, int] | None = None
) -> np.ndarray:
    """Reads a mask file as class indices.

    Args:
        path: a palette, grey or two-coloured PNG.
        values: value in the file → index of its class; 255 means "not said" unless it is among them.
        size_px: width and height that the picture has, upright.

    Returns:
        (H, W) uint8 of indices, 255 where nothing is said.

    Raises:
        InvalidLabel: it is no such PNG, has another size than the picture, or holds other values.
    """
    import numpy as np

    pixels = _decoded(path, size_px)
    found = np.unique(pixels).tolist()
    known = {IGNORE: IGNORE, **values}
    strange = [value for value in found if value not in known]
    if strange:
        raise InvalidLabel(
            "masks.unknown-value",
            "{path} holds {values}, for which {file} has no class.",
            do="Add the class to {file}, or correct the mask.",
            path=path,
            values=", ".join(map(str, strange[:5])) + (", …" if len(strange) > 5 else ""),
            file=CLASSES_FILE,
        )
    table = np.full(max(found) + 1, IGNORE, np.uint8)
    for value in found:
        table[value] = known[value]
    return table[pixels]


def encode_mask(indices: np.ndarray) -> bytes:
    """Returns class indices (H, W) uint8 as an 8-bit grey PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(indices).save(file, "PNG")
    return file.getvalue()


def _decoded(path: Path, size_px: tuple[int, int] | None) -> np.ndarray:
    import numpy as np

    from darkroom.images.opening import opened

    try:
        with opened(path.read_bytes(), max_pixels=MOST_PIXELS) as image:
            _check_mask(path, image.format, image.mode)
            _check_size(path, image.size, size_px)
            return np.asarray(image).astype(np.int64)
    except (InvalidImage, Unsupported, OSError) as error:
        raise InvalidLabel(
            "masks.undecodable", "{path} is not a PNG that can be read: {why}", path=path, why=error
        ) from None


def _check_mask(path: Path, format: str | None, mode: str) -> None:
    if format != "PNG" or mode not in ("P", "L", "1", "I", "I;16"):
        raise InvalidLabel(
            "masks.colour",
            "{path} is a colour or lossy picture ({format} {mode}); expected one index per pixel.",
            do="Save it as a palette or grey PNG.",
            path=path,
            format=format,
            mode=mode,
        )


def _check_size(path: Path, size: tuple[int, int], size_px: tuple[int, int] | None) -> None:
    if size_px is not None and size != size_px:
        raise InvalidLabel(
            "masks.size",
            "{path} is {width}×{height}; expected {expected_width}×{expected_height}, as its picture.",
            path=path,
            width=size[0],
            height=size[1],
            expected_width=size_px[0],
            expected_height=size_px[1],
        )


def _entries(folder: Path, problems: list[Problem], skipped: list[str]) -> Iterator[Entry]:
    splits = _splits_below(folder / "images")
    masks = {path for path in Tree(folder / "masks", problems) if path.lower().endswith(".png")}
    unused = set(masks)
    own: list[Problem] = []
    for path in Tree(folder / "images", own):
        if not is_picture(path):
            skipped.append(f"images/{path}")
            continue
        mask = f"{path.rpartition('.')[0]}.png"
        unused.discard(mask)
        first = path.partition("/")[0].lower()
        split: Split | None = SPLIT_FOLDERS[first] if splits and first in SPLIT_FOLDERS else None
        yield Entry(f"images/{path}", split=split, mask=f"masks/{mask}" if mask in masks else None)
    problems[:] = [found._replace(path=f"masks/{found.path}") for found in problems]
    problems += [found._replace(path=f"images/{found.path}") for found in own]
    problems += [_no_picture(mask) for mask in sorted(unused)]


def _splits_below(images: Path) -> bool:
    names = subfolders(images)
    return bool(names) and all(name.lower() in SPLIT_FOLDERS for name in names)


def _no_picture(mask: str) -> Problem:
    path = f"masks/{mask}"
    return Problem(
        path, Invalid("masks.no-picture", "No picture in images is called as {path}.", path=path)
    )


def _read_classes(path: Path) -> dict[int, str]:
    """Returns value → name, by rising value."""
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except OSError:
        raise Invalid(
            "masks.no-classes",
            "No {file} in {folder}: expected one class per line, the first for index 0.",
            do="Write one, for example: 0 background",
            file=CLASSES_FILE,
            folder=path.parent,
        ) from None
    except UnicodeDecodeError:
        raise Invalid("masks.classes-not-text", "{path} is not UTF-8.", path=path) from None
    names = [line.strip() for line in lines if line.strip()]
    matches = [_INDEXED.fullmatch(line) for line in names]
    if names and all(matches):
        pairs = [(int(match[1]), match[2]) for match in matches if match]
    else:
        pairs = list(enumerate(names))
    found = dict(sorted(pairs))
    _check_classes(tuple(found.values()), path=path, expected=len(pairs))
    return found


def _check_classes(
    names: tuple[str, ...], *, path: Path | None = None, expected: int | None = None
) -> None:
    broken = [name for name in names if not name or name != name.strip() or len(name.splitlines()) != 1]
    twice = len(set(names)) < len(names) or (expected is not None and expected != len(names))
    if names and len(names) <= IGNORE and not broken and not twice:
        return
    raise Invalid(
        "masks.bad-classes",
        "{path}: expected 1 to 255 classes, each number and each name once and on a line of its own.",
        path=path or CLASSES_FILE,
    )


def _write_pair(aside: Path, target: PurePosixPath, picture: Picture) -> None:
    if picture.value is not None:
        raise Invalid(
            "masks.class-of-picture",
            "{name} has a class as a whole; this format holds masks only.",
            do="Use the format class-folders or csv.",
            name=picture.name,
        )
    put_picture(picture, aside / "images" / target)
    if picture.mask is not None:
        mask = aside / "masks" / target.with_suffix(".png")
        mask.parent.mkdir(parents=True, exist_ok=True)
        mask.write_bytes(picture.mask)
