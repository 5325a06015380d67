"""Time a training of a dataset that may not be rendered yet, and what has to be made before it begins."""

from __future__ import annotations

import math
import statistics
import time
from itertools import islice
from typing import NamedTuple

import numpy as np

from darkroom.datasets import find_rendering, labels_of
from darkroom.features import project_store
from darkroom.operations.run_making import Wanted, card_facts, own_recipe
from darkroom.records import DatasetVersion, Split
from darkroom.training.pixels import RenderedSplit, Rendering
from darkroom.training.recipe import Recipe
from darkroom.training.timing import Timing, time_training
from darkroom.workspace import Workspace

__all__ = ["Preparation", "prepare_timing"]

MOST_TAKEN = 128
"""Pictures of a split that are decoded where there is no rendering; a larger batch shows some twice."""

TIMED = 3


class Preparation(NamedTuple):
    """What is made once, before the first epoch."""

    rendering_s: float
    """0 where it is there."""
    features_s: float
    """0 where nothing is missing, or all layers are trained."""
    disk_bytes: int
    basis: str
    """What the times rest on, in words."""
    made: str
    """What is made, in words."""


def prepare_timing(workspace: Workspace, wanted: Wanted) -> tuple[Timing, Preparation]:
    """Times a training and what comes before it; leaves nothing behind.

    Raises:
        Cancelled: a person stopped it.
        DarkroomError: as `time_training`.
    """
    version, recipe = wanted.version, own_recipe(workspace, wanted.recipe)
    rendering, picture_s = find_rendering(workspace, version), 0.0
    pictures: Rendering
    if rendering is None:
        began = time.perf_counter()
        taken = _Taken(workspace, version, recipe.batch_size)
        picture_s, pictures = (time.perf_counter() - began) / taken.count, taken
    else:
        pictures = rendering
    timing = time_training(
        pictures,
        recipe,
        wanted.seed,
        card_facts(workspace, version),
        wanted.start,
        train_count=version.counts.get("train", 0),
        val_count=version.counts.get("val", 0),
        should_stop=workspace.stop_requested.is_set,
    )
    missing, each_s, each_bytes = 0, 0.0, 0
    if wanted.on_features:
        missing, each_s, each_bytes = _features(workspace, wanted, recipe, pictures, rendering)
    return timing, _preparation(workspace, version, picture_s, missing, each_s, each_bytes)


def _preparation(
    workspace: Workspace,
    version: DatasetVersion,
    picture_s: float,
    missing: int,
    each_s: float,
    each_bytes: int,
) -> Preparation:
    count = sum(version.counts.values()) if picture_s else 0
    said = []
    if count:
        said.append(f"{count:,} pictures to render, by a few of them")
    if missing:
        said.append(f"{missing:,} vectors to compute, by {TIMED} timed batches")
    made = [*(["the rendering"] if count else []), *(["features"] if missing else [])]
    return Preparation(
        rendering_s=count * picture_s / workspace.settings.worker_count,
        features_s=missing * each_s,
        disk_bytes=count * math.prod(version.contract.shape) + missing * each_bytes,
        basis="; ".join(said) or "nothing is missing",
        made=" and ".join(made) or "nothing else to make",
    )


class _Taken:
    """A few pictures of each split, decoded now, each repeated until they fill a batch."""

    def __init__(self, workspace: Workspace, version: DatasetVersion, batch_size: int) -> None:
        self._splits: dict[Split, _TakenSplit] = {
            split: _TakenSplit(workspace, version, split, batch_size) for split in ("train", "val")
        }
        self.count = sum(len(split.decoded) for split in self._splits.values())

    def split(self, name: Split) -> RenderedSplit:
        return self._splits[name]


class _TakenSplit:
    def __init__(
        self, workspace: Workspace, version: DatasetVersion, split: Split, batch_size: int
    ) -> None:
        from darkroom.images import apply_contract, decode

        most = min(batch_size, MOST_TAKEN, version.counts.get(split, 0))
        members = list(islice(workspace.catalogue.datasets.members(version.ref, split), most))
        prepared = [
            apply_contract(
                decode(workspace.read_image(member.image_id), max_pixels=workspace.settings.max_pixels),
                version.contract,
            )
            for member in members
        ]
        self.decoded = [one.tensor for one in prepared]
        self.masks: list[np.ndarray] = []
        rows = min(batch_size, version.counts.get(split, 0))
        self._rows = np.arange(rows) % max(1, len(members))
        self.image_ids = [members[row].image_id for row in self._rows]
        self.labels = np.empty(0, np.int64)
        if version.task == "segmentation":
            from darkroom.datasets.masks import mask_tensor

            self.masks = [
                mask_tensor(workspace.blobs.get(member.label), one.transform, len(version.classes))
                for member, one in zip(members, prepared, strict=True)
            ]
        elif version.task == "multi-label":
            sets = [set(labels_of(members[row], version.task)) for row in self._rows]
            found = [[label in one for label in version.classes] for one in sets]
            self.labels = np.array(found, np.int64).reshape(rows, len(version.classes))
        else:
            places = {label: place for place, label in enumerate(version.classes)}
            self.labels = np.array([places[members[row].label] for row in self._rows], np.int64)
        self.shape = version.contract.shape

    def __len__(self) -> int:
        return len(self._rows)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return self._gathered(self.decoded, self.shape, indices, out)

    def gather_masks(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return self._gathered(self.masks, self.shape[:2], indices, out)

    def _gathered(
        self, kept: list[np.ndarray], shape: tuple[int, ...], indices: np.ndarray, out: np.ndarray | None
    ) -> np.ndarray:
        found = np.empty((len(indices), *shape), np.uint8) if out is None else out
        for place, row in enumerate(self._rows[np.asarray(indices)]):
            found[place] = kept[row]
        return found


def _features(
    workspace: Workspace,
    wanted: Wanted,
    recipe: Recipe,
    pictures: Rendering,
    rendering: Rendering | None,
) -> tuple[int, float, int]:
    """Returns how many vectors are missing, the seconds of one, and its bytes."""
    from darkroom.training.device import choose_device, default_threads, reproducible
    from darkroom.training.last_layer import embedders, feature_network

    version, device = wanted.version, choose_device(recipe.device)
    train = pictures.split("train")
    with reproducible(device, recipe.threads or default_threads()):
        network, normalisation = feature_network(
            recipe, version.contract, len(version.classes), wanted.start, train
        )
        plain, *changed = embedders(
            network.to(device), recipe, version.contract, normalisation, wanted.start
        )
        store = project_store(workspace, recipe.network)
        ids = {name: _image_ids(workspace, version, name, rendering) for name in ("train", "val")}
        missing = store.missing(ids["val"], plain)
        missing += sum(store.missing(ids["train"], embedder) for embedder in (plain, *changed))
        times = []
        for number in range(TIMED + 1):
            embedder = (plain, *changed)[min(number, len(changed))]
            chosen = np.arange(min(embedder.batch_size, len(train)))
            batch, batch_ids = train.gather(chosen), [train.image_ids[place] for place in chosen.tolist()]
            began = time.perf_counter()
            embedder.embed(batch, batch_ids)
            times.append((time.perf_counter() - began) / len(chosen))
    return missing, statistics.median(times[1:]), 4 * plain.key.size


def _image_ids(
    workspace: Workspace, version: DatasetVersion, split: Split, rendering: Rendering | None
) -> list[str]:
    if rendering is not None:
        return list(rendering.split(split).image_ids)
    return [member.image_id for member in workspace.catalogue.datasets.members(version.ref, split)]
