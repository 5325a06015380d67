"""Time a few batches of the real training: the same network, the same code, a few of the same pictures."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np
import torch

from darkroom.features import FeatureStore
from darkroom.networks.start import NetworkStart
from darkroom.records import Split
from darkroom.training.bench import Bench, cut, prepare
from darkroom.training.epoch import train_epoch, validate
from darkroom.training.outcome import CardFacts
from darkroom.training.pixels import RenderedSplit, Rendering
from darkroom.training.recipe import Layers, Recipe
from darkroom.training.reporter import Reporter, ShouldStop

__all__ = ["TIMED", "Few", "Stopwatch", "batches_of", "wait_for"]

TIMED = 3
"""Measurements after the warm-up."""

LEAST_S = 0.2
"""A measurement takes at least as many batches as fill this time, so that the clock counts for nothing."""

MOST_BATCHES = 48
TIMED_RATE = 1e-6
"""The learning rate while timing: the network must not learn, and a loss must not run away."""


class Few:
    """The first pictures of each split.

    Args:
        rendering: all of them.
        count: how many of each split, at most.
    """

    def __init__(self, rendering: Rendering, count: int) -> None:
        self._rendering, self._count = rendering, count

    def split(self, name: Split) -> RenderedSplit:
        """Returns the first pictures of one split."""
        return _FewOf(self._rendering.split(name), self._count)


class _FewOf:
    def __init__(self, split: RenderedSplit, count: int) -> None:
        self._split = split
        # Spread over the split: the first ones may all be of one class.
        self._chosen = np.unique(np.linspace(0, max(0, len(split) - 1), min(count, len(split))).astype(int))
        self.image_ids: Sequence[str] = [split.image_ids[int(place)] for place in self._chosen]
        labels = np.asarray(split.labels)  # none where each pixel has one
        self.labels: np.ndarray = labels[self._chosen] if len(labels) else labels

    @property
    def shape(self) -> tuple[int, int, int]:
        return self._split.shape

    def __len__(self) -> int:
        return len(self._chosen)

    def gather(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return self._split.gather(self._chosen[np.asarray(indices)], out)

    def gather_masks(self, indices: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        return self._split.gather_masks(self._chosen[np.asarray(indices)], out)


class Stopwatch:
    """Times batches on a network of its own; nothing of it stays.

    Args:
        rendering: the pictures; a few are taken.
        recipe: how to train.
        seed: as in the training.
        facts: as in the training.
        device: where to train.
        features: where features of the few pictures are kept, for a training of the last layer.
        start: what the network begins with.
        precision: to time; the recipe's when not given.
        should_stop: asked after each batch.
    """

    bench: Bench

    def __init__(
        self,
        rendering: Rendering,
        recipe: Recipe,
        seed: int,
        facts: CardFacts,
        device: torch.device,
        features: FeatureStore,
        start: NetworkStart,
        *,
        precision: str = "",
        should_stop: ShouldStop | None = None,
    ) -> None:
        # A batch is timed, whatever makes a step; the loss of the few may lack classes.
        timed = recipe.model_copy(
            update={"accumulate_batches": 1, "learning_rate": TIMED_RATE, "find_learning_rate": False}
        )
        if recipe.train_layers == "gradual":  # as in the epochs in which every group is open
            timed = timed.model_copy(update={"train_layers": "all", "layers": Layers()})

        def lay_out(batches: int) -> Bench:
            few = Few(rendering, batches * recipe.batch_size)
            return prepare(few, timed, seed, facts, device, features, start, precision=precision)

        self._reporter = Reporter(timed, 1, None, should_stop)
        self.bench = lay_out(1)
        self.train_s()
        batches = min(MOST_BATCHES, math.ceil(LEAST_S / self.train_s()))
        if batches > 1 and len(rendering.split("train")) > recipe.batch_size:
            self.bench = lay_out(batches)
            self.train_s()

    def train_s(self) -> float:
        """Trains on the few pictures once; returns the seconds of one batch."""
        wait_for(self.bench.device)
        began = time.perf_counter()
        train_epoch(self.bench, 1, self._reporter)
        wait_for(self.bench.device)
        return (time.perf_counter() - began) / self.bench.steps_per_epoch

    def validate_s(self) -> float:
        """Validates on the few pictures once; returns the seconds of one picture, 0 where there is none."""
        if len(self.bench.val) == 0:
            return 0.0
        wait_for(self.bench.device)
        began = time.perf_counter()
        validate(self.bench, 1, self._reporter)
        wait_for(self.bench.device)
        return (time.perf_counter() - began) / len(self.bench.val)


def batches_of(count: int, batch_size: int) -> int:
    """Returns how many batches an epoch over so many pictures has."""
    return len(cut(torch.arange(count), batch_size))


def wait_for(device: torch.device) -> None:
    """Waits until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
