"""Ask several clones about the same images in one pass: under stress, and together as an ensemble."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darkroom.errors import Invalid
from darkroom.evaluation.batches import OnImages, batches_of, check_classes
from darkroom.evaluation.mask_answers import MaskAnswers
from darkroom.evaluation.predictions import LARGE_BYTES, groups_of
from darkroom.records import Interval, ModelCard
from darkroom.tasks.outlines import tolerance_for
from darkroom.tasks.segmentation import ROWS, count_pixels
from darkroom.tasks.segmentation import measure as measure_masks
from darkroom.tasks.table import find as find_task

if TYPE_CHECKING:
    from darkroom.networks.panel import Panel

__all__ = ["ClonePanel", "headline"]

BATCH = {"segmentation": 16}
"""Images at a time where it is not 256."""


def headline(figures: Any) -> dict[str, Interval]:
    """Returns the figures of an evaluation that are a number with its interval, by name, in order."""
    found = {name: getattr(figures, name) for name in type(figures).model_fields}
    return {name: one for name, one in found.items() if isinstance(one, Interval)}


class ClonePanel:
    """The models of some clones of one dataset.

    Args:
        run_folders: of the clones; their best weights answer.
        classes: the dataset's; refused where a model's differ.
        device: "cpu", "cuda" or "mps".

    Raises:
        NotFound: a run has no weights.
        Damaged: they cannot be read.
        Invalid: a model answers with other classes, or takes other pictures than the first.
    """

    def __init__(self, run_folders: Sequence[Path], classes: Sequence[str], device: str = "cpu") -> None:
        from darkroom.networks.image_model import ImageModel
        from darkroom.networks.panel import Panel
        from darkroom.networks.saved import load

        loaded = [load(folder / "checkpoints" / "best.safetensors") for folder in run_folders]
        self.card: ModelCard = loaded[0][1]
        for _, card in loaded:
            check_classes(card, classes)
            if card.contract.shape != self.card.contract.shape or card.task != self.card.task:
                raise Invalid(
                    "evaluation.other-models",
                    "The runs {first} and {second} take other pictures, or answer something else.",
                    do="Name runs of one dataset version.",
                    first=self.card.run,
                    second=card.run,
                )
        self.panel: Panel = Panel([ImageModel.of(network, card) for network, card in loaded])
        self._device, self._count = device, len(loaded)

    def figures(self, images: Any, on_progress: OnImages | None = None) -> list[dict[str, float]]:
        """Returns the headline figures of each clone on some images.

        Raises:
            Invalid: a model answers with what is no number.
        """
        if self.card.task == "segmentation":
            return [_values(one) for one in self._mask_figures(images, on_progress)]
        with tempfile.TemporaryDirectory() as scratch:
            shape = (self._count, len(images.image_ids), len(self.card.labels))
            answers, done = _room_for(shape, Path(scratch)), 0
            for part in self._answers(images, on_progress):
                answers[:, done : done + len(part)] = part.swapaxes(0, 1)
                done += len(part)
            module, _, name = find_task(self.card.task).measure.partition(":")
            measure = getattr(import_module(module), name)
            labels, groups = np.asarray(images.labels), groups_of(images.groups)
            return [_values(measure(labels, one, self.card.labels, groups, draws=1)) for one in answers]

    def masks_together(self, images: Any, on_progress: OnImages | None = None) -> MaskAnswers:
        """Returns what the mean of the clones' probabilities answers to some images, counted."""
        found = self._counted(images, on_progress, together=True)[0]
        return found[0]

    def _mask_figures(self, images: Any, on_progress: OnImages | None) -> Iterator[Any]:
        for answers, confusion in self._counted(images, on_progress):
            yield measure_masks(
                answers.counts,
                confusion,
                self.card.labels,
                answers.groups,
                size_px=answers.size_px,
                tolerance_px=answers.tolerance_px,
                draws=1,
            )

    def _counted(
        self, images: Any, on_progress: OnImages | None, *, together: bool = False
    ) -> list[tuple[MaskAnswers, np.ndarray]]:
        """Returns the counts of pixels of each clone, or of their mean, with the confusion."""
        size_px, classes = self.card.contract.shape[:2], len(self.card.labels)
        count, sides = len(images.image_ids), 1 if together else self._count
        tolerance_px = tolerance_for(*size_px)
        counts = np.zeros((sides, count, len(ROWS), classes), np.uint32)
        confusion, done = np.zeros((sides, classes, classes), np.int64), 0
        for part in self._answers(images, on_progress):
            _refuse_no_numbers(part)
            right = images.gather_masks(np.arange(done, done + len(part)))
            shown = part.mean(axis=1, keepdims=True) if together else part
            for side in range(sides):
                masks = shown[:, side].argmax(axis=-1).astype(np.uint8)
                rows, mixed = count_pixels(right, masks, classes, tolerance_px)
                counts[side, done : done + len(part)] = rows
                confusion[side] += mixed
            done += len(part)
        ids, groups, ends = tuple(images.image_ids), groups_of(images.groups), np.zeros(count, np.int64)
        return [
            (MaskAnswers(ids, groups, counts[side], size_px, tolerance_px, Path(), ends), confusion[side])
            for side in range(sides)
        ]

    def _answers(self, images: Any, on_progress: OnImages | None) -> Iterator[np.ndarray]:
        """Yields the probabilities of all clones, (n, K, classes) or (n, K, H, W, classes)."""
        from darkroom.networks.predictor import answers

        size = BATCH.get(self.card.task, 256)
        batches = batches_of(images, self.card.contract.shape, size, on_progress)
        model: Any = self.panel  # answers as one model does
        for part, _ in answers(model, batches, self._device, size):
            yield part


def _values(figures: Any) -> dict[str, float]:
    return {name: one.value for name, one in headline(figures).items()}


def _room_for(shape: tuple[int, int, int], scratch: Path) -> np.ndarray:
    """Returns an array float32 to be filled; a large one lies in a file."""
    if 4 * int(np.prod(shape)) <= LARGE_BYTES:
        return np.empty(shape, np.float32)
    return np.lib.format.open_memmap(scratch / "probabilities.npy", "w+", np.float32, shape)


def _refuse_no_numbers(part: np.ndarray) -> None:
    if not np.isfinite(part).all():
        raise Invalid(
            "evaluation.clones-not-numbers",
            "A clone answers with what is no number.",
            do="Its training may have diverged: look at its curves, lower the learning rate, train again.",
        )
