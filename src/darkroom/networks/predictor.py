"""Run a model over any number of pictures, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from darkroom.networks.image_model import ImageModel

__all__ = ["MOST_PIXELS", "predict", "predict_with_embedding"]

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
    return predict_with_embedding(model, images, device=device, batch_size=batch_size)[0]


def predict_with_embedding(
    model: ImageModel, images: Iterable[np.ndarray], *, device: str = "cpu", batch_size: int = 256
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the probabilities (N, classes) and the embeddings (N, E), both float32; see `predict`."""
    model = model.to(device).eval()
    probabilities, embeddings = [np.empty((0, 0), np.float32)], [np.empty((0, 0), np.float32)]
    with torch.inference_mode():
        for batch in _batches(images, batch_size, device):
            probability, embedding = model.answer(batch.to(device))
            probabilities.append(probability.cpu().numpy())
            embeddings.append(embedding.cpu().numpy())
    return _joined(probabilities), _joined(embeddings)


def _batches(images: Iterable[np.ndarray], batch_size: int, device: str) -> Iterator[Tensor]:
    for array in images:
        most = max(1, MOST_PIXELS // (array.shape[1] * array.shape[2])) if device == "cpu" else batch_size
        writable = array if array.flags.writeable else array.copy()  # torch warns about read-only memory
        yield from torch.from_numpy(writable).split(min(batch_size, most))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts[1:]) if len(parts) > 1 else parts[0]
