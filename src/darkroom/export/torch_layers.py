"""Layers of the network in PyTorch: what each of its modules gives, told by hooks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from darkroom.export.layers import Layer
from darkroom.networks.image_model import ImageModel, normalise

__all__ = ["layers", "logits"]

NORMALISE, LOGITS, PROBABILITIES = "normalise", "logits", "probabilities"


def layers(model: ImageModel, tensors: np.ndarray) -> list[Layer]:
    """Returns what each module gives for (N, height, width, channels) uint8, in the order of running.

    The normalised input stands first, logits and probabilities last. What a network computes between its
    modules (a sum, a ReLU written as a function) has no module and is not told.
    """
    found: list[Layer] = []
    handles = [
        module.register_forward_hook(_note(found, name))
        for name, module in model.network.named_modules()
        if name and not list(module.children())
    ]
    images = _images(tensors)
    size = (int(images.shape[1]), int(images.shape[2]))
    try:
        with torch.inference_mode():
            features = model.features(images)
            answer = model.network.answer(features, size)
    finally:
        for handle in handles:
            handle.remove()
    with torch.inference_mode():
        probabilities = model.probabilities(features, size)
    first = normalise(images, model.scale, model.shift)
    return [
        Layer(NORMALISE, "normalise", _array(first)),
        *found,
        Layer(LOGITS, "logits", _array(answer)),
        Layer(PROBABILITIES, "softmax", _array(probabilities)),
    ]


def logits(model: ImageModel, tensors: np.ndarray) -> np.ndarray:
    """Returns what goes into the softmax for (N, height, width, channels) uint8, and holds nothing else.

    Returns:
        (N, classes), or of masks (N, classes, height, width), float32.
    """
    images = _images(tensors)
    with torch.inference_mode():
        size = (int(images.shape[1]), int(images.shape[2]))
        return _array(model.network.answer(model.features(images), size))


def _images(tensors: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(tensors).copy())


def _note(found: list[Layer], name: str) -> Callable[[nn.Module, Any, Any], None]:
    def note(module: nn.Module, _: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.is_floating_point() and output.ndim >= 2:
            found.append(Layer(name, type(module).__name__, _array(output)))

    return note


def _array(value: Tensor) -> np.ndarray:
    return value.detach().float().cpu().numpy().copy()
