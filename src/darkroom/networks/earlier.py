"""A training that goes on from an earlier run's weights; its last layer too where the classes are equal."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from darkroom.errors import InvalidConfig
from darkroom.networks.entry import OptionValue
from darkroom.networks.saved import load
from darkroom.networks.start import NetworkStart
from darkroom.records import ModelCard, Normalisation, WeightsOrigin

if TYPE_CHECKING:
    from darkroom.networks.network import Network

__all__ = ["EarlierRun"]


@dataclass(frozen=True, kw_only=True)
class EarlierRun(NetworkStart):
    """Weights that an earlier run learnt."""

    run: str
    """The run, "r-1"."""
    checkpoint: Path
    """The file with its weights after some epoch."""
    labels: tuple[str, ...]
    """The classes of the training that begins; the last layer is kept when they are the earlier run's."""
    goes_on: ClassVar[bool] = True

    @cached_property
    def _earlier(self) -> tuple[Network, ModelCard]:
        return load(self.checkpoint)

    @property
    def card(self) -> ModelCard:
        """The earlier run's card after the epoch."""
        return self._earlier[1]

    @property
    def keeps_head(self) -> bool:
        """Whether the classes are those of the earlier run, in the same order."""
        return self.card.labels == self.labels

    @property
    def options(self) -> dict[str, OptionValue]:
        """What the earlier network was built with, beside what a recipe may change."""
        return {name: value for name, value in self.card.options.items() if name != "dropout"}

    @property
    def origin(self) -> WeightsOrigin:
        """What the card says about it: the run, and where that one began."""
        before = self.card.weights
        began = "" if before.source == "random" else f", which began from {before.source}"
        return WeightsOrigin(
            source=f"run {self.run}, epoch {self.card.epoch}{began}",
            licence=before.licence,
            sha256=before.sha256,
        )

    @property
    def mean_image(self) -> Tensor | None:
        """The mean picture that the earlier run subtracted, (H, W, C) float32."""
        return self._earlier[0].mean_image

    def normalisation(self, channels: int) -> Normalisation | None:
        """Returns the earlier run's normalisation."""
        return self.card.normalisation

    def refuse_other(self, name: str, shape: tuple[int, int, int]) -> None:
        """Refuses what is not the network, or not the shape of pictures, that the earlier run trained.

        Raises:
            InvalidConfig: either is another.
        """
        self._check("network", self.card.network, name)
        self._check("input", self.card.contract.shape, shape)

    def fill(self, network: Network) -> None:
        """Fills a network with the earlier weights; its head too where the classes are the same."""
        weights = self._earlier[0].state_dict()
        if not self.keeps_head:
            fresh = network.state_dict()
            weights = {key: fresh[key] if key.startswith("head.") else weights[key] for key in fresh}
        weights.pop("mean_image", None)
        network.load_state_dict(weights)

    def _check(self, what: str, theirs: object, ours: object) -> None:
        if theirs != ours:
            raise InvalidConfig(
                "start.other-run",
                "Run {run} cannot be gone on from: its {what} was {theirs}, and this training's is {ours}.",
                do="Take the same network and contract, or leave start_from out.",
                run=self.run,
                what=what,
                theirs=theirs,
                ours=ours,
            )
