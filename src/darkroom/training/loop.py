"""The training loop, from top to bottom: prepare, then for each epoch train, validate, log, keep.

A training stops at the end of any batch when it is asked to, and after `kill -9` the same call goes on
from the last saved epoch and ends, on the processor, with the same weights to the last bit.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from darkroom.features import FeatureStore
from darkroom.networks.start import NetworkStart
from darkroom.records import MetricPoint
from darkroom.training import checkpoint
from darkroom.training.bench import Bench, prepare
from darkroom.training.checkpoint import Identity, Keeper, Progress
from darkroom.training.device import (
    choose_device,
    default_threads,
    derive_seed,
    device_name,
    reproducible,
)
from darkroom.training.outcome import CardFacts, TrainOutcome
from darkroom.training.pixels import Rendering
from darkroom.training.recipe import Recipe
from darkroom.training.reporter import OnProgress, Reporter, ShouldStop, not_finite
from darkroom.training.run_folder import RunFolder
from darkroom.training.schedule import learning_rate
from darkroom.training.selection import advance, is_done
from darkroom.training.tally import Tally

__all__ = ["train"]

VALIDATION_BATCH = 512


def train(
    folder: Path,
    *,
    rendering: Rendering,
    recipe: Recipe,
    seed: int,
    facts: CardFacts,
    on_progress: OnProgress | None = None,
    should_stop: ShouldStop | None = None,
    features: FeatureStore | None = None,
    start: NetworkStart = NetworkStart(),  # noqa: B008
) -> TrainOutcome:
    """Trains a network, or goes on with a training that was stopped.

    Args:
        folder: the run's folder; what is in it says how far an earlier call came.
        rendering: the pictures; its splits "train" and "val" are read, no other.
        recipe: how to train.
        seed: decides initialisation, order, augmentation and dropout; clones differ in it alone.
        facts: what the model card says about data and use.
        on_progress: told about batches a few times a second.
        should_stop: asked after each batch.
        features: where the features are kept that the last layer is trained on; in the run's folder when
            not given.
        start: what the network begins with: pretrained weights, the user's file.

    Raises:
        Invalid: there is nothing to train on, or the loss is no longer a number.
        InvalidConfig: recipe and network, or recipe and data, do not go together.
        InvalidLabel: a label is not one of the classes.
        Conflict: the folder holds a training with another recipe, seed or data.
        Damaged: the saved state was changed.
        Unsupported: the machine has no such device.
        Cancelled: `should_stop` said so.
    """
    run = RunFolder(folder)
    progress = _read_progress(run, recipe, seed, facts)
    device = choose_device(recipe.device)
    with run, reproducible(device, progress.threads):
        bench = prepare(
            rendering, recipe, seed, facts, device, features or FeatureStore(folder / "features"), start
        )
        if progress.epoch:
            checkpoint.restore(run.state, bench.learner, bench.optimiser, bench.scaler)
        resumed_from = progress.epoch
        reporter = Reporter(recipe, bench.total_steps, on_progress, should_stop)
        keeper = Keeper(
            run, bench.learner, bench.weights, bench.optimiser, bench.scaler, bench.card, resumed_from
        )
        _begin(run, bench, progress)
        while not is_done(progress, recipe):
            point = _epoch(bench, progress.epoch + 1, reporter)
            progress = advance(progress, point, recipe)
            run.log(point)
            reporter.epoch(point)
            keeper.keep(progress, snapshot_every=recipe.snapshot_every)
        keeper.save(progress)
        return _finish(run, bench, progress, resumed_from)


def _epoch(bench: Bench, epoch: int, reporter: Reporter) -> MetricPoint:
    began = time.perf_counter()
    train_loss, train_accuracy = _train_epoch(bench, epoch, reporter)
    trained = time.perf_counter()
    val_loss, val_accuracy = _validate(bench, epoch)
    return MetricPoint(
        epoch=epoch,
        step=epoch * bench.steps_per_epoch,
        train_loss=train_loss,
        train_accuracy=train_accuracy,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        learning_rate=bench.optimiser.param_groups[0]["lr"],
        images_per_second=len(bench.train) / (trained - began),
        duration_s=time.perf_counter() - began,
    )


def _train_epoch(bench: Bench, epoch: int, reporter: Reporter) -> tuple[float, float]:
    """Returns mean cross-entropy and accuracy over the epoch, each batch as the weights then were."""
    network, optimiser, scaler = bench.learner.train(), bench.optimiser, bench.scaler
    bench.begin_epoch(epoch)
    order = torch.randperm(len(bench.train), generator=bench.generator("order", epoch)).to(bench.device)
    draws = bench.augmenter.draw(len(order), bench.generator("augmentation", epoch))
    noise = bench.generator("noise", epoch, bench.device.type)
    torch.manual_seed(derive_seed(bench.seed, "dropout", epoch))
    tally = Tally(bench.device)
    step, done = (epoch - 1) * bench.steps_per_epoch, 0
    for group in bench.groups(order):
        _set_learning_rate(bench, step)
        step += 1
        for chosen, share in zip(group, bench.shares(group), strict=True):
            x, labels = bench.train.batch(chosen)
            x = bench.augmenter.apply(x, draws.part(done, done + len(chosen)), noise)
            with bench.precision():
                logits = network(x)
                loss = bench.loss(logits, labels)
            scaler.scale(loss if share is None else loss * share).backward()
            tally.add(logits, labels)
            done += len(chosen)
            reporter.batch(epoch, step, loss)
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad()
    return _result(tally, bench.recipe, f"epoch {epoch}")


def _validate(bench: Bench, epoch: int) -> tuple[float | None, float | None]:
    """Returns mean cross-entropy and accuracy over the validation split; None when it is empty."""
    if len(bench.val) == 0:
        return None, None
    network, tally = bench.learner.eval(), Tally(bench.device)
    with torch.inference_mode():
        for chosen in torch.arange(len(bench.val), device=bench.device).split(VALIDATION_BATCH):
            x, labels = bench.val.batch(chosen)
            with bench.precision():
                tally.add(network(x), labels)
        return _result(tally, bench.recipe, f"validation after epoch {epoch}")


def _result(tally: Tally, recipe: Recipe, where: str) -> tuple[float, float]:
    try:
        return tally.result()
    except ArithmeticError as error:
        raise not_finite(recipe, f"{where}, batch {error}") from error


def _read_progress(run: RunFolder, recipe: Recipe, seed: int, facts: CardFacts) -> Progress:
    identity = Identity(
        recipe=recipe,
        seed=seed,
        dataset_id=facts.dataset_id,
        labels=facts.labels,
        contract=facts.contract,
    )
    saved = checkpoint.read_progress(run.state)
    if saved is None:
        return Progress(identity=identity, threads=recipe.threads or default_threads())
    checkpoint.check_same(saved, identity)
    return saved.model_copy(update={"threads": recipe.threads or saved.threads})


def _begin(run: RunFolder, bench: Bench, progress: Progress) -> None:
    machine = {
        "device": bench.device.type,
        "device_name": device_name(bench.device),
        "threads": progress.threads,
        "torch": torch.__version__,
    }
    about = {"dataset": bench.facts.dataset, "dataset_id": bench.facts.dataset_id, "seed": bench.seed}
    run.begin(bench.recipe, about=about, machine=machine, history=progress.history)
    run.write_preview(bench.sheet)


def _finish(run: RunFolder, bench: Bench, progress: Progress, resumed_from: int) -> TrainOutcome:
    run.write_card(bench.card(progress.best_epoch))
    stopped_early = progress.epoch < bench.recipe.epochs
    run.event("finished", epoch=progress.epoch, best_epoch=progress.best_epoch, early=stopped_early)
    return TrainOutcome(
        epochs=progress.epoch,
        best_epoch=progress.best_epoch,
        best=progress.best,
        last=progress.history[-1],
        stopped_early=stopped_early,
        resumed_from=resumed_from,
        weights="checkpoints/best.safetensors",
        device=bench.device.type,
        threads=progress.threads,
        duration_s=sum(point.duration_s for point in progress.history),
    )


def _set_learning_rate(bench: Bench, step: int) -> None:
    recipe = bench.recipe
    rate = learning_rate(
        recipe.schedule,
        recipe.learning_rate,
        step=step,
        steps_per_epoch=bench.steps_per_epoch,
        total_steps=bench.total_steps,
    )
    for group in bench.optimiser.param_groups:
        group["lr"] = rate
