"""Write a model as .tflite: one tensor at a time, with the metadata that its ecosystem reads."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

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


def write(model: ImageModel, card: ModelCard, path: Path, precision: str) -> None:
    """Writes one file.

    Args:
        model: the model, ready to answer; its second output is written when it has one.
        card: its card.
        path: the file to write.
        precision: "float32".

    Raises:
        Unsupported: a label has a line break.
    """
    check_labels(card)
    import litert_torch

    image = torch.zeros((1, *card.contract.shape), dtype=torch.uint8)
    converted = litert_torch.convert(_Named(model).eval(), sample_kwargs={"image": image})
    converted.export(str(path))
    path.write_bytes(with_metadata(path.read_bytes(), card, precision))
