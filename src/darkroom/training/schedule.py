"""The learning rate as a function of the batch, so that a resumed training needs no state of its own."""

from __future__ import annotations

import math

from darkroom.training.recipe import Schedule

__all__ = ["learning_rate"]


def learning_rate(
    schedule: Schedule, largest: float, *, step: int, steps_per_epoch: int, total_steps: int
) -> float:
    """Returns the learning rate of one batch.

    Args:
        schedule: how it moves.
        largest: the recipe's learning rate.
        step: the batch, from 0 on, over all epochs.
        steps_per_epoch: batches in one epoch.
        total_steps: batches in all epochs.

    Source: cosine: Loshchilov, Hutter, SGDR, 2017, eq. 5 without restarts. one-cycle: Smith, Topin,
    Super-convergence, 2018, with cosine flanks and a constant momentum.
    """
    if schedule.name == "one-cycle":
        return largest * _one_cycle(schedule, step, total_steps)
    warmup_steps = round(schedule.warmup_epochs * steps_per_epoch)
    if step < warmup_steps:
        return largest * (step + 1) / (warmup_steps + 1)
    if schedule.name == "step":
        return largest * schedule.step_factor ** (step // steps_per_epoch // schedule.step_epochs)
    if schedule.name == "cosine":
        way = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return largest * _cosine(1.0, schedule.final_share, way)
    return largest


def _one_cycle(schedule: Schedule, step: int, total_steps: int) -> float:
    top = max(0.0, schedule.rise_share * total_steps - 1)
    if step < top:
        return _cosine(schedule.start_share, 1.0, step / top)
    return _cosine(1.0, schedule.final_share, (step - top) / max(1e-9, total_steps - 1 - top))


def _cosine(start: float, end: float, way: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, way))) / 2
