"""One vector per picture of a dataset, for operations that look at how pictures lie among each other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from darkroom.errors import Invalid, InvalidConfig
from darkroom.operations.kept import kept_toml
from darkroom.records import DatasetVersion, Split
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.datasets import RenderedSplit
    from darkroom.features import Embedder, Pictures
    from darkroom.features.reduction import Vectors

__all__ = ["Joined", "Known", "joined", "known_by", "refuse_other_tasks", "run_vectors", "start_vectors"]


class Joined:
    """Pictures of several splits behind one another.

    Args:
        parts: the splits by name, those without pictures left out.
    """

    def __init__(self, parts: Sequence[tuple[Split, RenderedSplit]]) -> None:
        self._parts = [split for _, split in parts]
        self.names: tuple[Split, ...] = tuple(name for name, _ in parts)
        self._starts = np.cumsum([0, *(len(split) for split in self._parts)])
        self.image_ids: tuple[str, ...] = tuple(one for split in self._parts for one in split.image_ids)
        self.groups: tuple[str | None, ...] = tuple(one for split in self._parts for one in split.groups)
        self.labels = np.concatenate([split.labels for split in self._parts])
        """(N,) int64."""
        self.codes = np.repeat(np.arange(len(parts)), [len(split) for split in self._parts])
        """(N,) int, the place of each picture's split in `names`."""

    def __len__(self) -> int:
        return int(self._starts[-1])

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Returns (n, H, W, C) uint8 for the indices (n,)."""
        indices = np.asarray(indices, np.int64)
        out = np.empty((len(indices), *self._parts[0].shape), np.uint8) if out is None else out
        of = np.searchsorted(self._starts, indices, side="right") - 1
        for number in np.unique(of).tolist():
            here = np.flatnonzero(of == number)
            out[here] = self._parts[number].gather(indices[here] - self._starts[number])
        return out

    def split_of(self, place: int) -> Split:
        """Returns the split that a picture lies in."""
        return self.names[int(self.codes[place])]


class Known(NamedTuple):
    """What gives the vectors."""

    network: str
    """Name in the table, "custom", or "pixels"."""
    weights: str
    network_file: Path | None
    words: str
    """Said in reports."""


def joined(workspace: Workspace, version: DatasetVersion, splits: Sequence[Split]) -> Joined:
    """Returns the rendered pictures of some splits of a dataset version.

    Raises:
        Invalid: none of them has pictures.
    """
    from darkroom.datasets import render

    wanted: list[Split] = [name for name in dict.fromkeys(splits) if version.counts.get(name)]
    if not wanted:
        raise Invalid(
            "vectors.no-pictures",
            "{ref} has no pictures in {splits}. It has: {there}.",
            do="Name a split that has some.",
            ref=version.ref,
            splits=", ".join(splits) or "no split",
            there=", ".join(f"{name} {count}" for name, count in version.counts.items()),
        )
    rendering = render(workspace, version)
    return Joined([(name, rendering.split(name)) for name in wanted])


def refuse_other_tasks(version: DatasetVersion) -> None:
    """Refuses a dataset whose pictures do not each have one class.

    Raises:
        InvalidConfig: its task is another one.
    """
    if version.task != "classification":
        raise InvalidConfig(
            "vectors.other-task",
            "This is for classification, where each picture has one class; {ref} is for {task}.",
            do="Name a dataset for classification. See: darkroom dataset list",
            ref=version.ref,
            task=version.task,
        )


def known_by(
    workspace: Workspace,
    version: DatasetVersion,
    network: str | None,
    weights: str | None,
    network_file: Path | None = None,
) -> Known:
    """Returns what gives the vectors of a dataset's pictures.

    Pretrained weights, never those of a run: a run has learnt the labels, the wrong ones among them.

    Args:
        workspace: the project.
        version: the dataset.
        network: as asked for; None takes what the newest run on this dataset began with, else the pixels.
        weights: name of pretrained weights.
        network_file: for "custom".

    Raises:
        InvalidConfig: a network without weights, or pixels with some.
    """
    from darkroom.features.pixels import PIXELS

    if network is None and weights is None:
        found = _of_newest_run(workspace, version)
        if found is not None:
            return found
        return Known(PIXELS, "", None, "the pixels themselves, averaged down")
    if network == PIXELS:
        if weights or network_file:
            raise InvalidConfig(
                "vectors.pixels-alone",
                "Pixels are taken as they are, without weights or a file. Received: {given}.",
                do="Leave them out, or name the network that they are for.",
                given=weights or network_file,
            )
        return Known(PIXELS, "", None, "the pixels themselves, averaged down")
    if not network or not weights:
        raise InvalidConfig(
            "vectors.network-and-weights",
            "Features need a network and its pretrained weights. Received: network {network}, weights "
            "{weights}.",
            do="Name both, for example --network mobilenetv2_035 --weights NAME (darkroom model networks), "
            "or --network pixels",
            network=network or "none",
            weights=weights or "none",
        )
    return Known(network, weights, network_file, f"features of {network} with {weights}")


def _of_newest_run(workspace: Workspace, version: DatasetVersion) -> Known | None:
    for run in reversed(workspace.catalogue.runs.list(state="finished")):
        path = workspace.runs_folder / run.id / "config.toml"
        if run.dataset.rpartition("@")[0] != version.name or not path.is_file():
            continue
        recipe = kept_toml(path).get("recipe", {})
        if recipe.get("weights"):
            file = recipe.get("network_file")
            name, weights = str(recipe["network"]), str(recipe["weights"])
            words = f"features of {name} with {weights}, which {run.id} began with"
            return Known(name, weights, path.parent / file if file else None, words)
    return None


def start_vectors(
    workspace: Workspace,
    version: DatasetVersion,
    pictures: Pictures,
    known: Known,
    *,
    aside: Path | None = None,
) -> Vectors:
    """Returns the vectors of pictures by pretrained weights or by their pixels.

    Features that are in the store are taken from there; those that are missing are computed and kept.

    Args:
        workspace: the project.
        version: the dataset whose contract made the pictures.
        pictures: the pictures.
        known: what gives the vectors.
        aside: a folder that takes the place of the project's store.

    Raises:
        NotFound: there is no such network, or no such weights.
    """
    from darkroom.features.pixels import PIXELS, PixelVectors

    if known.network == PIXELS:
        return PixelVectors(pictures)
    from darkroom.features import FeatureStore, of
    from darkroom.training.device import choose_device, default_threads, reproducible

    device = choose_device("auto")
    with reproducible(device, workspace.settings.threads or default_threads()):
        embedder = _start_embedder(workspace, version, known, device)
        return (
            of(workspace, pictures, embedder)
            if aside is None
            else FeatureStore(aside).of(pictures, embedder)
        )


def run_vectors(workspace: Workspace, run: str, pictures: Pictures) -> Vectors:
    """Returns the vectors that a run's trained network gives pictures: what its last layer takes.

    Raises:
        NotFound: the run has no weights any more.
    """
    from darkroom.features import of
    from darkroom.networks.embedder import NetworkEmbedder
    from darkroom.networks.saved import load
    from darkroom.operations.run_weights import refuse_lost_run
    from darkroom.training.device import default_threads, reproducible

    refuse_lost_run(workspace, workspace.catalogue.runs.get(run))
    network, card = load(workspace.runs_folder / run / "checkpoints" / "best.safetensors")
    embedder = NetworkEmbedder(
        network,
        name=card.network,
        options=card.options,
        contract=card.contract,
        normalisation=card.normalisation,
    )
    with reproducible(network.device, workspace.settings.threads or default_threads()):
        return of(workspace, pictures, embedder)


def _start_embedder(workspace: Workspace, version: DatasetVersion, known: Known, device: Any) -> Embedder:
    from darkroom.datasets import render
    from darkroom.operations.starting import check_network, start_of
    from darkroom.training import Recipe
    from darkroom.training.last_layer import embedders, feature_network

    recipe = Recipe(
        network=known.network,
        weights=known.weights,
        network_file=known.network_file,
        train_layers="last",
    )
    check_network(known.network, version.contract)
    start = start_of(workspace, known.network, known.network_file, known.weights)
    network, normalisation = feature_network(
        recipe, version.contract, len(version.classes), start, render(workspace, version).split("train")
    )
    return embedders(network.to(device), recipe, version.contract, normalisation, start)[0]
