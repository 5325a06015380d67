"""What decides a feature vector, beside the image itself; its hash names a folder of the store."""

from __future__ import annotations

from typing import Any

from darkroom.records import Contract, Fact, FrozenMap, content_id

__all__ = ["FeatureKey"]


class FeatureKey(Fact):
    """Everything but the image that decides a vector of features.

    Two requests with equal keys share their vectors, whoever asks: a training, its clones, a search.
    """

    network: str
    """Name in the table of networks."""
    options: FrozenMap[str, float | int | str | bool] = {}
    """What the network was built with."""
    weights_sha256: str
    """Over the weights of the feature part as they are in memory; the last layer has no say."""
    contract: Contract
    """From decoded pixels to the tensor."""
    mean: tuple[float, ...]
    """Normalisation, per channel, 0..1."""
    std: tuple[float, ...]
    """Normalisation, per channel, 0..1."""
    size: int
    """Numbers in one vector."""
    arithmetic: str
    """Libraries, versions and device that compute it: "torch 2.13.0, timm 1.0.31 on cpu". Another one may
    differ in the last bits, and so keeps its own vectors."""
    view: int = 0
    """0: the picture as it is; from 1 on: a randomly changed view of it."""
    augment: FrozenMap[str, Any] = {}
    """For a changed view: which changes, and how large."""
    augment_seed: int = 0
    """For a changed view: what decides the changes."""

    @property
    def id(self) -> str:
        """Name of the folder: the first 16 hex digits of the hash."""
        return content_id(self)[:16]
