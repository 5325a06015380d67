"""Export a model in the numbers that an ExecuTorch file is asked for: float32, float16, int8."""

from __future__ import annotations

import copy
import re
from importlib import import_module

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import Node

from darkroom.export.calibration import load_tensors
from darkroom.export.fitted_weights import in_recipe
from darkroom.export.precisions import Recipe
from darkroom.networks.image_model import ImageModel

__all__ = ["in_precision"]


class _Half(nn.Module):
    """The model with a network in float16; pixels come and probabilities leave as they do in float32."""

    def __init__(self, model: ImageModel) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).half()
        self.model.scale, self.model.shift = model.scale, model.shift  # 255 · scale + shift in float32
        self.with_embedding = model.with_embedding

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        scaled = (images.to(torch.float32) * self.model.scale + self.model.shift).permute(0, 3, 1, 2)
        features = self.model.network.features(scaled.half())
        size = (int(images.shape[1]), int(images.shape[2]))
        probabilities = self.model.probabilities(features, size).float()
        if not self.with_embedding:
            return probabilities
        return probabilities, self.model.network.embedding(features).float()


def in_precision(model: ImageModel, image: Tensor, recipe: Recipe) -> ExportedProgram:
    """Returns the exported program that a recipe asks for.

    Args:
        model: the model, ready to answer.
        image: a tensor of the shape that it takes, (1, height, width, channels) uint8.
        recipe: how its numbers are written; "int8" reads its calibration tensors.
    """
    if recipe.precision == "float16":
        return torch.export.export(_Half(model).eval(), (image,))
    if recipe.precision == "int8":
        return _quantised(model, image, recipe)
    return torch.export.export(model, (image,))


def _quantised(model: ImageModel, image: Tensor, recipe: Recipe) -> ExportedProgram:
    """Returns the program in int8, the ranges of its activations found on calibration tensors."""
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )

    # It comes with executorch, which says in what version.
    pt2e = import_module("torchao.quantization.pt2e.quantize_pt2e")
    shape = tuple(image.shape[1:])
    tensors, model = load_tensors(recipe.calibration, shape), in_recipe(model, shape, recipe)
    kept = tuple(str(part) for part in recipe.options.get("float", ()))
    quantizer = XNNPACKQuantizer().set_global(get_symmetric_quantization_config(is_per_channel=True))
    quantizer.set_filter_function(lambda node: _in_network(node) and not _within(node, kept))
    prepared = pt2e.prepare_pt2e(torch.export.export(model, (image,)).module(), quantizer)
    for tensor in tensors:
        prepared(torch.from_numpy(np.ascontiguousarray(tensor))[None])
    return torch.export.export(pt2e.convert_pt2e(prepared), (image,))


def _in_network(node: Node) -> bool:
    """Returns whether a node is of the network: the normalisation before it stays float, and exact."""
    return _within(node, ("network",))


def _within(node: Node, parts: tuple[str, ...]) -> bool:
    """Returns whether a node belongs to one of some modules, which are named by their path."""
    places = [place for place, _ in node.meta.get("nn_module_stack", {}).values()]
    return any(re.search(rf"\b{re.escape(part)}(\.|$)", place) for place in places for part in parts)
