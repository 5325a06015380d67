"""The pictures that the files of a bundle are compared on: test, and val and train where test is small."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from darkroom.operations.run_pictures import pictures_of
from darkroom.records import Split
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.datasets import RenderedSplit
    from darkroom.export import ParityReport
    from darkroom.export.parity import ParityBatch

__all__ = ["POOL", "ComparedSplit", "batches_of", "compared_pictures", "drawn_flips", "rows_of"]

POOL = 1000
"""With fewer test pictures, those of val and train are taken as well, up to this many together."""

POOLED: tuple[Split, ...] = ("test", "val", "train")

BATCH, MASKS_AT_A_TIME = 256, 32


class ComparedSplit(NamedTuple):
    """Pictures of one split that are compared."""

    split: Split
    images: RenderedSplit
    rows: np.ndarray
    """Which of them."""


def compared_pictures(
    workspace: Workspace, run: str, splits: tuple[Split, ...] = POOLED
) -> list[ComparedSplit]:
    """Returns the pictures to compare on: all of test; with fewer than 1,000 also those of val, then train.

    Of a split of which not all are needed, pictures at even distances are taken: the same ones each time.
    Why pictures are pooled that the network was trained on: docs/decisions/0037.

    Args:
        workspace: the project.
        run: whose pictures.
        splits: where they may come from, the first one first.
    """
    rendering = pictures_of(workspace, run)
    there = {split: rendering.split(split) for split in splits}
    rows = rows_of({split: len(there[split]) for split in splits})
    return [ComparedSplit(split, there[split], taken) for split, taken in rows.items()]


def rows_of(sizes: Mapping[Split, int]) -> dict[Split, np.ndarray]:
    """Returns which pictures of which split are compared.

    Args:
        sizes: how many pictures each split has, test first.
    """
    found: dict[Split, np.ndarray] = {}
    for split, size in sizes.items():
        left = size if split == "test" else POOL - sum(map(len, found.values()))
        if (count := min(size, left)) > 0:
            found[split] = np.linspace(0, size - 1, count).round().astype(np.int64)
    return found


def batches_of(parts: Iterable[ComparedSplit], *, masks: bool) -> Iterator[ParityBatch]:
    """Yields the pictures, some at a time."""
    from darkroom.export.parity import ParityBatch

    at_a_time = MASKS_AT_A_TIME if masks else BATCH
    for split, images, all_rows in parts:
        for start in range(0, len(all_rows), at_a_time):
            rows = all_rows[start : start + at_a_time]
            yield ParityBatch(
                [images.image_ids[row] for row in rows],
                images.gather_masks(rows) if masks else images.labels[rows],
                images.gather(rows),
                [images.groups[row] for row in rows] if images.groups is not None else None,
                split,
            )


def drawn_flips(workspace: Workspace, run: str, report: ParityReport) -> dict[str, bytes]:
    """Returns the tensors of masks with the differing pixels drawn, PNG, by "file:image id"."""
    from darkroom.export.pooled import unpacked
    from darkroom.images import difference
    from darkroom.serving.mask_prediction import png_of

    wanted = [
        (file.file, flip)
        for file in report.files
        if file.pixels
        for flip in file.pixels.flips
        if flip.where
    ]
    if not run:  # a model from elsewhere: its pictures were not rendered
        return {}
    found = {}
    known = {flip.image_id for _, flip in wanted} if run else set()  # a model from elsewhere has no run
    tensors = _tensors(workspace, run, known) if known else {}
    for file, flip in wanted:
        tensor = tensors.get(flip.image_id)
        marks = unpacked(flip.where, tensor.shape[:2]) if tensor is not None else None
        if tensor is not None and marks is not None:
            nothing = np.zeros(marks.shape, np.uint8)
            found[f"{file}:{flip.image_id}"] = png_of(difference(tensor, nothing, marks.astype(np.uint8)))
    return found


def _tensors(workspace: Workspace, run: str, image_ids: set[str]) -> dict[str, np.ndarray]:
    rendering = pictures_of(workspace, run)
    found: dict[str, np.ndarray] = {}
    for split in POOLED:
        images = rendering.split(split)
        rows = [row for row, name in enumerate(images.image_ids) if name in image_ids]
        found |= _by_id(images, rows)
    return found


def _by_id(images: RenderedSplit, rows: Sequence[int]) -> dict[str, np.ndarray]:
    tensors = images.gather(np.array(rows, np.int64)) if rows else ()
    return {images.image_ids[row]: tensor for row, tensor in zip(rows, tensors, strict=True)}
