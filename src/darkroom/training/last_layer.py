"""Train the last layer alone, on features from the store; what is saved is the whole network.

The layer sees features that are centred and scaled over the training pictures, on which a gradient descends
evenly; scale and centre are folded into the weights that are saved, so that the network needs neither.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from darkroom.features import FeatureStore, FeatureTable
from darkroom.networks.embedder import NetworkEmbedder
from darkroom.networks.network import Network
from darkroom.networks.start import NetworkStart
from darkroom.networks.table import CUSTOM
from darkroom.records import Contract, Normalisation
from darkroom.training.device import derive_seed, exact_dtype
from darkroom.training.normalisation import normalisation_of
from darkroom.training.outcome import CardFacts
from darkroom.training.pixels import RenderedSplit, check_labels
from darkroom.training.recipe import Recipe, network_options
from darkroom.training.views import Views

__all__ = ["FeatureRows", "LastLayer", "embedders", "feature_network", "lay_out"]

MOST_BYTES_IN_MEMORY = 1 << 30
CHUNK_ROWS = 4096


class LastLayer(nn.Module):
    """A network's last layer on centred and scaled features.

    A last layer that is not linear gets the features as they are: nothing could be folded into it. For one
    without a bias they are scaled and not centred, as a centre is folded into the bias.

    Args:
        network: the network; its last layer is copied.
        centre: (E,) float64, mean of each feature over the training pictures.
        scale: (E,) float64, what the distance from it is multiplied by.
        dropout: share of features set to zero while training.
        learnt: whether the last layer has learnt on plain features, and goes on from there.
    """

    centre: Tensor
    scale: Tensor

    def __init__(
        self,
        network: Network,
        centre: np.ndarray,
        scale: np.ndarray,
        *,
        dropout: float = 0.0,
        learnt: bool = False,
    ) -> None:
        super().__init__()
        self.head = copy.deepcopy(network.head)
        self.dropout = dropout
        linear = isinstance(self.head, nn.Linear)
        if not linear or self.head.bias is None:
            centre = np.zeros_like(centre)
        if not linear:
            scale = np.ones_like(scale)
        place = {"device": network.device, "dtype": exact_dtype(network.device)}
        self.register_buffer("centre", torch.from_numpy(centre).to(**place))
        self.register_buffer("scale", torch.from_numpy(scale).to(**place))
        if learnt and isinstance(self.head, nn.Linear):
            self._take_in(self.head)

    def _take_in(self, head: nn.Linear) -> None:
        """Turns weights for plain features into weights for centred and scaled ones; undoes `weights`."""
        with torch.no_grad():
            weight, centre, scale = (part.cpu().double() for part in (head.weight, self.centre, self.scale))
            if head.bias is not None:
                head.bias.add_((weight @ centre).float().to(head.bias.device))
            head.weight.copy_((weight / scale).float())

    def forward(self, features: Tensor) -> Tensor:
        """Returns the logits (N, classes) of features (N, E)."""
        x = (features - self.centre.float()) * self.scale.float()
        if self.dropout > 0:
            x = functional.dropout(x, self.dropout, self.training)
        return self.head(x)

    def weights(self, network: Network) -> dict[str, Tensor]:
        """Returns the weights of the whole network with this last layer, which takes plain features.

        W·((f − m)·s) + b = (W·s)·f + (b − (W·s)·m)
        """
        head = {name: weight.detach() for name, weight in self.head.state_dict().items()}
        if isinstance(self.head, nn.Linear):
            weight = head["weight"].cpu().double() * self.scale.cpu().double()
            if "bias" in head:
                bias = head["bias"].cpu().double() - weight @ self.centre.cpu().double()
                head["bias"] = bias.float()
            head["weight"] = weight.float()
        return {**network.state_dict(), **{f"head.{name}": tensor for name, tensor in head.items()}}


class FeatureRows:
    """One split as the last layer takes it: features and labels, on a device.

    Args:
        tables: features of the N pictures: as they are, and then one table for each changed view.
        labels: (N,) int64.
        device: where batches are wanted.
        seed: decides which picture is seen in which view when.
        most_bytes: memory that features may fill; more are gathered batch by batch.
    """

    def __init__(
        self,
        tables: Sequence[FeatureTable],
        labels: np.ndarray,
        device: torch.device,
        *,
        seed: int = 0,
        most_bytes: int = MOST_BYTES_IN_MEMORY,
    ) -> None:
        self._tables, self._device = tables, device
        self._labels = torch.from_numpy(np.array(labels, np.int64)).to(device)
        generator = torch.Generator().manual_seed(derive_seed(seed, "views"))
        self._first = torch.randint(len(tables), (len(self),), generator=generator)
        self._view = torch.zeros(len(self), dtype=torch.int64)
        self._rows: Tensor | None = None
        if 4 * len(tables) * len(self) * tables[0].size <= most_bytes:
            rows = np.empty((len(tables), len(self), self.size), np.float32)
            for table, part in zip(tables, rows, strict=True):
                table.gather(np.arange(len(self)), out=part)
            self._rows = torch.from_numpy(rows).to(device)

    def __len__(self) -> int:
        return len(self._tables[0])

    @property
    def size(self) -> int:
        """Numbers in one vector."""
        return self._tables[0].size

    @property
    def image_ids(self) -> Sequence[str]:
        """Ids of the images, in order."""
        return self._tables[0].image_ids

    def begin_epoch(self, epoch: int) -> None:
        """Moves each picture on to its next view; over as many epochs as there are views it shows all."""
        self._view = (self._first + epoch) % len(self._tables)

    def labels(self, indices: Tensor) -> Tensor:
        """Returns labels (n,) of pictures (n,) int64."""
        return self._labels.index_select(0, indices)

    def batch(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Returns features (n, E) float32 and labels (n,) of pictures (n,) int64."""
        labels = self.labels(indices)
        chosen = indices.cpu()
        views = self._view[chosen]
        if self._rows is not None:
            return self._rows[views.to(self._device), indices], labels
        return self._gather(chosen.numpy(), views.numpy()), labels

    def _gather(self, chosen: np.ndarray, views: np.ndarray) -> Tensor:
        rows = np.empty((len(chosen), self._tables[0].size), np.float32)
        for view in np.unique(views).tolist():
            here = views == view
            rows[here] = self._tables[view].gather(chosen[here])
        return torch.from_numpy(rows).to(self._device)


def lay_out(
    network: Network,
    train: RenderedSplit,
    val: RenderedSplit,
    *,
    recipe: Recipe,
    seed: int,
    facts: CardFacts,
    normalisation: Normalisation,
    store: FeatureStore,
    start: NetworkStart,
) -> tuple[FeatureRows, FeatureRows, LastLayer]:
    """Returns training and validation features, and the layer to train on them.

    Features that are not in the store yet are computed.

    Raises:
        InvalidLabel: a label is not one of the classes.
        Cancelled: the store was asked to stop.
    """
    for split in (train, val):
        check_labels(np.asarray(split.labels), len(facts.labels))
    plain, *changed = embedders(network, recipe, facts.contract, normalisation, start)
    tables = [store.of(train, embedder) for embedder in (plain, *changed)]
    rows = FeatureRows(tables, np.asarray(train.labels), network.device, seed=seed)
    val_rows = FeatureRows([store.of(val, plain)], np.asarray(val.labels), network.device)
    return (
        rows,
        val_rows,
        LastLayer(network, *_centre_and_scale(tables[0]), dropout=recipe.dropout, learnt=start.keeps_head),
    )


def feature_network(
    recipe: Recipe, contract: Contract, classes: int, start: NetworkStart, split: RenderedSplit
) -> tuple[Network, Normalisation]:
    """Returns the pretrained network that computes features, and its normalisation, as a training has them.

    Args:
        recipe: names the network and the normalisation.
        contract: how the pictures were made.
        classes: how many there are.
        start: what the network begins with.
        split: the pictures to train on, for a normalisation that is measured.

    Raises:
        DarkroomError: as `NetworkStart.network`.
    """
    normalisation, mean_image = normalisation_of(
        recipe.normalisation,
        split,
        "train split",
        of_weights=start.normalisation(contract.channels),
        mean_image=start.mean_image,
    )
    network = start.network(
        recipe.network,
        channels=contract.channels,
        size=(contract.height_px, contract.width_px),
        classes=classes,
        options=dict(network_options(recipe)),
    )
    network.mean_image = mean_image
    return network.to(memory_format=torch.channels_last), normalisation  # type: ignore[call-overload]


def embedders(
    network: Network, recipe: Recipe, contract: Contract, normalisation: Normalisation, start: NetworkStart
) -> list[NetworkEmbedder]:
    """Returns what computes the features of pictures as they are, and then of each changed view.

    Args:
        network: the whole network, filled and on its device.
        recipe: names the network, its options, the number of views and the changes.
        contract: how the pictures were made.
        normalisation: from the tensor to the network's input.
        start: what the network began with.
    """
    views = [
        Views(recipe.augment, contract.shape, normalisation, network.device, number, network.mean_image)
        for number in range(1, recipe.feature_views)
    ]
    options = {**network_options(recipe), **start.options, "code": start.code_sha256}
    if "dropout" in options and recipe.network != CUSTOM.name:
        options["dropout"] = 0.0  # at rest it changes nothing; what a user's file makes of it nobody knows
    return [
        NetworkEmbedder(
            network,
            name=recipe.network,
            options=options,
            contract=contract,
            normalisation=normalisation,
            view=view.facts if view else None,
            change=view,
        )
        for view in (None, *views)
    ]


def _centre_and_scale(table: FeatureTable) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean (E,) and one over the spread (E,) of each feature, both float64.

    The usual spread (the root of the mean variance) is added to each: a feature that hardly ever moves
    among the training pictures would otherwise be the loudest of all on others.
    """
    total, squares = np.zeros(table.size), np.zeros(table.size)
    for start in range(0, len(table), CHUNK_ROWS):
        rows = table.gather(np.arange(start, min(start + CHUNK_ROWS, len(table)))).astype(np.float64)
        total += rows.sum(axis=0)
        squares += np.square(rows).sum(axis=0)
    mean = total / len(table)
    variance = np.maximum(squares / len(table) - np.square(mean), 0.0)
    usual = float(np.sqrt(variance.mean())) or 1.0  # 1: no feature moves at all
    return mean, 1 / (np.sqrt(variance) + usual)
