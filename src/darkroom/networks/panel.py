"""Several trained models asked together: pictures are read once, and a body that they share runs once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from darkroom.networks.image_model import ImageModel

__all__ = ["Panel"]


class Panel(nn.Module):
    """The models of some clones; `darkroom.networks.predictor.answers` asks it as it asks one model.

    Clones of which only the last layer was trained share their body: it is found by its weights, and then
    only the last layers run for each.

    Args:
        models: of the same classes and contract.
    """

    def __init__(self, models: Sequence[ImageModel]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self.one_body = _same_body(models)

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the probabilities (N, K, classes) of K models; for masks (N, K, H, W, classes).

        The second is empty, in the place of one model's embedding.

        Args:
            images: (N, H, W, C) uint8.
        """
        size = (int(images.shape[1]), int(images.shape[2]))
        shared: Tensor | None = None
        found = []
        for model in self.models:
            assert isinstance(model, ImageModel)
            features = shared if shared is not None else model.features(images)
            shared = features if self.one_body else None
            found.append(model.probabilities(features, size))
        return torch.stack(found, dim=1), images.new_empty(0)


def _same_body(models: Sequence[ImageModel]) -> bool:
    """Says whether models differ by their last layers alone."""
    first = models[0]
    kept = _body(first)
    for model in models[1:]:
        other = _body(model)
        if type(model.network) is not type(first.network) or kept.keys() != other.keys():
            return False
        if not all(torch.equal(one, other[name]) for name, one in kept.items()):
            return False
    return len(models) > 1


def _body(model: ImageModel) -> dict[str, Tensor]:
    """Returns every weight but the last layer's, and the normalisation."""
    found = {name: one for name, one in model.network.state_dict().items() if not name.startswith("head.")}
    return {**found, " scale": model.scale, " shift": model.shift}
