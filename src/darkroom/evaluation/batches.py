"""What an evaluation of any task asks of images and card: batches, fitting classes, where it comes from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from darkroom.errors import Invalid
from darkroom.evaluation.record import EvaluationSource
from darkroom.records import ModelCard, Split

__all__ = ["Gathered", "OnImages", "batches_of", "check_classes", "source_of"]

OnImages = Callable[[int, int], None]
"""Called with images done and images in all."""


class Gathered(Protocol):
    """Images that can be gathered."""

    @property
    def image_ids(self) -> Sequence[str]: ...

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray: ...


def batches_of(
    images: Gathered,
    shape: tuple[int, int, int],
    batch_size: int,
    on_progress: OnImages | None,
) -> Iterator[np.ndarray]:
    """Yields (n, H, W, C) uint8; one buffer is used over and over.

    Args:
        images: the images.
        shape: what the model takes: (height, width, channels).
        batch_size: images at a time.
        on_progress: told after each batch.

    Raises:
        Invalid: the images are of another shape.
    """
    count, buffer = len(images.image_ids), None
    for start in range(0, count, batch_size):
        indices = np.arange(start, min(start + batch_size, count))
        if buffer is not None and len(buffer) == len(indices):
            buffer = images.gather(indices, out=buffer)
        else:
            buffer = images.gather(indices)
        _check_shape(buffer.shape[1:], shape)
        yield buffer
        if on_progress is not None:
            on_progress(int(indices[-1]) + 1, count)


def source_of(card: ModelCard, run_folder: Path, split: Split) -> EvaluationSource:
    """Returns what is evaluated, on what."""
    return EvaluationSource(
        run=card.run or run_folder.name,
        network=card.network,
        seed=card.seed,
        epoch=card.epoch,
        dataset=card.dataset,
        dataset_id=card.dataset_id,
        split=split,
    )


def check_classes(card: ModelCard, classes: Sequence[str] | None) -> None:
    """Refuses to judge by other classes than the model answers with.

    Raises:
        Invalid: the lists differ.
    """
    if classes is not None and tuple(classes) != card.labels:
        raise Invalid(
            "evaluation.other-classes",
            "The model answers with {model}; the dataset's classes are {dataset}.",
            do="Evaluate on a version of the dataset that the model was trained on.",
            model=", ".join(card.labels),
            dataset=", ".join(classes),
        )


def _check_shape(found: tuple[int, ...], expected: tuple[int, int, int]) -> None:
    if found != expected:
        raise Invalid(
            "evaluation.other-shape",
            "The model takes pictures of {expected} (height, width, channels). Received: {found}.",
            do="Evaluate on a dataset that is rendered under the contract of the model's card.",
            expected=expected,
            found=found,
        )
