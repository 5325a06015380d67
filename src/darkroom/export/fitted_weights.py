"""Put a network's weights on the steps of eight bits so that its layers go on answering as they did.

Rounding each weight to the nearest step makes the least error in the weights. What counts is the error in
a layer's answers: its inputs go up and down together, so that the error of one weight can make up for that
of another, and what is left of the mean goes into the bias. Converters that round to the nearest step,
with the largest weight of a channel at 127, then find all weights on their steps and leave them there.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.export.calibration import load_tensors
from darkroom.export.precisions import Recipe
from darkroom.networks.image_model import ImageModel

__all__ = ["fitted", "in_recipe", "on_steps"]

Weighted = nn.Conv2d | nn.ConvTranspose2d | nn.Linear

LARGEST = 127
"""Largest whole number of a weight; the least is its negative, so that zero is zero."""

PICTURES = 64
"""Calibration pictures that go through the network together, at most."""

MOST_VALUES = 48_000_000
"""Values of a layer's answers for all these pictures together: 192 MB; large pictures are fewer."""

PLACES = 8_192
"""Places of the pictures at which a layer's inputs are looked at."""

MOST_INPUTS = 2_304
"""Weights of one output that are fitted together: those of 256 channels of 3×3. Where there are more, or
more than places, each goes to its nearest step."""

DAMPING = 0.01
"""Share of the mean variance that is added to each input's, so that the fit trusts no accident of the
pictures. Source: Frantar and others, GPTQ, 2022, sec. 3.3."""


def in_recipe(model: ImageModel, shape: tuple[int, ...], recipe: Recipe) -> ImageModel:
    """Returns the model with the weights that a recipe starts from: its own, or fitted ones.

    Args:
        model: the model, ready to answer.
        shape: (height, width, channels) of its input.
        recipe: names the calibration tensors.

    Raises:
        Invalid: calibration tensors are needed, and there are none that fit.
    """
    if not recipe.fits_weights:
        return model
    return fitted(model, load_tensors(recipe.calibration, shape))


def fitted(model: ImageModel, tensors: np.ndarray) -> ImageModel:
    """Returns the model with weights on the steps of eight bits; the one that was given stays as it is.

    From the first layer to the last, on inputs as the rounded layers before it make them: the weights are
    rounded one input after the other, what rounding one of them costs is shared out among those that are
    left, and then the bias is moved until the mean of each channel is what it was.

    Source: Frantar and others, GPTQ, 2022; Nagel and others, Data-free quantization through weight
    equalization and bias correction, 2019, sec. 4.2, with means that are measured.

    Args:
        model: the model, ready to answer.
        tensors: calibration pictures (n, height, width, channels) uint8.
    """
    model = copy.deepcopy(model)
    layers = [layer for layer in model.network.modules() if isinstance(layer, Weighted)]
    with torch.no_grad():
        pictures = _pictures(model, layers, tensors)
        means: dict[nn.Module, Tensor] = {}

        def remember(layer: Any, taken: tuple[Tensor, ...], given: Tensor) -> None:
            means.setdefault(layer, _mean(layer, given))

        with _watching(layers, after=remember):
            model(pictures)
        done: set[nn.Module] = set()

        def settle(layer: Any, taken: tuple[Tensor, ...]) -> None:
            if layer not in done:
                layer.weight.copy_(_fitted_to(layer, taken[0]))

        def correct(layer: Any, taken: tuple[Tensor, ...], given: Tensor) -> Tensor | None:
            if layer in done:
                return None
            done.add(layer)
            shift = means[layer] - _mean(layer, given)
            layer.bias = nn.Parameter(shift if layer.bias is None else layer.bias + shift)
            return given + _along_channels(layer, shift, given)

        with _watching(layers, before=settle, after=correct):
            model(pictures)
    return model


def on_steps(weights: Tensor, spread: Tensor | None = None) -> Tensor:
    """Returns weights on 255 steps about zero; each output's largest stays, and gives the step.

    Args:
        weights: (groups, outputs, inputs).
        spread: (groups, inputs, inputs) how the inputs vary together; without it each weight goes to its
            nearest step.
    """
    largest = weights.abs().amax(dim=2, keepdim=True)
    step = torch.where(largest > 0, largest / LARGEST, torch.ones_like(largest))
    if spread is None:
        return torch.round(weights / step) * step
    ends = weights.abs() == largest
    order = torch.diagonal(spread, dim1=1, dim2=2).argsort(dim=1, descending=True)
    across = order[:, None, :].expand_as(weights)
    left, ends = weights.gather(2, across), ends.gather(2, across)
    shares = _shares(spread, order)
    found = torch.empty_like(left)
    for column in range(left.shape[2]):
        wanted = left[:, :, column : column + 1]
        whole = torch.round(wanted / step).clamp(-LARGEST, LARGEST)
        edge = LARGEST * torch.sign(weights.gather(2, across[:, :, column : column + 1]))
        rounded = torch.where(ends[:, :, column : column + 1], edge, whole) * step
        found[:, :, column : column + 1] = rounded
        share = shares[:, column : column + 1, column + 1 :] / shares[:, column, column, None, None]
        left[:, :, column + 1 :] -= (wanted - rounded) * share
    return torch.empty_like(found).scatter_(2, across, found)


def _shares(spread: Tensor, order: Tensor) -> Tensor:
    """Returns how an error of one input is shared out among the later ones: (groups, inputs, inputs)."""
    inputs = spread.shape[1]
    rows = spread.gather(1, order[:, :, None].expand(-1, -1, inputs))
    ordered = rows.gather(2, order[:, None, :].expand(-1, inputs, -1)).double()
    usual = torch.diagonal(ordered, dim1=1, dim2=2).mean(dim=1)
    damped = torch.where(usual > 0, DAMPING * usual, torch.ones_like(usual))
    ordered += damped[:, None, None] * torch.eye(inputs, dtype=torch.float64)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(ordered))
    return torch.linalg.cholesky(inverse, upper=True).float()


def _fitted_to(layer: Any, x: Tensor) -> Tensor:
    """Returns a layer's weights on steps that suit its inputs."""
    weights: Tensor = layer.weight
    groups = getattr(layer, "groups", 1)
    if isinstance(layer, nn.ConvTranspose2d):
        if groups != 1:
            return weights
        outputs_first = weights.transpose(0, 1)
        return on_steps(outputs_first.flatten(1)[None])[0].view_as(outputs_first).transpose(0, 1)
    grouped = weights.reshape(groups, weights.shape[0] // groups, -1)
    if grouped.shape[2] > MOST_INPUTS:
        return on_steps(grouped).view_as(weights)
    inputs = _inputs(layer, x)
    if len(inputs) <= grouped.shape[2]:  # fewer places than weights would fit anything
        return on_steps(grouped).view_as(weights)
    return on_steps(grouped, _spread(inputs, groups)).view_as(weights)


def _spread(inputs: Tensor, groups: int) -> Tensor:
    """Returns how inputs (places, groups · inputs) vary together: (groups, inputs, inputs)."""
    centred = (inputs - inputs.mean(dim=0)).view(len(inputs), groups, -1).transpose(0, 1)
    return centred.transpose(1, 2) @ centred / len(inputs)


def _inputs(layer: Any, x: Tensor) -> Tensor:
    """Returns what a layer multiplies with its weights, at some places: (places, inputs).

    The rim that padding adds is left out: it is the same for every picture.
    """
    if isinstance(layer, nn.Linear):
        return x.reshape(-1, x.shape[-1])[:PLACES]
    spans = [gap * (size - 1) + 1 for gap, size in zip(layer.dilation, layer.kernel_size, strict=True)]
    lack = [max(0, span - side) for span, side in zip(spans, x.shape[2:], strict=True)]
    if any(lack):
        x = functional.pad(x, (lack[1] // 2, lack[1] - lack[1] // 2, lack[0] // 2, lack[0] - lack[0] // 2))
    sides = [
        (side - span) // stride + 1
        for side, span, stride in zip(x.shape[2:], spans, layer.stride, strict=True)
    ]
    draw = torch.Generator().manual_seed(0)
    count = min(PLACES, len(x) * sides[0] * sides[1])
    picture = torch.randint(len(x), (count,), generator=draw)
    row = torch.randint(sides[0], (count,), generator=draw) * layer.stride[0]
    column = torch.randint(sides[1], (count,), generator=draw) * layer.stride[1]
    seen = [
        x[picture, :, row + down * layer.dilation[0], column + right * layer.dilation[1]]
        for down in range(layer.kernel_size[0])
        for right in range(layer.kernel_size[1])
    ]
    return torch.stack(seen, dim=2).flatten(1)


def _pictures(model: ImageModel, layers: Sequence[nn.Module], tensors: np.ndarray) -> Tensor:
    """Returns calibration pictures, evenly taken, as many as memory should hold at a time."""
    sizes: list[int] = []

    def note(layer: nn.Module, taken: tuple[Tensor, ...], given: Tensor) -> None:
        sizes.append(given.numel())

    with _watching(layers, after=note):
        answer, _ = model.answer(torch.from_numpy(np.array(tensors[:1])))
    sizes.append(answer.numel())
    count = min(len(tensors), PICTURES, max(4, MOST_VALUES // max(sizes)))
    rows = np.linspace(0, len(tensors) - 1, count).round().astype(int)
    return torch.from_numpy(np.array(tensors[rows]))


def _mean(layer: nn.Module, given: Tensor) -> Tensor:
    """Returns the mean of each channel of a layer's answers."""
    return given.mean(dim=tuple(range(given.ndim - 1)) if isinstance(layer, nn.Linear) else (0, 2, 3))


def _along_channels(layer: nn.Module, shift: Tensor, given: Tensor) -> Tensor:
    return shift if isinstance(layer, nn.Linear) else shift.view(1, -1, *[1] * (given.ndim - 2))


@contextmanager
def _watching(
    layers: Sequence[nn.Module],
    *,
    before: Callable[..., None] | None = None,
    after: Callable[..., Tensor | None] | None = None,
) -> Iterator[None]:
    """Calls something before and after each layer's answer while the block runs."""
    hooks = []
    for layer in layers:
        if before is not None:
            hooks.append(layer.register_forward_pre_hook(before))
        if after is not None:
            hooks.append(layer.register_forward_hook(after))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
