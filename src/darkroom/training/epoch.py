"""One pass over the training pictures, and one over the validation pictures."""

from __future__ import annotations

import torch

from darkroom.training.bench import Bench
from darkroom.training.device import derive_seed
from darkroom.training.last_layer import FeatureRows
from darkroom.training.mask_tally import MaskTally
from darkroom.training.recipe import Recipe
from darkroom.training.reporter import Reporter, not_finite
from darkroom.training.schedule import learning_rate
from darkroom.training.tally import Figures, Tally

__all__ = ["train_epoch", "validate", "validation_batch"]

VALIDATION_BATCH = 512
"""Most pictures, or rows of features, that are validated together."""

VALIDATION_PIXELS = {"cpu": 512 * 28 * 28, "cuda": 64 * 224 * 224, "mps": 64 * 224 * 224}
"""Most pixels that are validated together. On a processor 256 photos of 224×224 at a time took three times
as long as 8 at a time, and 2.8 GB more memory."""

MOST_ANSWERS = 1 << 22
"""Of masks: numbers that a batch of validation pictures may be answered with, 16 MiB."""


def train_epoch(bench: Bench, epoch: int, reporter: Reporter) -> Figures:
    """Returns mean cross-entropy and accuracy over the epoch, each batch as the weights then were."""
    network, optimiser, scaler = bench.learner.train(), bench.optimiser, bench.scaler
    bench.begin_epoch(epoch)
    order = torch.randperm(len(bench.train), generator=bench.generator("order", epoch)).to(bench.device)
    draws = bench.augmenter.draw(len(order), bench.generator("augmentation", epoch))
    noise = bench.generator("noise", epoch, bench.device.type)
    torch.manual_seed(derive_seed(bench.seed, "dropout", epoch))
    tally = _tally(bench)
    step, done = (epoch - 1) * bench.steps_per_epoch, 0
    for group in bench.groups(order):
        _set_learning_rate(bench, step)
        step += 1
        for chosen, share in zip(group, bench.shares(group), strict=True):
            x, labels = bench.train.batch(chosen)
            drawn = draws.part(done, done + len(chosen))
            x = bench.augmenter.apply(x, drawn, noise)
            labels = bench.augmenter.apply_to_labels(labels, drawn)
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


def validate(bench: Bench, epoch: int, reporter: Reporter) -> Figures | None:
    """Returns mean cross-entropy and accuracy over the validation split; None when it is empty."""
    if len(bench.val) == 0:
        return None
    network, tally = bench.learner.eval(), _tally(bench)
    with torch.inference_mode():
        for chosen in torch.arange(len(bench.val), device=bench.device).split(validation_batch(bench)):
            reporter.look(epoch)
            x, labels = bench.val.batch(chosen)
            with bench.precision():
                tally.add(network(x), labels)
        return _result(tally, bench.recipe, f"validation after epoch {epoch}")


def validation_batch(bench: Bench) -> int:
    """Returns how many pictures are validated together."""
    if isinstance(bench.val, FeatureRows):
        return VALIDATION_BATCH
    contract = bench.facts.contract
    pixels = contract.height_px * contract.width_px
    most = VALIDATION_PIXELS[bench.device.type] // pixels
    if bench.of_masks:
        most = min(most, MOST_ANSWERS // (pixels * len(bench.facts.labels)))
    return max(1, min(VALIDATION_BATCH, most))


def _tally(bench: Bench) -> Tally | MaskTally:
    return MaskTally(bench.device, len(bench.facts.labels)) if bench.of_masks else Tally(bench.device)


def _result(tally: Tally | MaskTally, recipe: Recipe, where: str) -> Figures:
    try:
        return tally.result()
    except ArithmeticError as error:
        raise not_finite(recipe, f"{where}, batch {error}") from error


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
