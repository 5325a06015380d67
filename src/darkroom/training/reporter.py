"""Progress of a training: tell how far it is, ask whether to stop, notice a loss that is no number."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping

from torch import Tensor

from darkroom.errors import Cancelled, Invalid
from darkroom.records import MetricPoint
from darkroom.training.recipe import Recipe

__all__ = ["OnProgress", "Reporter", "ShouldStop", "not_finite"]

OnProgress = Callable[[int, int, Mapping[str, float]], None]
"""Called with batches done, batches in all, and figures: "epoch", "loss", rate, pace and time left; after
an epoch all of them."""

ShouldStop = Callable[[], bool]
"""Asked at each batch, of training and of validation."""

REPORT_EVERY_S = 0.25


class Reporter:
    """Tells how far the training is and asks whether to stop, without waiting for the device."""

    def __init__(
        self,
        recipe: Recipe,
        total_steps: int,
        on_progress: OnProgress | None,
        should_stop: ShouldStop | None,
        on_batch: Callable[[], None] | None = None,
        live: Callable[[int], Mapping[str, float]] | None = None,
        broken: Callable[[int, int], Invalid] | None = None,
    ) -> None:
        self._live = live or (lambda step: {})
        self._broken = broken or (lambda epoch, step: not_finite(recipe, f"epoch {epoch}, by step {step}"))
        self._note_batch = on_batch
        self._recipe, self._total_steps = recipe, total_steps
        self._tell = on_progress or (lambda done, total, figures: None)
        self._asked_to_stop = should_stop or (lambda: False)
        self._told_at = time.perf_counter()

    def batch(self, epoch: int, step: int, loss: Tensor) -> None:
        """Notes one batch.

        Raises:
            Cancelled: the training is to stop.
            Invalid: the loss is not a number.
        """
        self.look(epoch)
        if self._note_batch is not None:
            self._note_batch()
        moment = time.perf_counter()
        if moment - self._told_at >= REPORT_EVERY_S:
            self._told_at = moment
            value = float(loss.detach())  # the only wait for the device inside an epoch
            if not math.isfinite(value):
                raise self._broken(epoch, step)
            self._tell(step, self._total_steps, {"epoch": epoch, "loss": value, **self._live(step)})

    def look(self, epoch: int) -> None:
        """Looks whether the training is to stop.

        Raises:
            Cancelled: it is.
        """
        if self._asked_to_stop():
            raise Cancelled(
                "training.cancelled",
                "Training was stopped in epoch {epoch} of {epochs}.",
                do="The same command goes on from the last saved epoch.",
                epoch=epoch,
                epochs=self._recipe.epochs,
            )

    def epoch(self, point: MetricPoint) -> None:
        """Notes the figures of one epoch."""
        figures = {name: value for name, value in point.model_dump().items() if value is not None}
        parts = figures.pop("gradient_norms", {})
        figures |= {f"gradient_norm.{part}": value for part, value in parts.items()}
        self._tell(point.step, self._total_steps, figures)


def not_finite(recipe: Recipe, where: str) -> Invalid:
    """Returns the error for a loss that is not a number."""
    return Invalid(
        "training.not-a-number",
        "The loss is no longer a number: {where}. The learning rate was at most {rate:g}.",
        do="Train again with a smaller learning_rate, or with schedule.warmup_epochs.",
        where=where,
        rate=recipe.learning_rate,
    )
