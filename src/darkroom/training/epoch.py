"""One pass over the training pictures, and one over the validation pictures."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from darkroom.errors import Invalid
from darkroom.training.augment import Draws
from darkroom.training.bench import Bench
from darkroom.training.label_set_tally import LabelSetTally
from darkroom.training.last_layer import FeatureRows
from darkroom.training.mask_tally import MaskTally
from darkroom.training.mixing import MixedTally
from darkroom.training.reporter import Reporter, not_finite
from darkroom.training.tally import Figures, Tally
from darkroom.training.watching import Watch

__all__ = ["train_epoch", "validate", "validation_batch"]

VALIDATION_BATCH = 512
"""Most pictures, or rows of features, that are validated together."""

VALIDATION_PIXELS = {"cpu": 512 * 28 * 28, "cuda": 64 * 224 * 224, "mps": 64 * 224 * 224}
"""Most pixels that are validated together. On a processor 256 photos of 224×224 at a time took three times
as long as 8 at a time, and 2.8 GB more memory."""

MOST_ANSWERS = 1 << 22
"""Of masks: numbers that a batch of validation pictures may be answered with, 16 MiB."""


def train_epoch(bench: Bench, epoch: int, reporter: Reporter, watch: Watch | None = None) -> Figures:
    """Returns mean cross-entropy and accuracy over the epoch, each batch as the weights then were."""
    network, optimiser, scaler = bench.learner.train(), bench.optimiser, bench.scaler
    bench.begin_epoch(epoch)
    if watch is not None:
        watch.begin_epoch(epoch)
    order, mixer = bench.order(epoch), bench.mixer(epoch)
    draws = bench.augmenter.draw(len(order), bench.generator("augmentation", epoch))
    noise = bench.generator("noise", epoch, bench.device.type)
    torch.manual_seed(bench.derived_seed("dropout", epoch))
    tally = _tally(bench) if mixer is None else MixedTally(bench.device)
    step, done = (epoch - 1) * bench.steps_per_epoch, 0
    for group in bench.groups(order):
        _set_learning_rate(bench, step)
        step += 1
        for chosen, share in zip(group, bench.shares(group), strict=True):
            x, labels = bench.train.batch(chosen)
            drawn = draws.part(done, done + len(chosen))
            x = bench.augmenter.apply(x, drawn, noise)
            labels = bench.augmenter.apply_to_labels(labels, drawn)
            right: Any = labels
            if mixer is not None:
                x, right = mixer(x, labels)
            with bench.precision():
                logits = bench.team.answers(network, x)
                loss = bench.loss(logits, right)
            if watch is not None:
                watch.batch(epoch, step, chosen, x, labels, loss)
            scaler.scale(loss if share is None else loss * share).backward()
            tally.add(logits, right)
            done += len(chosen)
            reporter.batch(epoch, step, loss)
        if watch is not None:
            watch.gradients(epoch, step)
        scaler.step(optimiser)
        scaler.update()
        optimiser.zero_grad()
    try:
        return tally.result()
    except ArithmeticError as error:
        if watch is None:
            raise not_finite(bench.recipe, f"epoch {epoch}, batch {error}") from error
        raise _found(bench, watch, epoch, order, draws, int(str(error)) - 1) from error


def validate(bench: Bench, epoch: int, reporter: Reporter, watch: Watch | None = None) -> Figures | None:
    """Returns mean cross-entropy and accuracy over the validation split; None when it is empty."""
    if len(bench.val) == 0:
        return None
    network, tally = bench.learner.eval(), _tally(bench, ranked=True)
    with torch.inference_mode():
        for chosen in torch.arange(len(bench.val), device=bench.device).split(validation_batch(bench)):
            reporter.look(epoch)
            x, labels = bench.val.batch(chosen)
            with bench.precision():
                logits = bench.team.answers(network, x)
            tally.add(logits, labels)
            if watch is not None:
                watch.validated(chosen, logits, labels)
    try:
        return tally.result()
    except ArithmeticError as error:
        if watch is None:
            raise not_finite(bench.recipe, f"validation after epoch {epoch}, batch {error}") from error
        number = int(str(error)) - 1
        chosen = torch.arange(len(bench.val), device=bench.device).split(validation_batch(bench))[number]
        x, labels = bench.val.batch(chosen)
        step = epoch * bench.steps_per_epoch
        raise watch.found("loss of validation", epoch, step, chosen, x, labels) from error


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


def _tally(bench: Bench, *, ranked: bool = False) -> Tally | MaskTally:
    if bench.facts.task == "multi-label":
        return LabelSetTally(bench.device, ranked=ranked)
    return MaskTally(bench.device, len(bench.facts.labels)) if bench.of_masks else Tally(bench.device)


def _found(bench: Bench, watch: Watch, epoch: int, order: Tensor, draws: Draws, number: int) -> Invalid:
    """Returns the error for a batch that turned out later to have no number for its loss, made once more;
    what noise and mixing drew is not drawn again.
    """
    batches = [chosen for group in bench.groups(order) for chosen in group]
    done, chosen = sum(map(len, batches[:number])), batches[number]
    x, labels = bench.train.batch(chosen)
    noise = bench.generator("noise", epoch, bench.device.type)
    x = bench.augmenter.apply(x, draws.part(done, done + len(chosen)), noise)
    step = (epoch - 1) * bench.steps_per_epoch + number // bench.recipe.accumulate_batches + 1
    return watch.found("loss", epoch, step, chosen, x, labels)


def _set_learning_rate(bench: Bench, step: int) -> None:
    rate = bench.learning_rate(step)
    for group in bench.optimiser.param_groups:
        group["lr"] = rate * group.get("rate_share", 1.0)
