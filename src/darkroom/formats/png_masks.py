"""PNG masks: `images/`, `masks/` with a PNG of class indices per picture, and `classes.txt`."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from darkroom import atomic
from darkroom.errors import Invalid, InvalidImage, InvalidLabel, Unsupported
from darkroom.formats.format import Entry, Export, Picture, Problem, Reading
from darkroom.formats.mask_classes import (
    CLASSES_FILE,
    IGNORE,
    NOT_CLASSES,
    Colour,
    check_class_names,
    read_mask_classes,
)
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

MOST_PIXELS = 100_000_000
"""A mask with more is refused before it is decoded."""

TRANSPARENT = -1
"""Stands for the colour of pixels that cannot be seen: nothing is said there."""


def read_png_masks(folder: Path) -> Reading:
    """Reads `images/`, `masks/` and `classes.txt`, perhaps with train, val and test below both folders.

    A mask is called as its picture, with the ending .png. Each line of classes.txt is a name, the first
    for index 0, or a number and a name, perhaps with a colour. A picture without a mask has no label.

    Raises:
        Invalid: a folder or classes.txt is missing, or classes.txt cannot be understood.
    """
    for name in ("images", "masks"):
        if not (folder / name).is_dir():
            raise Invalid(
                "masks.no-folder",
                "No folder {name} in {folder}: expected images, masks and {file}.",
                do="Name the folder that holds the three: darkroom source add FOLDER",
                name=name,
                folder=folder,
                file=CLASSES_FILE,
            )
    classes = read_mask_classes(folder / CLASSES_FILE)
    problems: list[Problem] = []
    skipped: list[str] = []
    return Reading(
        classes=classes.names,
        entries=_entries(folder, problems, skipped),
        problems=problems,
        skipped=skipped,
        mask_values=classes.values,
        mask_colours=classes.colours,
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
    _check_export(export.classes)
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
                    do="Rename one of the two pictures.",
                    name=target.stem,
                )
            masks.add(target.with_suffix(""))
            _write_pair(aside, target, picture)
        lines = [f"{index} {name}\n" for index, name in enumerate(export.classes)]
        (aside / CLASSES_FILE).write_bytes("".join(lines).encode())


def load_mask(
    path: Path,
    values: Mapping[int, int],
    *,
    colours: Mapping[Colour, int] | None = None,
    size_px: tuple[int, int] | None = None,
) -> np.ndarray:
    """Reads a mask file as class indices.

    Args:
        path: a palette, grey or two-coloured PNG; a colour PNG where colours are given.
        values: value in the file → index of its class; 255 means "not said" unless it is among them.
        colours: colour in the file → index of its class; of a palette PNG its colours count then, not its
            values.
        size_px: width and height that the picture has, upright.

    Returns:
        (H, W) uint8 of indices, 255 where nothing is said.

    Raises:
        InvalidLabel: it is no such PNG, has another size than the picture, or holds other values.
    """
    import numpy as np

    pixels, coloured = _decoded(path, size_px, bool(colours))
    known = {_packed(colour): index for colour, index in (colours or {}).items()}
    if not coloured:
        known = {IGNORE: IGNORE, **values}
    elif TRANSPARENT not in known:
        known[TRANSPARENT] = IGNORE
    found, places = np.unique(pixels, return_inverse=True)
    strange = [value for value in found.tolist() if value not in known]
    if strange:
        raise _unknown(path, strange, coloured=coloured)
    table = np.array([known[value] for value in found.tolist()], np.uint8)
    return table[places.reshape(pixels.shape)]


def encode_mask(indices: np.ndarray) -> bytes:
    """Returns class indices (H, W) uint8 as an 8-bit grey PNG."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(indices).save(file, "PNG")
    return file.getvalue()


def _decoded(path: Path, size_px: tuple[int, int] | None, has_colours: bool) -> tuple[np.ndarray, bool]:
    """Returns a mask's values or packed colours (H, W) int64, and whether they are colours."""
    import numpy as np

    from darkroom.images.opening import opened

    try:
        with opened(path.read_bytes(), max_pixels=MOST_PIXELS) as image:
            _check_mask(path, image.format, image.mode, has_colours)
            _check_size(path, image.size, size_px)
            if not has_colours or image.mode not in ("P", "RGB", "RGBA"):
                return np.asarray(image).astype(np.int64), False
            pixels = np.asarray(image.convert("RGBA")).astype(np.int64)
            packed = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
            return np.where(pixels[..., 3] == 0, TRANSPARENT, packed), True
    except (InvalidImage, Unsupported, OSError) as error:
        raise InvalidLabel(
            "masks.undecodable",
            "{path} is not a PNG that can be read: {why}",
            do="Save it again as PNG, then: darkroom run",
            path=path,
            why=error,
        ) from None


def _check_mask(path: Path, format: str | None, mode: str, has_colours: bool) -> None:
    if format != "PNG":
        raise InvalidLabel(
            "masks.lossy",
            "{path} is no PNG but {format}: values next to an outline may have been mixed.",
            do="Save the mask as a palette or grey PNG of indices, from its source.",
            path=path,
            format=format,
        )
    if mode not in ("P", "L", "1", "I", "I;16") and not has_colours:
        raise InvalidLabel(
            "masks.colour",
            "{path} is a colour picture ({mode}), and {file} gives no colours; expected one index per "
            "pixel.",
            do="Write the colour of each class into {file}, as in: 1 road #804080. Or save the mask as a "
            "palette or grey PNG of indices.",
            path=path,
            mode=mode,
            file=CLASSES_FILE,
        )


def _unknown(path: Path, strange: list[int], *, coloured: bool) -> InvalidLabel:
    shown = [f"#{value:06x}" if coloured else str(value) for value in strange[:5]]
    values = ", ".join(shown) + (", …" if len(strange) > 5 else "")
    if coloured:
        return InvalidLabel(
            "masks.unknown-colour",
            "{path} holds colours for which {file} has no class: {values}.",
            do="Add them to {file}; or correct the mask: one that was scaled or smoothed mixes colours.",
            path=path,
            values=values,
            file=CLASSES_FILE,
        )
    return InvalidLabel(
        "masks.unknown-value",
        "{path} holds {values}, for which {file} has no class.",
        do="Add the class to {file}, or correct the mask.",
        path=path,
        values=values,
        file=CLASSES_FILE,
    )


def _packed(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _check_size(path: Path, size: tuple[int, int], size_px: tuple[int, int] | None) -> None:
    if size_px is not None and size != size_px:
        raise InvalidLabel(
            "masks.size",
            "{path} is {width}×{height}; expected {expected_width}×{expected_height}, as its picture.",
            do="Draw the mask anew on the picture as it is, then: darkroom run",
            path=path,
            width=size[0],
            height=size[1],
            expected_width=size_px[0],
            expected_height=size_px[1],
        )


def _entries(folder: Path, problems: list[Problem], skipped: list[str]) -> Iterator[Entry]:
    splits = _splits_below(folder / "images")
    files = list(Tree(folder / "masks", problems))
    unused = {path for path in files if path.lower().endswith(".png")}
    masks = {_stem(path): path for path in sorted(unused)}
    own: list[Problem] = []
    for path in Tree(folder / "images", own):
        if not is_picture(path):
            skipped.append(f"images/{path}")
            continue
        mask = masks.get(_stem(path))
        unused.discard(mask or "")
        first = path.partition("/")[0].lower()
        split: Split | None = SPLIT_FOLDERS[first] if splits and first in SPLIT_FOLDERS else None
        yield Entry(f"images/{path}", split=split, mask=f"masks/{mask}" if mask else None)
    problems[:] = [found._replace(path=f"masks/{found.path}") for found in problems]
    problems += [found._replace(path=f"images/{found.path}") for found in own]
    problems += [_no_picture(mask) for mask in sorted(unused)]
    problems += [_no_png(path) for path in files if is_picture(path) and not path.lower().endswith(".png")]


def _splits_below(images: Path) -> bool:
    names = subfolders(images)
    return bool(names) and all(name.lower() in SPLIT_FOLDERS for name in names)


def _no_picture(mask: str) -> Problem:
    path = f"masks/{mask}"
    return Problem(
        path,
        Invalid(
            "masks.no-picture",
            "No picture in images is called as {path}.",
            do="Call the mask as its picture is called, or remove it; then: darkroom run",
            path=path,
        ),
    )


def _no_png(mask: str) -> Problem:
    path = f"masks/{mask}"
    error = InvalidLabel(
        "masks.no-png",
        "{path} is no PNG, and masks of other kinds are not read.",
        do="Save it as a palette or grey PNG of indices, from its source: JPEG mixes the values next to an "
        "outline.",
        path=path,
    )
    return Problem(path, error)


def _stem(path: str) -> str:
    return path.rpartition(".")[0]


def _check_export(names: tuple[str, ...]) -> None:
    check_class_names(names)
    lost = [name for name in names if name.lower() in NOT_CLASSES]
    if lost:
        raise Invalid(
            "masks.name-means-none",
            "A class cannot be called {name!r} in {file}: it would be read as none.",
            do="Rename the class.",
            name=lost[0],
            file=CLASSES_FILE,
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
