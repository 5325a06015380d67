"""Keep the masks that a model answered: counts of pixels per image, and each mask in a few bytes.

predictions-<split>.npy     (N, 7, C) uint32 counts, see `tasks.segmentation.ROWS`
predictions-<split>.masks   the masks, each packed by zlib, one behind the other
predictions-<split>.json    ids, groups, where each mask ends, and the sha256 of the other two
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from darkroom import atomic
from darkroom.errors import Damaged, NotFound
from darkroom.evaluation.predictions import LARGE_BYTES, PART_BYTES

__all__ = ["MaskAnswers", "load_mask_answers", "packed", "save_mask_answers", "unpacked"]

KIND = "segmentation"

QUICK = 1
"""zlib's level: a mask of 256×256 pixels takes some hundredths of a second at 9 and is a tenth smaller."""


class MaskAnswers(NamedTuple):
    """The masks of one model for N images."""

    image_ids: tuple[str, ...]
    groups: tuple[str | None, ...] | None
    counts: np.ndarray
    """(N, 7, C) uint32; large ones lie in their file and are read as they are needed."""
    size_px: tuple[int, int]
    """Height and width of the masks."""
    tolerance_px: int
    """How far apart two outlines may lie to count as met."""
    file: Path
    """Where the masks are."""
    ends: np.ndarray
    """(N,) int64, where each mask ends in that file."""

    def mask(self, place: int) -> np.ndarray:
        """Returns the mask that was answered to one image, (H, W) uint8.

        Raises:
            Damaged: it is not what was written.
        """
        start = int(self.ends[place - 1]) if place else 0
        try:
            with self.file.open("rb") as file:
                file.seek(start)
                return unpacked(file.read(int(self.ends[place]) - start), self.size_px)
        except (OSError, ValueError, zlib.error) as error:
            raise _damaged(self.file, error) from error


def packed(mask: np.ndarray) -> bytes:
    """Returns a mask (H, W) uint8 in a few bytes."""
    return zlib.compress(np.ascontiguousarray(mask, np.uint8).tobytes(), QUICK)


def unpacked(data: bytes, size_px: tuple[int, int]) -> np.ndarray:
    """Returns the mask (H, W) uint8 that `packed` made bytes of.

    Raises:
        ValueError: it is of another size.
        zlib.error: the bytes are not what was written.
    """
    return np.frombuffer(zlib.decompress(data), np.uint8).reshape(size_px)


def save_mask_answers(
    folder: Path, split: str, answers: MaskAnswers, masks: Iterable[bytes]
) -> tuple[str, str]:
    """Writes the three files; the one that names the others comes last.

    Args:
        folder: the run's.
        split: name of the images.
        answers: all but the masks.
        masks: each mask, packed.

    Returns:
        Name of the .npy file, and the sha256 of its bytes.

    Raises:
        StorageFailed: the disk is full or refuses.
    """
    name = f"predictions-{split}.npy"
    of_masks, of_counts = hashlib.sha256(), hashlib.sha256()
    atomic.write_parts((folder / name).with_suffix(".masks"), _told(masks, of_masks))
    atomic.write_parts(folder / name, _told(_file_of(answers.counts), of_counts))
    facts = {
        "schema_version": 1,
        "kind": KIND,
        "counts_sha256": of_counts.hexdigest(),
        "masks_sha256": of_masks.hexdigest(),
        "height_px": answers.size_px[0],
        "width_px": answers.size_px[1],
        "tolerance_px": answers.tolerance_px,
        "image_ids": list(answers.image_ids),
        "groups": None if answers.groups is None else list(answers.groups),
        "ends": answers.ends.tolist(),
    }
    atomic.write_text(folder / f"predictions-{split}.json", json.dumps(facts, ensure_ascii=False))
    return name, of_counts.hexdigest()


def load_mask_answers(folder: Path, split: str) -> MaskAnswers:
    """Reads what `save_mask_answers` wrote.

    Raises:
        NotFound: this split was not evaluated.
        Damaged: the files do not belong together, or cannot be read.
    """
    path = folder / f"predictions-{split}.json"
    if not path.is_file():
        raise NotFound(
            "predictions.missing",
            "No predictions for {split} in {folder}.",
            do="Evaluate the run first: darkroom model evaluate",
            split=split,
            folder=folder,
        )
    try:
        return _read(path)
    except (OSError, ValueError, KeyError, TypeError, EOFError, RecursionError) as error:
        raise _damaged(path, error) from error


def _read(path: Path) -> MaskAnswers:
    facts = json.loads(path.read_text("utf-8"))
    if facts.get("kind") != KIND:
        raise ValueError("it holds no masks")
    counts_file, masks_file = path.with_suffix(".npy"), path.with_suffix(".masks")
    for file, expected in ((counts_file, "counts_sha256"), (masks_file, "masks_sha256")):
        with file.open("rb") as opened:
            if hashlib.file_digest(opened, "sha256").hexdigest() != facts[expected]:
                raise ValueError(f"{file.name} is not what was written")
    mapped = "r" if counts_file.stat().st_size > LARGE_BYTES else None
    counts = np.load(counts_file, mmap_mode=mapped, allow_pickle=False)
    groups, ends = facts["groups"], np.asarray(facts["ends"], np.int64)
    if not len(counts) == len(ends) == len(facts["image_ids"]):
        raise ValueError("it does not hold as many rows as there are images")
    return MaskAnswers(
        tuple(facts["image_ids"]),
        None if groups is None else tuple(groups),
        counts,
        (int(facts["height_px"]), int(facts["width_px"])),
        int(facts["tolerance_px"]),
        masks_file,
        ends,
    )


def _file_of(counts: np.ndarray) -> Iterator[bytes]:
    """Yields a .npy file in parts, of (N, 7, C) uint32."""
    import io

    head = io.BytesIO()
    shape = {"descr": "<u4", "fortran_order": False, "shape": counts.shape}
    np.lib.format.write_array_header_1_0(head, shape)
    yield head.getvalue()
    rows = max(1, PART_BYTES // max(1, 4 * counts.shape[1] * counts.shape[2]))
    for start in range(0, len(counts), rows):
        yield np.ascontiguousarray(counts[start : start + rows], dtype="<u4").tobytes()


def _told(parts: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for part in parts:
        digest.update(part)
        yield part


def _damaged(path: Path, reason: object) -> Damaged:
    return Damaged(
        "predictions.damaged",
        "Cannot read {path}: {reason}.",
        do="Evaluate the run again: darkroom model evaluate",
        path=path,
        reason=reason,
    )
