"""What a network begins with beside chance: pretrained weights, and the user's file that defines it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from darkroom.errors import InvalidConfig
from darkroom.networks.entry import OptionValue
from darkroom.networks.table import build, layers_of
from darkroom.networks.weights import load_pretrained
from darkroom.networks.weights_file import WeightsFacts
from darkroom.records import Normalisation, WeightsOrigin

if TYPE_CHECKING:
    from torch import Tensor

    from darkroom.networks.network import Network

__all__ = ["NetworkStart"]


@dataclass(frozen=True, kw_only=True)
class NetworkStart:
    """What a network begins with; nothing of both means fresh weights of a network of the table."""

    weights: WeightsFacts | None = None
    """Pretrained weights for all but the head."""
    code: Path | None = None
    """The user's Python file, for the network "custom"."""
    goes_on: ClassVar[bool] = False
    """Whether an earlier run's weights are gone on from."""

    @property
    def keeps_head(self) -> bool:
        """Whether the last layer has been trained for the same classes."""
        return False

    @property
    def options(self) -> dict[str, OptionValue]:
        """What the weights demand of the network's options."""
        return dict(self.weights.options) if self.weights else {}

    @property
    def origin(self) -> WeightsOrigin:
        """What the card says about it."""
        if self.weights is None:
            return WeightsOrigin()
        found = self.weights
        said = f"{found.name} ({found.source})" if found.source else found.name
        return WeightsOrigin(source=said, licence=found.licence, sha256=found.sha256)

    @property
    def code_sha256(self) -> str:
        """sha256 of the user's file; empty when there is none."""
        return "" if self.code is None else hashlib.sha256(self.code.read_bytes()).hexdigest()

    @property
    def mean_image(self) -> Tensor | None:
        """The mean picture (H, W, C) that goes with the normalisation; None where none is subtracted."""
        return None

    def normalisation(self, channels: int) -> Normalisation | None:
        """Returns the normalisation with which the weights were trained; None for fresh weights."""
        return None if self.weights is None else self.weights.normalisation_for(channels)

    def network(
        self,
        name: str,
        *,
        channels: int,
        size: tuple[int, int],
        classes: int,
        options: dict[str, OptionValue],
    ) -> Network:
        """Builds the network and fills it; a head that is fresh is drawn from torch's generator.

        Args:
            name: what the recipe calls it.
            channels: 1 for grey, 3 for RGB.
            size: (height, width) in pixels.
            classes: how many answers it tells apart.
            options: the recipe's; those that the weights demand are added.

        Raises:
            InvalidConfig: as `refuse_other`.
            DarkroomError: as `build` and `fill`.
        """
        self.refuse_other(name, (*size, channels))
        options = {**options, **self.options}
        network = build(
            name, channels=channels, size=size, classes=classes, options=options, code=self.code
        )
        self.fill(network)
        return network

    def refuse_other(self, name: str, shape: tuple[int, int, int]) -> None:
        """Refuses a network that does not go with what is begun with.

        Args:
            name: what the recipe calls it.
            shape: (height, width, channels) of the pictures.

        Raises:
            InvalidConfig: the weights are those of another network.
        """
        found = self.weights
        if found is not None and layers_of(found.network) != layers_of(name):
            raise InvalidConfig(
                "weights.other-network",
                "The weights {weights} are for network {theirs}, and the recipe names {network}.",
                do='Write network = "{theirs}" in the recipe, or choose other weights.',
                weights=found.name,
                theirs=found.network,
                network=name,
            )

    def fill(self, network: Network) -> None:
        """Fills a network that was just built with what there is to begin with.

        Raises:
            DarkroomError: as `load_pretrained`.
        """
        if self.weights is not None:
            load_pretrained(network, self.weights)
            _draw_small(network)


def _draw_small(network: Network) -> None:
    """Draws the last layer anew: timm's is some ten times larger, and that takes long to unlearn."""
    from torch import nn

    if isinstance(network.head, nn.Linear):
        network.head.reset_parameters()
