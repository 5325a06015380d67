"""Run a model over any number of pictures, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from darkroom.networks.image_model import ImageModel

__all__ = [
    "MOST_PIXELS",
    "answered_masks",
    "answers",
    "predict",
    "predict_into",
    "predict_with_embedding",
]

MOST_PIXELS = 2 * 224 * 224
"""Pixels that go through the network at a time on the processor: with 256 photos of 224×224 more time went
into handing out memory than into the network, and with 8 still two fifths. Of 28×28 it is 128 pictures."""


def predict(
    model: ImageModel, images: Iterable[np.ndarray], *, device: str = "cpu", batch_size: int = 256
) -> np.ndarray:
    """Returns the probabilities (N, classes) float32 of pictures; (0, 0) when there are none.

    Args:
        model: the model; it is moved to the device.
        images: arrays (n, H, W, C) uint8; each is done with before the next is asked for, so that a
            buffer may be reused.
        device: "cpu", "cuda" or "mps".
        batch_size: most pictures that go through the network at a time.
    """
    return _joined([probability for probability, _ in answers(model, images, device, batch_size)])


def predict_into(
    out: np.ndarray,
    model: ImageModel,
    images: Iterable[np.ndarray],
    *,
    device: str = "cpu",
    batch_size: int = 256,
) -> None:
    """Writes the probabilities of pictures into (N, classes) float32, row by row; see `predict`.

    Nothing of what was written is held, so that an array that lies in a file costs no memory.
    """
    done = 0
    for probability, _ in answers(model, images, device, batch_size):
        out[done : done + len(probability)] = probability
        done += len(probability)


def predict_with_embedding(
    model: ImageModel, images: Iterable[np.ndarray], *, device: str = "cpu", batch_size: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the probabilities (N, classes) and the embeddings (N, E), both float32; see `predict`."""
    parts = list(answers(model, images, device, batch_size))
    return _joined([probability for probability, _ in parts]), _joined([vector for _, vector in parts])


def answers(
    model: ImageModel, images: Iterable[np.ndarray], device: str = "cpu", batch_size: int = 256
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the probabilities (n, classes) and the embeddings (n, E) of some pictures; see `predict`."""
    model = model.to(device).eval()
    for batch in _batches(images, batch_size, device):
        with torch.inference_mode():
            probability, embedding = model.answer(batch.to(device))
        yield probability.cpu().numpy(), embedding.cpu().numpy()


def answered_masks(
    model: ImageModel, images: Iterable[np.ndarray], device: str = "cpu", batch_size: int = 256
) -> Iterator[tuple[np.ndarray, int]]:
    """Yields the class of each pixel (n, H, W) uint8 of some pictures; see `predict`.

    With them, for how many of the pictures an answer is no number. Of equally probable classes the first is
    the answer.
    """
    model = model.to(device).eval()
    for batch in _batches(images, batch_size, device):
        with torch.inference_mode():
            probability, _ = model.answer(batch.to(device))
            bad = (~torch.isfinite(probability)).flatten(1).any(1).sum()
            masks = probability.argmax(-1).to(torch.uint8)
        yield masks.cpu().numpy(), int(bad)


def _batches(images: Iterable[np.ndarray], batch_size: int, device: str) -> Iterator[Tensor]:
    for array in images:
        most = max(1, MOST_PIXELS // (array.shape[1] * array.shape[2])) if device == "cpu" else batch_size
        writable = array if array.flags.writeable else array.copy()  # torch warns about read-only memory
        yield from torch.from_numpy(writable).split(min(batch_size, most))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)
