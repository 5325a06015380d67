"""One pass over the training pictures, and one over the validation pictures."""

from __future__ import annotations

import torch

from darkroom.training.bench import Bench
from darkroom.training.device import derive_seed
from darkroom.training.last_layer import FeatureRows
from darkroom.training.recipe import Recipe
from darkroom.training.reporter import Reporter, not_finite
from darkroom.training.schedule import learning_rate
from darkroom.training.tally import Tally

__all__ = ["train_epoch", "validate", "validation_batch"]

VALIDATION_BATCH = 512
"""Most pictures, or rows of features, that are validated together."""

VALIDATION_PIXELS = {"cpu": 512 * 28 * 28, "cuda": 64 * 224 * 224, "mps": 64 * 224 * 224}
"""Most pixels that are validated together. On a processor 256 photos of 224×224 at a time took three times
as long as 8 at a time, and 2.8 GB more memory."""


def train_epoch(bench: Bench, epoch: int, reporter: Reporter) -> tuple[float, float]:
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


def validate(bench: Bench, epoch: int, reporter: Reporter) -> tuple[float | None, float | None]:
    """Returns mean cross-entropy and accuracy over the validation split; None when it is empty."""
    if len(bench.val) == 0:
        return None, None
    network, tally = bench.learner.eval(), Tally(bench.device)
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
    most = VALIDATION_PIXELS[bench.device.type] // (contract.height_px * contract.width_px)
    return max(1, min(VALIDATION_BATCH, most))


def _result(tally: Tally, recipe: Recipe, where: str) -> tuple[float, float]:
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
