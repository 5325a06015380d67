"""The graph that leaves the house: uint8 pictures in, probabilities (and the embedding) out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from darkroom.networks.network import Network
from darkroom.records import ModelCard, Normalisation

__all__ = ["ImageModel", "normalise", "scale_and_shift"]


class ImageModel(nn.Module):
    """Normalisation, network and softmax (or sigmoid) in one; takes what the contract makes.

    Args:
        network: the trained network.
        normalisation: as its card says.
        with_embedding: whether the embedding is a second output.
        label_sets: whether each label may hold by itself: a sigmoid for each takes the softmax's place.
    """

    scale: Tensor
    shift: Tensor

    def __init__(
        self,
        network: Network,
        normalisation: Normalisation,
        *,
        with_embedding: bool = False,
        label_sets: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        if (normalisation.kind == "mean-image") != (network.mean_image is not None):
            raise ValueError("A mean picture goes with normalisation mean-image, and only with it.")
        scale, shift = scale_and_shift(normalisation, network.mean_image)
        self.register_buffer("scale", scale, persistent=False)
        self.register_buffer("shift", shift, persistent=False)
        self.with_embedding = with_embedding
        self.label_sets = label_sets

    @classmethod
    def of(cls, network: Network, card: ModelCard, *, with_embedding: bool = False) -> ImageModel:
        """Makes the model that a card describes, ready to answer."""
        sets = card.task == "multi-label"
        model = cls(network, card.normalisation, with_embedding=with_embedding, label_sets=sets)
        return model.to(network.device).eval()

    def forward(self, images: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Returns the probabilities (N, classes), or those and the embedding (N, E).

        A network for masks gives them for each pixel: (N, H, W, classes).

        Args:
            images: (N, H, W, C) uint8.
        """
        probabilities, embedding = self.answer(images)
        return (probabilities, embedding) if self.with_embedding else probabilities

    def answer(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the probabilities (N, classes) and the embedding (N, E) of (N, H, W, C) uint8.

        Of a network for masks the probabilities are (N, H, W, classes).
        """
        features = self.features(images)
        size = (int(images.shape[1]), int(images.shape[2]))
        return self.probabilities(features, size), self.network.embedding(features)

    def features(self, images: Tensor) -> Tensor:
        """Returns what the network's body makes of (N, H, W, C) uint8."""
        return self.network.features(normalise(images, self.scale, self.shift))

    def probabilities(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """Returns the probabilities that follow from `features` of pictures of (height, width)."""
        logits = self.network.answer(features, size)
        probabilities = torch.sigmoid(logits) if self.label_sets else torch.softmax(logits, dim=1)
        return probabilities.permute(0, 2, 3, 1) if probabilities.ndim == 4 else probabilities


def normalise(images: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Returns pictures (N, H, W, C) uint8 as the network's input (N, C, H, W) float32.

    Memory stays in the order N, H, W, C, which is what torch calls channels-last.
    """
    return (images.to(torch.float32) * scale + shift).permute(0, 3, 1, 2)


def scale_and_shift(
    normalisation: Normalisation, mean_image: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Returns scale and shift, with p · scale + shift = (p / 255 − mean) / std.

    Args:
        normalisation: with mean and deviation of each channel.
        mean_image: (H, W, C), takes the place of the mean.

    Returns:
        (C,) and (C,), or (C,) and (H, W, C) when there is a mean picture.
    """
    mean = torch.tensor(normalisation.mean, dtype=torch.float64)
    if mean_image is not None:
        mean = mean_image.detach().cpu().double()
    std = torch.tensor(normalisation.std, dtype=torch.float64)
    return (1 / (255 * std)).float(), (-mean / std).float()
