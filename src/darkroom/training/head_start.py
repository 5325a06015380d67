"""The last layer alone, before the others open: trained on features that are computed once, then put in."""

from __future__ import annotations

import time

import torch

from darkroom.features import FeatureStore
from darkroom.records import MetricPoint
from darkroom.training.bench import Bench, prepare
from darkroom.training.checkpoint import Identity, Progress
from darkroom.training.epoch import train_epoch, validate
from darkroom.training.head_recipe import head_recipe
from darkroom.training.last_layer import LastLayer
from darkroom.training.pixels import Rendering
from darkroom.training.plan import HeadStart
from darkroom.training.reporter import Reporter, ShouldStop
from darkroom.training.selection import advance

__all__ = ["needs_head_start", "start_head"]


def needs_head_start(bench: Bench) -> bool:
    """Says whether the last layer learns alone first: for gradual, unless it has learnt these classes."""
    asked = bench.recipe.train_layers == "gradual" and bench.recipe.layers.head_epochs > 0
    return asked and not bench.of_masks and not bench.start.keeps_head


def start_head(
    bench: Bench, rendering: Rendering, features: FeatureStore, should_stop: ShouldStop | None = None
) -> HeadStart:
    """Trains the last layer of a bench's network alone, and leaves the best of its epochs there.

    The same seed begins with the same layer and gives the same one, wherever the features come from.

    Args:
        bench: of a gradual training, before its first epoch.
        rendering: the pictures.
        features: where features are kept.
        should_stop: asked after each batch.

    Raises:
        Cancelled: `should_stop` said so.
        DarkroomError: as `prepare`.
    """
    began, recipe = time.perf_counter(), head_recipe(bench.recipe)
    seed, facts = bench.seed, bench.facts
    alone = prepare(rendering, recipe, seed, facts, bench.device, features, bench.start)
    identity = Identity(
        recipe=recipe, seed=seed, dataset_id=facts.dataset_id, labels=facts.labels, contract=facts.contract
    )
    progress = Progress(identity=identity, threads=torch.get_num_threads())
    reporter, best = Reporter(recipe, alone.total_steps, None, should_stop), {}
    for epoch in range(1, recipe.epochs + 1):
        progress = advance(progress, _point(alone, epoch, reporter), recipe)
        if progress.best_epoch == epoch:
            best = {name: tensor.clone() for name, tensor in _head(alone).items()}
    bench.network.head.load_state_dict(best)
    found = progress.best
    return HeadStart(
        epochs=recipe.epochs,
        best_epoch=progress.best_epoch,
        val_loss=found.val_loss,
        val_accuracy=found.val_accuracy,
        duration_s=time.perf_counter() - began,
    )


def _point(alone: Bench, epoch: int, reporter: Reporter) -> MetricPoint:
    train, val = train_epoch(alone, epoch, reporter), validate(alone, epoch, reporter)
    return MetricPoint(
        epoch=epoch,
        step=epoch * alone.steps_per_epoch,
        train_loss=train.loss,
        train_accuracy=train.accuracy,
        val_loss=val.loss if val else None,
        val_accuracy=val.accuracy if val else None,
        val_mean_ap=val.mean_ap if val else None,
        learning_rate=alone.optimiser.param_groups[0]["lr"],
        images_per_second=0.0,
        duration_s=0.0,
    )


def _head(alone: Bench) -> dict[str, torch.Tensor]:
    """Returns the weights of the last layer as the whole network takes them."""
    assert isinstance(alone.learner, LastLayer)
    weights = alone.weights()
    return {name.removeprefix("head."): weights[name] for name in weights if name.startswith("head.")}
