"""The training loop, from top to bottom: prepare, then for each epoch train, validate, log, keep.

A training stops at the end of any batch when it is asked to, and after `kill -9` the same call goes on
from the last saved epoch and ends, on the processor, with the same weights to the last bit.
"""

from __future__ import annotations

import time
from pathlib import Path

import torch

from darkroom.features import FeatureStore
from darkroom.networks.custom import blamed_on
from darkroom.networks.start import NetworkStart
from darkroom.records import MetricPoint
from darkroom.training import checkpoint
from darkroom.training.bench import Bench
from darkroom.training.broken import forget_broken
from darkroom.training.checkpoint import Identity, Keeper, Progress
from darkroom.training.costs import Pace, measured
from darkroom.training.device import choose_device, default_threads, device_name, reproducible
from darkroom.training.distributed import ALONE, Team
from darkroom.training.epoch import train_epoch, validate
from darkroom.training.fitting import within_memory
from darkroom.training.memory import forget_peak
from darkroom.training.outcome import CardFacts, TrainOutcome
from darkroom.training.pixels import Rendering
from darkroom.training.plan import BatchChoice, Plan
from darkroom.training.recipe import Recipe
from darkroom.training.refusals import in_words
from darkroom.training.reporter import OnProgress, Reporter, ShouldStop
from darkroom.training.run_folder import RunFolder
from darkroom.training.selection import advance, is_done
from darkroom.training.settling import Work
from darkroom.training.watching import Watch

__all__ = ["train"]


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
    plan: Plan = Plan(),  # noqa: B008
    team: Team = ALONE,
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
        plan: what the clones of a series have in common where the recipe leaves it open.
        team: the processes that train it together, as this one sees them; the folder of the first counts.

    Raises:
        Invalid: there is nothing to train on, or the loss is no longer a number.
        InvalidConfig: recipe and network, or recipe and data, do not go together.
        InvalidLabel: a label is not one of the classes.
        Conflict: the folder holds a training with another recipe, seed or data.
        Damaged: the saved state was changed.
        Unsupported: the machine has no such device, or not the memory.
        Cancelled: `should_stop` said so.
    """
    run, store = RunFolder(folder), features or FeatureStore(folder / "features")
    threads = _read_progress(run, recipe, seed, facts, plan, team).threads
    device = choose_device(recipe.device)
    work = Work(rendering, recipe, seed, facts, device, store, start, should_stop)
    # Processes that share a batch cannot try another one each for itself.
    fitting = work.fitting().find if team.size == 1 else None

    def attempt(batch: BatchChoice | None) -> TrainOutcome:
        progress = _read_progress(run, recipe, seed, facts, plan, team)
        progress = team.decided(work.settle(progress, batch) if team.first else progress)
        bench = work.bench(progress)
        progress = team.in_turn(lambda: work.begin(bench, progress))
        bench.team = team
        return _trained(run, bench, progress, recipe, plan, on_progress, should_stop)

    def smaller(batch: BatchChoice) -> None:
        run.event("smaller-batch", **batch.model_dump())

    with run, reproducible(device, threads), blamed_on(start.code), in_words(recipe, fitting):
        forget_peak(device)
        return within_memory(attempt, fitting, recipe, device, smaller) if fitting else attempt(None)


def _trained(
    run: RunFolder,
    bench: Bench,
    progress: Progress,
    asked: Recipe,
    plan: Plan,
    on_progress: OnProgress | None,
    should_stop: ShouldStop | None,
) -> TrainOutcome:
    """Trains from where it stands to the end."""
    recipe, resumed_from = bench.recipe, progress.epoch
    if resumed_from:
        checkpoint.restore(run.state, bench.learner, bench.optimiser, bench.scaler)
    # What a first epoch takes, with one group open, says nothing about the others.
    pace = None if resumed_from or recipe.train_layers == "gradual" else Pace(bench)
    watch = Watch(bench, run.path, progress.history)
    on_batch = pace.batch if pace else None
    reporter = Reporter(
        recipe, bench.total_steps, on_progress, should_stop, on_batch, watch.live, watch.noticed
    )
    keeper = Keeper(
        run, bench.learner, bench.weights, bench.optimiser, bench.scaler, bench.card, resumed_from
    )
    _begin(run, bench, progress, asked, plan)
    while not is_done(progress, recipe):
        point = watch.end_epoch(_epoch(bench, progress.epoch + 1, reporter, watch))
        if pace is not None and progress.epoch == 0:
            progress = _foreseen(run, progress, pace)
        progress = advance(progress, point, recipe)
        run.log(point)
        reporter.epoch(point)
        keeper.keep(progress, snapshot_every=recipe.snapshot_every)
    keeper.save(progress)
    watch.finish()
    return _finish(run, bench, progress, resumed_from)


def _epoch(bench: Bench, epoch: int, reporter: Reporter, watch: Watch) -> MetricPoint:
    began = time.perf_counter()
    train = train_epoch(bench, epoch, reporter, watch)
    trained = time.perf_counter()
    val = validate(bench, epoch, reporter, watch)
    return MetricPoint(
        epoch=epoch,
        step=epoch * bench.steps_per_epoch,
        train_loss=train.loss,
        train_accuracy=train.accuracy,
        val_loss=val.loss if val else None,
        val_accuracy=val.accuracy if val else None,
        val_miou=val.miou if val else None,
        val_mean_ap=val.mean_ap if val else None,
        learning_rate=bench.optimiser.param_groups[0]["lr"],
        images_per_second=len(bench.train) / (trained - began),
        duration_s=time.perf_counter() - began,
    )


def _foreseen(run: RunFolder, progress: Progress, pace: Pace) -> Progress:
    """Returns the progress with what the first batches foresee, and says it in the run's events."""
    pace.settle()
    if pace.foreseen is not None:
        run.event("foreseen", **pace.foreseen.model_dump())
    return progress.model_copy(update={"foreseen": pace.foreseen})


def _read_progress(
    run: RunFolder, recipe: Recipe, seed: int, facts: CardFacts, plan: Plan, team: Team
) -> Progress:
    identity = Identity(
        recipe=recipe,
        seed=seed,
        dataset_id=facts.dataset_id,
        labels=facts.labels,
        contract=facts.contract,
    )
    saved = checkpoint.read_progress(run.state)
    if saved is None:
        open_to = max(1, default_threads() // team.size)
        threads = recipe.threads or (plan.clones.threads if plan.clones else 0) or open_to
        precision = plan.precision if recipe.precision == "auto" else None
        return Progress(identity=identity, threads=threads, precision=precision)
    checkpoint.check_same(saved, identity)
    return saved.model_copy(update={"threads": recipe.threads or saved.threads})


def _begin(run: RunFolder, bench: Bench, progress: Progress, asked: Recipe, plan: Plan) -> None:
    machine: dict[str, object] = {
        "device": bench.device.type,
        "device_name": device_name(bench.device),
        "threads": progress.threads,
        "torch": torch.__version__,
        "precision": bench.arithmetic,
    }
    if bench.team.size > 1:
        machine["processes"] = bench.team.size
    if progress.precision is not None:
        machine["precision_choice"] = progress.precision.model_dump()
    settled = {"rate_choice": progress.rate, "batch_choice": progress.batch, "head_start": progress.head}
    machine |= {name: found.model_dump() for name, found in settled.items() if found is not None}
    if plan.clones is not None:
        machine["clones"] = plan.clones.model_dump()
    about = {"dataset": bench.facts.dataset, "dataset_id": bench.facts.dataset_id, "seed": bench.seed}
    run.begin(asked, about=about, machine=machine, history=progress.history)
    run.write_preview(bench.sheet)


def _finish(run: RunFolder, bench: Bench, progress: Progress, resumed_from: int) -> TrainOutcome:
    run.write_card(bench.card(progress.best_epoch))
    forget_broken(run.path)
    stopped_early = progress.epoch < bench.recipe.epochs
    costs = measured(bench, run.path, sum(point.duration_s for point in progress.history))
    run.event(
        "finished",
        epoch=progress.epoch,
        best_epoch=progress.best_epoch,
        early=stopped_early,
        **costs.model_dump(),
    )
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
        duration_s=costs.duration_s,
        measured=costs,
        foreseen=progress.foreseen,
        batch=progress.batch,
        rate=progress.rate,
    )
