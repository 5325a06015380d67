"""Masks of a dataset: brought to the tensor, and counted, class by class and split by split."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from darkroom.engines import Failure
from darkroom.errors import Damaged, InvalidLabel
from darkroom.records import Image, Member
from darkroom.tasks.overlap import IGNORE
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from darkroom.images import Transform

__all__ = ["MaskCounts", "count_masks", "mask_tensor", "read_mask"]

CHUNK = 32
"""Masks that a worker is given at a time."""

_BATCH = 1000  # pictures that are looked up at a time


class MaskCounts(NamedTuple):
    """What the masks of a dataset hold."""

    pictures: dict[str, dict[str, int]]
    """Split → class → pictures that show it somewhere."""
    pixels: dict[str, dict[str, int]]
    """Split → class → pixels, on the originals."""


class MaskFile(NamedTuple):
    """A mask to be counted."""

    member: Member
    path: str
    size_px: tuple[int, int]
    """Width and height of its picture, upright."""


def read_mask(data: bytes) -> np.ndarray:
    """Returns the mask in a blob, (H, W) uint8.

    Raises:
        InvalidLabel: it is no 8-bit grey PNG.
    """
    import numpy as np

    from darkroom.images.opening import MAX_PIXELS, opened

    try:
        with opened(data, max_pixels=MAX_PIXELS) as image:
            pixels = np.asarray(image)
    except Exception as error:  # whatever a broken file makes of the decoder
        raise InvalidLabel("dataset.mask-broken", "A mask cannot be read: {why}", why=error) from error
    if pixels.ndim != 2 or pixels.dtype != np.uint8:
        raise InvalidLabel("dataset.mask-kind", "A mask is no 8-bit grey PNG of class indices.")
    return pixels


def mask_tensor(data: bytes, transform: Transform, classes: int) -> np.ndarray:
    """Brings a mask to the tensor's geometry, each pixel from its nearest; what is padded is not said.

    Args:
        data: the blob.
        transform: what the contract did with the picture.
        classes: how many classes there are.

    Returns:
        (height, width) uint8 of class indices, 255 where nothing is said.

    Raises:
        InvalidLabel: it has another size than the picture, or holds other values.
    """
    mask = read_mask(data)
    _check(mask, (transform.width_px, transform.height_px), classes)
    return transform.mask_to_tensor(mask, outside=IGNORE).astype("uint8", copy=False)


def count_masks(workspace: Workspace, members: Sequence[Member], classes: Sequence[str]) -> MaskCounts:
    """Counts pictures and pixels of each class in each split, and makes sure that masks fit their pictures.

    Raises:
        InvalidLabel: a mask has another size than its picture, or holds values outside the classes.
        Damaged: a mask is not what was written.
    """
    counts = MaskCounts({}, {})
    counter = partial(count_mask, classes=len(classes))
    for member, found in zip(
        members, workspace.engine.map(counter, _files(workspace, members), chunk=CHUNK), strict=True
    ):
        if isinstance(found, Failure):
            raise found.error
        for kept, numbers in ((counts.pictures, [int(one > 0) for one in found]), (counts.pixels, found)):
            of_split = kept.setdefault(member.split, dict.fromkeys(classes, 0))
            for name, number in zip(classes, numbers, strict=True):
                of_split[name] += number
    return counts


def count_mask(file: MaskFile, *, classes: int) -> list[int]:
    """Returns the pixels of each class in one mask; called in worker processes.

    Raises:
        InvalidLabel: as `count_masks`.
        Damaged: as `count_masks`.
    """
    import hashlib

    import numpy as np

    from darkroom.datasets.renderer import read_file

    data = read_file(file.path)
    if hashlib.sha256(data).hexdigest() != file.member.label:
        raise Damaged(
            "dataset.mask-damaged",
            "{path} does not hold the mask that was written there.",
            do="Read the masks again: darkroom run --rehash",
            path=file.path,
        )
    mask = read_mask(data)
    _check(mask, file.size_px, classes, image_id=file.member.image_id)
    return np.bincount(mask.ravel(), minlength=256)[:classes].tolist()


def _files(workspace: Workspace, members: Sequence[Member]) -> Iterator[MaskFile]:
    rest = iter(members)
    while batch := list(islice(rest, _BATCH)):
        images = workspace.catalogue.images.many([member.image_id for member in batch])
        for member in batch:
            path = workspace.blobs.path(member.label)
            yield MaskFile(member, path, _upright_size(images[member.image_id]))


def _upright_size(image: Image) -> tuple[int, int]:
    turned = image.camera.orientation >= 5
    return (image.height_px, image.width_px) if turned else (image.width_px, image.height_px)


def _check(mask: np.ndarray, size_px: tuple[int, int], classes: int, *, image_id: str = "") -> None:
    if mask.shape != size_px[::-1]:
        raise InvalidLabel(
            "dataset.mask-size",
            "The mask of picture {image} is {width}×{height}; the picture is {expected_width}×"
            "{expected_height}, upright.",
            do="Give the picture a mask of its own size, or take the label back.",
            image=image_id[:12] or "?",
            width=mask.shape[1],
            height=mask.shape[0],
            expected_width=size_px[0],
            expected_height=size_px[1],
        )
    strange = sorted({int(value) for value in mask[(mask >= classes) & (mask != IGNORE)]})
    if strange:
        raise InvalidLabel(
            "dataset.mask-value",
            "The mask of picture {image} holds {values}; the classes go from 0 to {last}, and 255 is "
            "not said.",
            do="Correct the mask, or take the label back.",
            image=image_id[:12] or "?",
            values=", ".join(map(str, strange[:5])),
            last=classes - 1,
        )
