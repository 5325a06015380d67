"""Compute features with torch: the part of a network before its last layer, in its resting state."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from darkroom.features import FeatureKey
from darkroom.networks.image_model import normalise, scale_and_shift
from darkroom.networks.network import Network
from darkroom.networks.saved import digest
from darkroom.networks.table import library_of
from darkroom.records import Contract, Normalisation

__all__ = ["Change", "NetworkEmbedder", "feature_digest"]

BATCHES = {"cpu": 2, "cuda": 64, "mps": 64}
"""Pictures at a time; more are slower on the processor, see `predictor.MOST_PIXELS`. The last batch is
filled up: a vector must not depend on what else is asked for."""

Change = Callable[[Tensor, Sequence[str]], Tensor]
"""Changes normalised pictures (n, C, H, W), each by its id: a view."""


class NetworkEmbedder:
    """Gives the features of pictures, as `darkroom.features.Embedder` wants them.

    Args:
        network: the network with its weights, on its device; its last layer has no say.
        name: what the table of networks calls it.
        options: what it was built with.
        contract: how the pictures were made.
        normalisation: from the tensor to the network's input.
        view: what the key says about a changed view.
        change: makes the view; None leaves the picture as it is.
    """

    def __init__(
        self,
        network: Network,
        *,
        name: str,
        options: Mapping[str, float | int | str | bool],
        contract: Contract,
        normalisation: Normalisation,
        view: Mapping[str, Any] | None = None,
        change: Change | None = None,
    ) -> None:
        self._network, self._change, self._device = network.eval(), change, network.device
        self.batch_size = BATCHES[self._device.type]
        scale, shift = scale_and_shift(normalisation, network.mean_image)
        self._scale, self._shift = scale.to(self._device), shift.to(self._device)
        self.key = FeatureKey(
            network=name,
            options=options,
            weights_sha256=feature_digest(network),
            contract=contract,
            mean=normalisation.mean,
            std=normalisation.std,
            size=_size(network, contract),
            arithmetic=_arithmetic(name, self._device),
            **(view or {}),
        )

    def embed(self, images: np.ndarray, image_ids: Sequence[str]) -> np.ndarray:
        """Returns features (n, size) float32 of (n, H, W, C) uint8, n at most `batch_size`."""
        count = len(images)
        filled = np.zeros((self.batch_size, *images.shape[1:]), np.uint8)
        filled[:count] = images
        with torch.inference_mode():
            x = normalise(torch.from_numpy(filled).to(self._device), self._scale, self._shift)
            if self._change is not None:
                x = torch.cat([self._change(x[:count], image_ids), x[count:]])
                x = x.contiguous(memory_format=torch.channels_last)
            features = self._network.features(x)
            return self._network.embedding(features)[:count].float().cpu().numpy()


def feature_digest(network: Network) -> str:
    """Returns the sha256 over all weights and running figures but those of the last layer."""
    weights = network.state_dict()
    return digest({name: weight.cpu() for name, weight in weights.items() if not _of_head(name)})


def _arithmetic(network: str, device: torch.device) -> str:
    libraries = [f"{library} {version(library)}" for library in library_of(network)]
    return f"{', '.join([f'torch {torch.__version__}', *libraries])} on {device.type}"


def _of_head(name: str) -> bool:
    return name.startswith("head.")


def _size(network: Network, contract: Contract) -> int:
    if isinstance(network.head, nn.Linear):
        return network.head.in_features
    height, width, channels = contract.shape
    with torch.inference_mode():
        picture = torch.zeros(1, channels, height, width, device=network.device)
        return network.embedding(network.features(picture)).shape[1]
