"""Write a model as .tflite: one tensor at a time, with the metadata that its ecosystem reads."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from darkroom.export.fitted_weights import in_recipe
from darkroom.export.precisions import Recipe
from darkroom.export.tflite_metadata import check_labels, with_metadata
from darkroom.networks.image_model import ImageModel
from darkroom.records import ModelCard

__all__ = ["write"]


class _Named(nn.Module):
    """Gives input and outputs the names that the file's signature shall carry."""

    def __init__(self, model: ImageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        answer = self.model(image)
        if isinstance(answer, Tensor):
            return {"probabilities": answer}
        return {"probabilities": answer[0], "embedding": answer[1]}


def write(model: ImageModel, card: ModelCard, path: Path, recipe: Recipe) -> None:
    """Writes one file.

    Args:
        model: the model, ready to answer; its second output is written when it has one.
        card: its card.
        path: the file to write.
        recipe: how its numbers are written.

    Raises:
        Unsupported: a label has a line break.
        Invalid: the recipe needs calibration tensors, and there are none that fit.
    """
    check_labels(card)
    if recipe.precision == "float32":
        content = _exported(model, card, path)
    else:
        from darkroom.export.litert_precisions import rewritten

        content = rewritten(_shared(model, card, path, recipe), card.contract.shape, recipe)
    path.write_bytes(with_metadata(content, card, recipe.precision))


def _exported(model: ImageModel, card: ModelCard, path: Path) -> bytes:
    """Returns the model in LiteRT's operations, in float32, without metadata."""
    import litert_torch

    image = torch.zeros((1, *card.contract.shape), dtype=torch.uint8)
    converted = litert_torch.convert(_Named(model).eval(), sample_kwargs={"image": image})
    converted.export(str(path))
    return path.read_bytes()


def _shared(model: ImageModel, card: ModelCard, path: Path, recipe: Recipe) -> bytes:
    """Returns the float32 file that the recipes of one request share; makes it where there is none yet."""
    kept = recipe.shared_path("float32.tflite")
    if kept is not None and kept.is_file():
        return kept.read_bytes()
    content = _exported(in_recipe(model, card.contract.shape, recipe), card, path)
    if kept is not None:
        aside = kept.with_name(f"{recipe.precision}-{recipe.name}-{kept.name}")
        aside.write_bytes(content)
        aside.replace(kept)
    return content
