"""The learning rate as a function of the step, so that a resumed training needs no state of its own."""

from __future__ import annotations

import math

from darkroom.training.recipe import Schedule

__all__ = ["learning_rate"]


def learning_rate(
    schedule: Schedule, largest: float, *, step: int, steps_per_epoch: int, total_steps: int
) -> float:
    """Returns the learning rate of one step.

    With e epochs since the warm-up, E epochs from there to the end, and t epochs since the start, the
    learning rate is multiplied by

        step           step_factor ^ floor(t / step_epochs)
        multistep      step_factor ^ (number of milestones ≤ t)
        exponential    epoch_factor ^ e
        inverse        (1 + gamma · e) ^ −power
        polynomial     (1 − e / E) ^ power
        sigmoid        1 / (1 + exp(steepness · (t − middle_share · epochs)))
        cosine         final_share + (1 − final_share) · (1 + cos(π · e / E)) / 2

    e and t move with each step, not only with each epoch. Without a warm-up e is t.

    Args:
        schedule: how it moves.
        largest: the recipe's learning rate.
        step: the step, from 0 on, over all epochs.
        steps_per_epoch: steps in one epoch.
        total_steps: steps in all epochs.

    Source: step to sigmoid: `SGDSolver<Dtype>::GetLearningRate` of Caffe, whose gamma and stepsize count
    iterations and are epochs here; its sigmoid falls when gamma is negative, which is −steepness here.
    cosine: Loshchilov, Hutter, SGDR, 2017, eq. 5 without restarts. one-cycle: Smith, Topin,
    Super-convergence, 2018, with cosine flanks and a constant momentum.
    """
    if schedule.name == "one-cycle":
        return largest * _one_cycle(schedule, step, total_steps)
    warmup_steps = round(schedule.warmup_epochs * steps_per_epoch)
    if step < warmup_steps:
        return largest * (step + 1) / (warmup_steps + 1)
    return largest * _share(schedule, step, warmup_steps, steps_per_epoch, total_steps)


def _share(
    schedule: Schedule, step: int, warmup_steps: int, steps_per_epoch: int, total_steps: int
) -> float:
    """Returns what the learning rate is multiplied by after the warm-up."""
    epochs = (step - warmup_steps) / steps_per_epoch
    way = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    match schedule.name:
        case "step":
            return schedule.step_factor ** (step // steps_per_epoch // schedule.step_epochs)
        case "multistep":
            passed = sum(milestone <= step // steps_per_epoch for milestone in schedule.milestones)
            return schedule.step_factor**passed
        case "exponential":
            return schedule.epoch_factor**epochs
        case "inverse":
            return (1 + schedule.gamma * epochs) ** -schedule.power
        case "polynomial":
            return (1 - way) ** schedule.power
        case "sigmoid":
            past_middle = (step - schedule.middle_share * total_steps) / steps_per_epoch
            return _falling_sigmoid(schedule.steepness * past_middle)
        case "cosine":
            return _cosine(1.0, schedule.final_share, way)
        case _:
            return 1.0


def _falling_sigmoid(x: float) -> float:
    """Returns 1 / (1 + exp(x)), also where exp(x) would be too large for a float."""
    return math.exp(-x) / (1 + math.exp(-x)) if x > 0 else 1 / (1 + math.exp(x))


def _one_cycle(schedule: Schedule, step: int, total_steps: int) -> float:
    top = max(0.0, schedule.rise_share * total_steps - 1)
    if step < top:
        return _cosine(schedule.start_share, 1.0, step / top)
    return _cosine(1.0, schedule.final_share, (step - top) / max(1e-9, total_steps - 1 - top))


def _cosine(start: float, end: float, way: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, way))) / 2
