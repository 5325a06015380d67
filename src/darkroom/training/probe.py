"""A short training that answers a question: what would another rate, fewer pictures, another network give?

Nothing of it is kept but its answers to some pictures.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch.nn import functional

from darkroom.errors import Invalid
from darkroom.features import FeatureStore
from darkroom.networks.start import NetworkStart
from darkroom.records import Split
from darkroom.training.bench import Bench, prepare
from darkroom.training.device import choose_device, reproducible
from darkroom.training.epoch import train_epoch, validation_batch
from darkroom.training.last_layer import FeatureRows
from darkroom.training.outcome import CardFacts
from darkroom.training.pixels import Pixels, RenderedSplit, Rendering
from darkroom.training.recipe import EarlyStopping, Recipe
from darkroom.training.reporter import Reporter, ShouldStop
from darkroom.training.stopwatch import Few

__all__ = ["ProbeAnswers", "Probed", "probe", "steps_of_epoch"]

MOST_WARMUP = 0.2
"""Share of a short training in which its rate rises at most."""


class ProbeAnswers(NamedTuple):
    """What a network says to n pictures of which the truth is known."""

    losses: np.ndarray
    """(n,) float64, −log of the right class's probability."""
    right: np.ndarray
    """(n,) bool."""
    confidences: np.ndarray
    """(n,) float64, probability of the answer."""


class Probed(NamedTuple):
    """A short training."""

    steps: int
    train: ProbeAnswers
    """To the training pictures that were asked about, as they are."""
    val: ProbeAnswers
    diverged: bool
    """Whether its loss stopped being a number."""
    duration_s: float


class _Part:
    """A rendering with fewer training pictures, spread over all of them."""

    def __init__(self, rendering: Rendering, count: int) -> None:
        self._rendering, self._train = rendering, Few(rendering, count).split("train")

    def split(self, name: Split) -> RenderedSplit:
        return self._train if name == "train" else self._rendering.split(name)


def probe(
    rendering: Rendering,
    recipe: Recipe,
    seed: int,
    facts: CardFacts,
    start: NetworkStart,
    features: FeatureStore,
    *,
    steps: int,
    train_ids: Sequence[str],
    val_ids: Sequence[str],
    count: int | None = None,
    threads: int = 1,
    should_stop: ShouldStop | None = None,
) -> Probed:
    """Trains for some steps, at least one epoch, and says how it answers some pictures.

    Args:
        rendering: the pictures.
        recipe: how to train; its schedule is fitted into the steps.
        seed: as in a training.
        facts: as in a training.
        start: what the network begins with.
        features: where features are kept, for a training of the last layer.
        steps: changes of the weights.
        train_ids: training pictures to answer; those that it is not trained on are left out.
        val_ids: validation pictures to answer.
        count: training pictures to train on; all where None.
        threads: on the processor.
        should_stop: asked after each batch.

    Raises:
        Cancelled: `should_stop` said so.
        DarkroomError: as `prepare`.
    """
    device = choose_device(recipe.device)
    shown = rendering if count is None else _Part(rendering, count)
    epochs = max(1, round(steps / steps_of_epoch(len(shown.split("train")), recipe)))
    short = _shortened(recipe, epochs)
    with reproducible(device, threads):
        began = time.perf_counter()
        bench = prepare(shown, short, seed, facts, device, features, start)
        reporter = Reporter(short, bench.total_steps, None, should_stop)
        diverged = False
        try:
            for epoch in range(1, epochs + 1):
                train_epoch(bench, epoch, reporter)
        except Invalid as error:
            if error.id != "training.not-a-number":
                raise
            diverged = True
        train = _answers(bench, bench.train, train_ids)
        val = _answers(bench, bench.val, val_ids)
        took = time.perf_counter() - began
    diverged = diverged or not bool(np.isfinite(train.losses).all())
    return Probed(bench.total_steps, train, val, diverged, took)


def steps_of_epoch(count: int, recipe: Recipe) -> int:
    """Returns how often the weights change in an epoch over so many pictures, about."""
    return max(1, math.ceil(count / (recipe.batch_size * recipe.accumulate_batches)))


def _shortened(recipe: Recipe, epochs: int) -> Recipe:
    """Returns the recipe for so many epochs, without what only a whole training has."""
    warmup = min(recipe.schedule.warmup_epochs, MOST_WARMUP * epochs)
    changes = {
        "epochs": epochs,
        "early_stopping": EarlyStopping(),
        "snapshot_every": 0,
        "precision": "float32" if recipe.precision == "auto" else recipe.precision,
        "schedule": recipe.schedule.model_copy(update={"warmup_epochs": warmup}),
        "find_learning_rate": False,
    }
    return recipe.model_copy(update=changes)


def _answers(bench: Bench, rows: Pixels | FeatureRows, image_ids: Sequence[str]) -> ProbeAnswers:
    place_of = {image_id: place for place, image_id in enumerate(rows.image_ids)}
    known = [place_of[one] for one in image_ids if one in place_of]
    places = torch.tensor(known, dtype=torch.int64, device=bench.device)
    network, parts = bench.learner.eval(), []
    with torch.inference_mode():
        for chosen in places.split(validation_batch(bench)) if len(places) else ():
            x, labels = rows.batch(chosen)
            with bench.precision():
                logits = network(x)
            logits = logits.double().cpu()
            sure, answers = logits.softmax(1).max(1)
            losses = functional.cross_entropy(logits, labels.cpu(), reduction="none")
            parts.append((losses, answers == labels.cpu(), sure))
    if not parts:
        return ProbeAnswers(np.empty(0), np.empty(0, bool), np.empty(0))
    return ProbeAnswers(*(torch.cat(part).numpy() for part in zip(*parts, strict=True)))
