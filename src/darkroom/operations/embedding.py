"""Operation on features: compute those of a dataset's pictures once, for whoever asks for them later."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from darkroom.operation import DatasetRef, UserCode, operation
from darkroom.operations.run_weights import LIBRARIES
from darkroom.operations.starting import check_network, start_of, starting_inputs
from darkroom.records import SPLITS, DatasetVersion, Result, Split, Table
from darkroom.training import Augment, Recipe
from darkroom.training.combinations import check_combinations
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.features import Embedder
    from darkroom.networks.start import NetworkStart

__all__ = ["features"]


class FeaturesReport(Result):
    """Features of a dataset's pictures, in the project's store."""

    dataset: DatasetRef
    weights: str
    size: int
    """Numbers in one vector."""
    computed: int
    """Vectors that were not there yet."""
    kept: int
    """Vectors that were there already."""
    duration_s: float
    rows: tuple[tuple[str, ...], ...]
    """Split, view, vectors, how many were there already, seconds, folder."""

    def display(self) -> Iterator[str | Table]:
        """Yields one row per split and view, and the sum."""
        columns = ("split", "view", "vectors", "were there", "took", "folder")
        yield Table(columns, self.rows, f"{self.dataset}: {self.size:,} numbers each, by {self.weights}")
        yield (f"Computed {self.computed:,} vectors in {self.duration_s:.1f} s; {self.kept:,} were there.")


def _read(
    workspace: Workspace, *, network: str, weights: str, network_file: Path | None, **_: Any
) -> Mapping[str, str]:
    return starting_inputs(workspace, network, network_file, weights)


@operation("dataset.features", slow=True, stage=5, inputs=_read, libraries=LIBRARIES)
def features(
    workspace: Workspace,
    *,
    dataset: DatasetRef,
    network: str,
    weights: str,
    views: Annotated[int, Field(ge=1, le=64)] = 1,
    augment: Augment = Augment(),
    network_file: UserCode | None = None,
) -> FeaturesReport:
    """Compute the features of all pictures of a dataset, once; a training of the last layer takes them.

    Args:
        dataset: the dataset version.
        network: name in the table of networks, "timm/NAME", or "custom" with network_file.
        weights: name of its pretrained weights.
        views: views of each training picture: as it is, and views that are changed as augment says.
        augment: the changes.
        network_file: for custom, the Python file that defines it.
    """
    version = workspace.catalogue.datasets.get(dataset)
    recipe = Recipe(
        network=network,
        weights=weights,
        network_file=network_file,
        train_layers="last",
        feature_views=views,
        augment=augment,
    )
    check_combinations(recipe, version.classes)
    check_network(network, version.contract)
    start = start_of(workspace, network, network_file, weights)
    return _report(version, weights, list(_computed(workspace, version, recipe, start)))


def _computed(
    workspace: Workspace, version: DatasetVersion, recipe: Recipe, start: NetworkStart
) -> Iterator[tuple[str, Embedder, int, int, float]]:
    """Yields split, embedder, vectors, how many of them were computed, and seconds."""
    from darkroom.datasets import render
    from darkroom.features import of
    from darkroom.training.device import choose_device, default_threads, reproducible
    from darkroom.training.last_layer import embedders, feature_network

    rendering = render(workspace, version)
    device = choose_device(recipe.device)
    with reproducible(device, workspace.settings.threads or default_threads()):
        network, normalisation = feature_network(
            recipe, version.contract, len(version.classes), start, rendering.split("train")
        )
        plain, *changed = embedders(network.to(device), recipe, version.contract, normalisation, start)
        splits: list[Split] = [name for name in SPLITS if version.counts.get(name)]
        for split in splits:
            for embedder in (plain, *(changed if split == "train" else ())):
                began = time.monotonic()
                table = of(workspace, rendering.split(split), embedder)
                yield split, embedder, len(table), table.computed, time.monotonic() - began


def _report(
    version: DatasetVersion, weights: str, found: list[tuple[str, Embedder, int, int, float]]
) -> FeaturesReport:
    rows = tuple(
        (
            split,
            "plain" if embedder.key.view == 0 else str(embedder.key.view),
            f"{count:,}",
            f"{count - computed:,}",
            f"{seconds:.1f} s",
            f".darkroom/features/{embedder.key.id}",
        )
        for split, embedder, count, computed, seconds in found
    )
    computed = sum(one[3] for one in found)
    return FeaturesReport(
        dataset=version.ref,
        weights=weights,
        size=found[0][1].key.size,
        computed=computed,
        kept=sum(one[2] for one in found) - computed,
        duration_s=sum(one[4] for one in found),
        rows=rows,
    )
