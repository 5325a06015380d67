"""The two kinds of sides that can be asked: the network in PyTorch, and a file of a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from darkroom.errors import DarkroomError, Unsupported
from darkroom.export.layers import Layer, layers_of
from darkroom.export.portions import in_portions
from darkroom.records import ModelCard, Normalisation
from darkroom.serving import open_session

if TYPE_CHECKING:
    from torch import Tensor

    from darkroom.networks.network import Network

__all__ = ["FileSide", "Side", "TorchSide"]


class Side(Protocol):
    """Something that answers, and can be looked into."""

    title: str
    """What it is, with versions."""
    target: str
    """Its format; "pytorch" for the network itself."""
    precision: str
    """What its weights are written as."""
    card: ModelCard
    """What it should be; a file of it is held against that, not believed."""
    labels: tuple[str, ...]
    """Names of the classes in the order of its probabilities."""

    def probabilities(self, tensors: np.ndarray) -> np.ndarray:
        """Answers to (N, height, width, channels) uint8."""
        ...

    def logits(self, tensors: np.ndarray) -> np.ndarray | None:
        """Returns what goes into the softmax; None where it is not known."""
        ...

    def normalised(self, tensors: np.ndarray) -> np.ndarray | None:
        """Returns the normalised input (N, height, width, channels) float32; None where it is not known."""
        ...

    def normalised_by(self, tensors: np.ndarray, normalisation: Normalisation) -> np.ndarray | None:
        """Answers as if another normalisation stood before the network; None where it cannot be changed."""
        ...

    def layers(self, tensors: np.ndarray) -> list[Layer]:
        """Returns the layers in the order of running."""
        ...


class FileSide:
    """A model file, run by its runtime.

    Args:
        path: the file.
        target: its format.
        precision: what its weights are written as.
        card: the card of its bundle, which says what it should be.
    """

    def __init__(self, path: Path, target: str, precision: str, card: ModelCard) -> None:
        self.path, self.target, self.precision, self.card = path, target, precision, card
        self._session = open_session(path, threads=1)
        self.labels = self._session.carried.labels or card.labels
        self.title = f"{path.name}, {self._session.runtime}"

    def probabilities(self, tensors: np.ndarray) -> np.ndarray:
        """Answers to (N, height, width, channels) uint8, a few at a time.

        Raises:
            Unsupported: its runtime stops.
        """
        try:
            parts = [self._session.run(part).probabilities for part in in_portions(tensors, self.card)]
        except DarkroomError:
            raise
        except Exception as error:  # runtimes share no base but Exception
            raise Unsupported(
                "side.stopped",
                "{file} stopped while answering: {why}",
                do="Compare the files of the bundle with PyTorch: darkroom export verify",
                file=self.path.name,
                why=(str(error).strip().splitlines() or [type(error).__name__])[0],
            ) from error
        return np.concatenate(parts).astype(np.float32, copy=False)

    def logits(self, tensors: np.ndarray) -> np.ndarray | None:
        """Returns nothing: a file ends with its probabilities."""
        return None

    def normalised(self, tensors: np.ndarray) -> np.ndarray | None:
        """Returns what the card's normalisation makes of the tensors."""
        return normalised(tensors, self.card.normalisation)

    def normalised_by(self, tensors: np.ndarray, normalisation: Normalisation) -> np.ndarray | None:
        """Returns nothing: normalising is inside the file."""
        return None

    def layers(self, tensors: np.ndarray) -> list[Layer]:
        """Returns the layers in the order of running."""
        return layers_of(self.target, self.path, tensors)


class TorchSide:
    """The network of a run, on the processor.

    Args:
        network: the network.
        card: its card.
    """

    target, precision = "pytorch", "float32"

    def __init__(self, network: Network, card: ModelCard) -> None:
        from darkroom.export.reference import TorchReference

        self.card, self.labels = card, card.labels
        self._reference = TorchReference(network, card)
        self.title = self._reference.title

    def probabilities(self, tensors: np.ndarray) -> np.ndarray:
        """Answers to (N, height, width, channels) uint8."""
        return self._reference.run(tensors).probabilities

    def logits(self, tensors: np.ndarray) -> np.ndarray | None:
        """Returns what goes into the softmax: (N, classes) or (N, height, width, classes) float32."""
        from darkroom.export.torch_layers import logits

        parts = [logits(self._reference.model, part) for part in in_portions(tensors, self.card)]
        found = np.concatenate(parts)
        return np.moveaxis(found, 1, -1) if found.ndim == 4 else found

    def normalised(self, tensors: np.ndarray) -> np.ndarray | None:
        """Returns the normalised input (N, height, width, channels) float32."""
        from darkroom.networks.image_model import normalise

        model, images = self._reference.model, _torch(tensors)
        return normalise(images, model.scale, model.shift).permute(0, 2, 3, 1).numpy()

    def normalised_by(self, tensors: np.ndarray, normalisation: Normalisation) -> np.ndarray | None:
        """Answers as if another normalisation stood before the network."""
        from darkroom.networks.image_model import scale_and_shift

        model = self._reference.model
        kept = model.scale, model.shift
        model.scale, model.shift = scale_and_shift(normalisation)
        try:
            return self.probabilities(tensors)
        finally:
            model.scale, model.shift = kept

    def layers(self, tensors: np.ndarray) -> list[Layer]:
        """Returns what each module gives."""
        from darkroom.export.torch_layers import layers

        return layers(self._reference.model, tensors)


def normalised(tensors: np.ndarray, normalisation: Normalisation) -> np.ndarray | None:
    """Returns (p / 255 − mean) / std; None where a whole mean picture is subtracted."""
    if normalisation.kind == "mean-image":
        return None
    mean, std = np.array(normalisation.mean), np.array(normalisation.std)
    return ((tensors / 255 - mean) / std).astype(np.float32)


def _torch(tensors: np.ndarray) -> Tensor:
    import torch

    return torch.from_numpy(np.ascontiguousarray(tensors).copy())
