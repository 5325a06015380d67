"""Evaluate a finished run that answers masks: predict one split, count pixels, judge, keep everything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple, Protocol

import numpy as np

from darkroom import atomic
from darkroom.errors import Invalid
from darkroom.evaluation.batches import OnImages, batches_of, check_classes, source_of
from darkroom.evaluation.mask_answers import MaskAnswers, packed, save_mask_answers
from darkroom.evaluation.mask_judgement import judge_masks
from darkroom.evaluation.mask_record import MaskEvaluation
from darkroom.evaluation.predictions import LARGE_BYTES, PART_BYTES, groups_of
from darkroom.evaluation.run import keep_evaluation
from darkroom.records import ModelCard, Split
from darkroom.tasks.outlines import tolerance_for
from darkroom.tasks.segmentation import ROWS, count_pixels

__all__ = ["MaskedImages", "evaluate_masks"]


class MaskedImages(Protocol):
    """What `datasets` renders of one split with masks."""

    @property
    def image_ids(self) -> Sequence[str]: ...

    @property
    def groups(self) -> Sequence[str | None] | np.ndarray | None: ...

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray: ...

    def gather_masks(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray: ...


def evaluate_masks(
    run_folder: Path,
    images: MaskedImages,
    *,
    split: Split = "test",
    weights: str = "best",
    classes: Sequence[str] | None = None,
    device: str = "cpu",
    batch_size: int = 16,
    draws: int = 2000,
    seed: int = 0,
    worst: int = 24,
    on_progress: OnImages | None = None,
) -> MaskEvaluation:
    """Predicts a split with a run's weights and judges the masks.

    However many images there are, the memory stays the same: of each image a few counts and a packed mask
    are kept, never its probabilities.

    Leaves in the run's folder what `save_mask_answers` writes, and last `evaluation-<split>.json`.

    Args:
        run_folder: the run; its weights are `checkpoints/<weights>.safetensors`.
        images: the split, rendered under the contract of the run's card.
        split: its name.
        weights: "best", "last" or the name of a snapshot.
        classes: the dataset's classes in the order of the masks' numbers; refused when the card's differ.
        device: "cpu", "cuda" or "mps".
        batch_size: images that go through the network at a time.
        draws: how many times the images are drawn.
        seed: of the bootstrap.
        worst: how many images to list at most.
        on_progress: called with images done and images in all.

    Raises:
        NotFound: the run has no such weights.
        Damaged: the weights cannot be read.
        Invalid: the images do not fit the model, there are none, or the model answers with NaN.
    """
    with atomic.scratch_folder(run_folder) as scratch:
        began = time.perf_counter()
        asked = _Asked(run_folder, images, weights, classes, device, batch_size, on_progress)
        card, answers, confusion = _predict(asked, scratch)
        seconds = time.perf_counter() - began
        evaluation = judge_masks(
            answers,
            confusion,
            lambda place: (images.gather_masks(np.array([place]))[0], answers.mask(place)),
            classes=card.labels,
            source=source_of(card, run_folder, split),
            draws=draws,
            seed=seed,
            worst=worst,
        )
        kept = save_mask_answers(run_folder, split, answers, _parts(answers.file))
        facts = {"device": device, "images_per_second": len(answers.image_ids) / seconds}
        return keep_evaluation(evaluation, run_folder, weights, kept, facts)


class _Asked(NamedTuple):
    """What is asked of whom."""

    run_folder: Path
    images: MaskedImages
    weights: str
    classes: Sequence[str] | None
    device: str
    batch_size: int
    on_progress: OnImages | None


def _predict(asked: _Asked, scratch: Path) -> tuple[ModelCard, MaskAnswers, np.ndarray]:
    """Returns the card, the answers with their masks in a scratch file, and the confusion of all pixels."""
    from darkroom.networks.image_model import ImageModel
    from darkroom.networks.predictor import answered_masks
    from darkroom.networks.saved import load

    network, card = load(asked.run_folder / "checkpoints" / f"{asked.weights}.safetensors")
    _check_task(card)
    check_classes(card, asked.classes)
    images, contract = asked.images, card.contract
    size_px = (contract.height_px, contract.width_px)
    answers = MaskAnswers(
        tuple(images.image_ids),
        groups_of(images.groups),
        _room_for((len(images.image_ids), len(ROWS), len(card.labels)), scratch),
        size_px,
        tolerance_for(*size_px),
        scratch / "masks",
        np.zeros(len(images.image_ids), np.int64),
    )
    batches = batches_of(images, contract.shape, asked.batch_size, asked.on_progress)
    model = ImageModel.of(network, card)
    with answers.file.open("wb") as file:
        counted = _Counted(images, answers, len(card.labels), file)
        for masks, bad in answered_masks(model, batches, asked.device, asked.batch_size):
            counted.add(masks, bad)
    _refuse_no_numbers(counted.bad, len(answers.image_ids))
    return card, answers, counted.confusion


class _Counted:
    """Counts answers as they come, and packs them into a file."""

    def __init__(self, images: MaskedImages, answers: MaskAnswers, classes: int, file: BinaryIO) -> None:
        self._images, self._answers, self._file = images, answers, file
        self.confusion = np.zeros((classes, classes), np.int64)
        self.bad = self._done = 0

    def add(self, masks: np.ndarray, bad: int) -> None:
        """Adds the masks (n, H, W) that were answered next."""
        places = np.arange(self._done, self._done + len(masks))
        right = self._images.gather_masks(places)
        counts, confusion = count_pixels(right, masks, len(self.confusion), self._answers.tolerance_px)
        self._answers.counts[places] = counts
        self.confusion += confusion
        for place, mask in zip(places.tolist(), masks, strict=True):
            self._file.write(packed(mask))
            self._answers.ends[place] = self._file.tell()
        self.bad += bad
        self._done += len(masks)


def _room_for(shape: tuple[int, int, int], scratch: Path) -> np.ndarray:
    """Returns an array uint32 to be filled; a large one lies in a file."""
    if 4 * int(np.prod(shape)) <= LARGE_BYTES:
        return np.zeros(shape, np.uint32)
    return np.lib.format.open_memmap(scratch / "counts.npy", "w+", np.uint32, shape)


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(PART_BYTES):
            yield part


def _check_task(card: ModelCard) -> None:
    if card.task != "segmentation":
        raise Invalid(
            "evaluation.no-masks",
            "Run {run} answers {task}, not masks.",
            run=card.run,
            task=card.task,
            do="Name runs that answer masks: darkroom model list",
        )


def _refuse_no_numbers(bad: int, count: int) -> None:
    if bad:
        raise Invalid(
            "evaluation.not-probabilities",
            "For {bad} of {count} images the model did not answer with probabilities (NaN, or outside 0 to "
            "1).",
            do="The training may have diverged: look at its curves, lower the learning rate, train again.",
            bad=bad,
            count=count,
        )
