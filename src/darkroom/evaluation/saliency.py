"""Where a network looked: Grad-CAM, and what each layer gave for one picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.errors import NotFound, Unsupported, nearest
from darkroom.networks.image_model import ImageModel, normalise

__all__ = ["Heat", "LayerMap", "grad_cam", "layer_maps", "spatial_layers"]

NO_MAP = ("pool", "dropout", "identity", "flatten")
"""Parts of the names of layers that only pass on, or thin out, what the layer before them found."""

SHOWN_CHANNELS = 16

See = Callable[[str, Tensor], object]


class Heat(NamedTuple):
    """Where a picture speaks for a class."""

    layer: str
    """Name of the layer whose maps were weighed."""
    grid: tuple[int, int]
    """Height and width of its maps."""
    values: np.ndarray
    """(H, W) float32 at the tensor's size, 0 … 1; all 0 where nothing speaks for the class."""
    probability: float
    """Of the class."""


class LayerMap(NamedTuple):
    """What one layer gave for one picture."""

    name: str
    kind: str
    shape: tuple[int, ...]
    """Without the picture's own dimension."""
    mean: np.ndarray
    """(h, w) float32, mean of |values| over all channels; of a layer without a map (1, n)."""
    channels: np.ndarray
    """(c, h, w) float32, the channels that moved most; empty for a layer without a map."""
    numbers: tuple[int, ...]
    """Which channels these are."""
    silent: float
    """Share of all values that are 0 or less."""


def spatial_layers(model: ImageModel, image: np.ndarray) -> tuple[str, ...]:
    """Returns the names of the layers that give a map larger than 1×1, in the order in which they run.

    They are found by running the network on a picture.

    Args:
        model: the model, at rest.
        image: (H, W, C) uint8.
    """
    found: dict[str, None] = {}

    def see(name: str, output: Tensor) -> None:
        if _is_map(output, image.shape[:2]):
            found.setdefault(name)

    with _watched(model.network, see), torch.inference_mode():
        model.answer(_batch(model, image))
    return tuple(found)


def grad_cam(
    model: ImageModel, image: np.ndarray, classes: Sequence[int], *, layer: str | None = None
) -> tuple[Heat, ...]:
    """Returns for each class where the picture speaks for it.

    Each map of the layer is weighed by the mean gradient of the class's score before softmax; what speaks
    against the class is left out.

    Args:
        model: the model, at rest.
        image: (H, W, C) uint8.
        classes: the classes.
        layer: name of a layer with a map; the last that is no pooling or dropout when not given.

    Raises:
        NotFound: no layer with a map has that name.
        Unsupported: the network has no layer with a map.

    Source: Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based
        localization, 2017, eq. 1 and 2.
    """
    name = _chosen(model, image, layer)
    kept: list[Tensor] = []

    def see(found: str, output: Tensor) -> None:
        if found == name:
            kept.append(output)

    with _watched(model.network, see), torch.enable_grad():
        x = normalise(_batch(model, image), model.scale, model.shift).detach().requires_grad_()
        features = model.network.features(x)
        scores = model.network.answer(features, image.shape[:2])
    maps = kept[-1]
    chances = torch.softmax(scores, dim=1)[0]
    found: list[Heat] = []
    for number in classes:
        slopes = torch.autograd.grad(scores[0, number], maps, retain_graph=True)[0]
        weights = slopes.mean(dim=(2, 3), keepdim=True)
        heat = functional.relu((weights * maps).sum(dim=1, keepdim=True)).detach()
        found.append(_heat(name, heat, image.shape[:2], float(chances[number].detach())))
    return tuple(found)


def layer_maps(
    model: ImageModel, image: np.ndarray, *, layers: Sequence[str] = (), most: int = 16
) -> tuple[LayerMap, ...]:
    """Returns what layers gave for one picture.

    Args:
        model: the model, at rest.
        image: (H, W, C) uint8.
        layers: their names; when none is named, layers spread evenly over those with weights.
        most: how many layers at most, when none is named.

    Raises:
        NotFound: no layer has that name.
    """
    given: dict[str, Tensor] = {}
    watch = _watched(model.network, lambda name, output: given.update({name: output.detach().clone()}))
    with watch, torch.inference_mode():
        model.answer(_batch(model, image))
    for name in layers:
        if name not in given:
            raise _unknown(name, list(given))
    kinds = {name: type(module).__name__ for name, module in model.network.named_modules()}
    names = list(layers) or _spread(model.network, list(given), most)
    return tuple(_layer_map(name, kinds[name], given[name]) for name in names)


def _chosen(model: ImageModel, image: np.ndarray, layer: str | None) -> str:
    names, words = list[str](), False

    def see(name: str, output: Tensor) -> None:
        nonlocal words
        if _is_map(output, image.shape[:2]):
            names.append(name)
            words = False
        words = words or output.ndim == 3

    with _watched(model.network, see), torch.inference_mode():
        model.answer(_batch(model, image))
    if layer is not None:
        if layer not in names:
            raise _unknown(layer, names)
        return layer
    kinds = {name: type(module).__name__.lower() for name, module in model.network.named_modules()}
    fitting = [name for name in names if not any(word in kinds[name] for word in NO_MAP)]
    if not fitting or words:
        raise Unsupported(
            "saliency.no-map",
            "The last layers of this network give no map that lies on the picture; Grad-CAM has nothing to "
            "weigh.",
            do="Transformers cut a picture into pieces and have none; choose a convolutional network.",
        )
    return fitting[-1]


def _unknown(name: str, known: Sequence[str]) -> NotFound:
    return NotFound(
        "saliency.unknown-layer",
        "No layer {name!r} with such an output ran.{meant} Known: {known}.",
        do="Leave the name out, or take one of these.",
        name=name,
        meant=nearest(name, known),
        known=", ".join(known[-30:]) or "none",
    )


@contextmanager
def _watched(network: nn.Module, see: See) -> Iterator[None]:
    """Shows `see` the name and the output of each layer without parts of its own, as it runs."""
    hooks = [
        module.register_forward_hook(lambda _, __, output, name=name: _show(see, name, output))
        for name, module in network.named_modules()
        if name and not any(True for _ in module.children())
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _show(see: See, name: str, output: object) -> None:
    if isinstance(output, Tensor) and output.ndim >= 2:
        see(name, output)


def _is_map(output: Tensor, size: tuple[int, int]) -> bool:
    """Says whether an output is (N, C, h, w), and h and w are to each other as the picture's sides are.

    Some networks lay their channels last in between: (N, h, w, C).
    """
    if output.ndim != 4 or output.shape[2] * output.shape[3] < 2:
        return False
    height, width = int(output.shape[2]), int(output.shape[3])
    return abs(height * size[1] - width * size[0]) <= max(size)


def _batch(model: ImageModel, image: np.ndarray) -> Tensor:
    writable = image if image.flags.writeable else image.copy()  # torch warns about read-only memory
    return torch.from_numpy(np.ascontiguousarray(writable))[None].to(model.network.device)


def _heat(name: str, heat: Tensor, size: tuple[int, int], probability: float) -> Heat:
    grid = (int(heat.shape[2]), int(heat.shape[3]))
    laid = functional.interpolate(heat, size=size, mode="bilinear", align_corners=False)[0, 0]
    top = float(laid.max())
    values = (laid / top if top > 0 else laid * 0).cpu().numpy().astype(np.float32)
    return Heat(name, grid, values, probability)


def _layer_map(name: str, kind: str, output: Tensor) -> LayerMap:
    values = output[0].float().cpu().numpy()
    silent = float((values <= 0).mean())
    if values.ndim != 3 or values.shape[1] * values.shape[2] == 1:
        flat = values.reshape(1, -1)
        return LayerMap(name, kind, values.shape, flat, np.empty((0, 0, 0), np.float32), (), silent)
    moved = values.std(axis=(1, 2))
    numbers = np.sort(np.argsort(-moved, kind="stable")[:SHOWN_CHANNELS])
    mean = np.abs(values).mean(0)
    return LayerMap(name, kind, values.shape, mean, values[numbers], tuple(numbers.tolist()), silent)


def _spread(network: nn.Module, names: Sequence[str], most: int) -> list[str]:
    """Returns some of the layers with weights, from the first to the last."""
    with_weights = [
        name for name in names if any(True for _ in network.get_submodule(name).parameters(recurse=False))
    ]
    chosen = with_weights or list(names)
    places = np.unique(np.linspace(0, len(chosen) - 1, min(most, len(chosen))).round().astype(int))
    return [chosen[place] for place in places.tolist()]
