"""PyTorch as the side that every file is compared with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from darkroom.networks.image_model import ImageModel
from darkroom.networks.network import Network
from darkroom.networks.predictor import predict_with_embedding
from darkroom.records import ModelCard
from darkroom.serving import Answer

__all__ = ["TorchReference", "on_threads"]


class TorchReference:
    """The network as the evaluation ran it, with normalisation and softmax, on the processor.

    Args:
        network: the trained network.
        card: its card.
        threads: threads that one answer may use.
    """

    def __init__(self, network: Network, card: ModelCard, *, threads: int = 1) -> None:
        self.model = ImageModel.of(network, card)
        self.threads = threads
        self.title = f"torch {torch.__version__}"

    def run(self, tensors: np.ndarray) -> Answer:
        """Answers to (N, height, width, channels) uint8."""
        with on_threads(self.threads):
            return Answer(*predict_with_embedding(self.model, [tensors]))


@contextmanager
def on_threads(count: int) -> Iterator[None]:
    """Lets torch use so many threads until the block ends."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
