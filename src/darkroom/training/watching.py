"""Watch a training from inside: gradients, pace, a few answers, what was seen, what is no number.

Nothing here draws a random number or changes a weight: a training that is watched ends with the same bits.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

from darkroom.errors import Invalid, StorageFailed
from darkroom.records import FrozenDict, MetricPoint
from darkroom.training.bench import Bench
from darkroom.training.broken import Met, stopped
from darkroom.training.gradients import GradientNorms
from darkroom.training.last_layer import FeatureRows
from darkroom.training.samples import SampleBook
from darkroom.training.seen import WIDEST, as_pictures, keep_seen

__all__ = ["WATCH", "Watch"]

WATCH = "watch"
WRITING_SHARE = 0.005
"""Answers and pictures are written unless that would take more than this share of the time."""

REMEMBERED = 50
"""Losses and gradient norms of the last steps that are kept with a broken batch."""

PACE_OF = 5
"""Epochs whose median says how long the next ones take."""


class Watch:
    """Watches the epochs of one training.

    Args:
        bench: what is trained.
        folder: the run's.
        history: figures of the epochs that a resumed training goes on from.
    """

    def __init__(self, bench: Bench, folder: Path, history: Sequence[MetricPoint] = ()) -> None:
        self._bench, self._folder = bench, folder
        self._at_once = bench.device.type == "cpu"  # elsewhere each look would wait for the device
        self._norms = GradientNorms(bench.learner, bench.steps_per_epoch)
        self._losses: deque[float] = deque(maxlen=REMEMBERED)
        self._totals: deque[Tensor] = deque(maxlen=REMEMBERED)
        self._durations = [point.duration_s for point in history]
        self._samples = SampleBook(bench.val.image_ids, bench.facts.labels, of_masks=bench.of_masks)
        self._samples.go_on(folder, len(history))
        self._seen: np.ndarray | None = None
        self._written_at, self._cost_s = -math.inf, 0.0
        self._first: Tensor | None = None
        self._batch: tuple[Tensor, Tensor, Any] | None = None
        self._began, self._began_step = 0.0, 0

    def begin_epoch(self, epoch: int) -> None:
        """Gets ready for an epoch."""
        self._norms.begin_epoch()
        self._seen = None
        self._began, self._began_step = time.perf_counter(), (epoch - 1) * self._bench.steps_per_epoch
        trained = (one for one in self._bench.learner.parameters() if one.requires_grad)
        pixels = self._at_once and not isinstance(self._bench.train, FeatureRows)
        self._first = next(trained, None) if pixels else None

    def batch(self, epoch: int, step: int, places: Tensor, x: Tensor, labels: Any, loss: Tensor) -> None:
        """Looks at a batch before its gradients are made.

        Raises:
            Invalid: its loss is no number.
        """
        if self._seen is None and x.ndim == 4:
            self._seen = self._shown(x) if self._is_due() else np.empty(0)
        self._batch = (places, x, labels)
        if not self._at_once:
            return
        value = loss.item()
        self._losses.append(value)
        if not math.isfinite(value):
            raise self._stopped("loss", epoch, step)

    def gradients(self, epoch: int, step: int) -> None:
        """Looks at the gradients of a step before they are used.

        Raises:
            Invalid: one of them is no number; float16 is let go on, as its scaler leaves such steps out.
        """
        scaler = self._bench.scaler
        if self._norms.is_due(step - 1 - (epoch - 1) * self._bench.steps_per_epoch):
            total = self._norms.look(scaler.get_scale() if scaler.is_enabled() else 1.0)
            self._totals.append(total)
            broken = self._at_once and not math.isfinite(total.item())
        else:
            # What is no number anywhere reaches the layer that sees the picture: one look in each step.
            first = self._first.grad if self._first is not None else None
            broken = first is not None and not math.isfinite(first.sum().item())
        if broken and not scaler.is_enabled():
            raise self._stopped("gradient", epoch, step)

    def validated(self, places: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Notes the answers to the followed pictures of a validation batch."""
        self._samples.note(int(places[0]), logits, labels)

    def noticed(self, epoch: int, step: int) -> Invalid:
        """Returns the error for a loss that is seen to be no number; the batch is the one at work."""
        return self._stopped("loss", epoch, step, exact=False)

    def found(self, what: Any, epoch: int, step: int, places: Tensor, x: Tensor, labels: Tensor) -> Invalid:
        """Returns the error for a batch whose loss turned out to be no number some steps later."""
        self._batch = (places, x, labels)
        return self._stopped(what, epoch, step, exact=what == "loss of validation")

    def end_epoch(self, point: MetricPoint) -> MetricPoint:
        """Returns the figures of an epoch with what was watched, and writes pictures where that is due."""
        self._samples.end_epoch(point.epoch)
        self._durations.append(point.duration_s)
        left = (self._bench.recipe.epochs - point.epoch) * median(self._durations[-PACE_OF:])
        norms = self._norms.result()
        changes: dict[str, Any] = {"time_left_s": left}
        if norms is not None:
            changes |= {
                "gradient_norm": norms.usual,
                "gradient_norm_max": norms.largest,
                "gradient_norms": FrozenDict(norms.by_part),
            }
        if self._is_due():
            self._write(point.epoch)
        return point.model_copy(update=changes)

    def finish(self) -> None:
        """Writes what is not written yet."""
        self._samples.write(self._folder)

    def live(self, step: int) -> Mapping[str, float]:
        """Returns rate, pace and time left in the middle of an epoch, after a step."""
        bench, took = self._bench, time.perf_counter() - self._began
        done = step - self._began_step
        figures = {"learning_rate": float(bench.optimiser.param_groups[0]["lr"])}
        if self._at_once and self._totals:
            figures["gradient_norm"] = self._totals[-1].item()
        if done > 0 and took > 0:
            figures["images_per_second"] = done / bench.steps_per_epoch * len(bench.train) / took
            epoch_s = median(self._durations[-PACE_OF:]) if self._durations else None
            step_s = epoch_s / bench.steps_per_epoch if epoch_s else took / done
            figures["time_left_s"] = (bench.total_steps - step) * step_s
        return figures

    def _is_due(self) -> bool:
        return time.perf_counter() - self._written_at >= self._cost_s / WRITING_SHARE

    def _shown(self, x: Tensor) -> np.ndarray:
        return as_pictures(x[:WIDEST], self._bench.normalisation, self._bench.network.mean_image)

    def _write(self, epoch: int) -> None:
        began = time.perf_counter()
        self._samples.write(self._folder)
        if self._seen is not None and len(self._seen):
            keep_seen(self._folder / WATCH, epoch, self._seen)
        self._written_at = time.perf_counter()
        self._cost_s = self._written_at - began

    def _stopped(self, what: Any, epoch: int, step: int, *, exact: bool = True) -> Invalid:
        assert self._batch is not None
        places, x, labels = self._batch
        if not isinstance(labels, Tensor):  # of mixed pictures: that of the picture itself
            labels = labels.first
        norms = torch.stack(list(self._totals)).tolist() if self._totals else []
        met = Met(what, epoch, step, places.cpu(), x.detach(), labels, tuple(self._losses), norms, exact)
        try:
            return stopped(self._bench, self._folder, met)
        except StorageFailed as error:  # a full disk must not hide what went wrong first
            return Invalid(
                "training.not-finite-unkept",
                "The {what} is no longer a number: epoch {epoch}, step {step}; the batch could not be "
                "kept: {why}",
                do="Free some space, and train again with a smaller learning_rate.",
                what=what,
                epoch=epoch,
                step=step,
                why=error.message,
            )
