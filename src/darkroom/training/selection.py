"""Which epoch is the best so far, and when to stop waiting for a better one."""

from __future__ import annotations

from darkroom.records import MetricPoint
from darkroom.training.checkpoint import Progress
from darkroom.training.recipe import Recipe

__all__ = ["advance", "is_done"]


def advance(progress: Progress, point: MetricPoint, recipe: Recipe) -> Progress:
    """Returns where the training stands after one more epoch."""
    history = (*progress.history, point)
    best, compared = progress.best_epoch, progress.compared_epoch
    if best == 0 or _rank(point, recipe) >= _rank(history[best - 1], recipe):
        best = point.epoch
    if compared == 0 or _gain(point, history[compared - 1], recipe) > recipe.early_stopping.least_gain:
        compared = point.epoch
    return progress.model_copy(update={"history": history, "best_epoch": best, "compared_epoch": compared})


def is_done(progress: Progress, recipe: Recipe) -> bool:
    """Returns whether all epochs are trained, or patience has run out."""
    patience, layers, since = recipe.early_stopping.patience_epochs, recipe.layers, progress.compared_epoch
    if recipe.train_layers == "gradual":  # a group that has not opened yet may still bring something
        since = max(since, layers.open_every * (layers.groups - 1))
    waited = progress.epoch - since
    return progress.epoch >= recipe.epochs or (0 < patience <= waited)


def _rank(point: MetricPoint, recipe: Recipe) -> tuple[float, ...]:
    """Returns what the better of two epochs has more of; () for all when nothing is validated."""
    if point.val_loss is None or point.val_accuracy is None:
        return ()
    if recipe.select_by == "val_loss":
        return (-point.val_loss,)
    return (_deciding(point, point.val_accuracy), -point.val_loss)


def _deciding(point: MetricPoint, accuracy: float) -> float:
    """Returns the figure that stands for the accuracy: mean IoU of masks, mean AP of several labels."""
    found = point.val_miou if point.val_mean_ap is None else point.val_mean_ap
    return accuracy if found is None else found


def _gain(point: MetricPoint, before: MetricPoint, recipe: Recipe) -> float:
    return _rank(point, recipe)[0] - _rank(before, recipe)[0] if _rank(point, recipe) else 0.0
