"""What a training takes: foreseen from its first batches, measured at its end, in time, memory and disk."""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from pathlib import Path

import torch

from darkroom.training.bench import Bench
from darkroom.training.epoch import validation_batch
from darkroom.training.last_layer import FeatureRows
from darkroom.training.memory import device_peak_bytes, peak_bytes
from darkroom.training.plan import Costs
from darkroom.training.seen import LOSSLESS_PX, MOST_SEEN, WIDEST
from darkroom.training.stopwatch import TIMED, batches_of, wait_for

__all__ = ["LOGS_BYTES", "LOGS_BYTES_PER_EPOCH", "Pace", "disk_bytes", "measured", "weights_bytes"]

LEAST_S = 0.25
"""The first batches are timed for this long at least, and never fewer than `TIMED` of them."""

LOGS_BYTES = 20_000
"""config, environment, card, events and the picture of augmentation, as runs of this version have them."""

LOGS_BYTES_PER_EPOCH = 1600
"""A line of metrics, seven points of TensorBoard, and the answers to the followed pictures."""

JPEG_SHARE = 0.25
"""Of its pixels' bytes, about, that a picture of what the network saw takes where it is large."""

COPIES_WHILE_SAVING = 3
"""Weights in memory while they are saved: the best, and what is packed with the optimiser's two means."""


class Pace:
    """Times the first batches of a training that has just begun, and foresees what it will take.

    Args:
        bench: what is trained.
    """

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._moments: list[float] = []
        self._validate_s = _validation_of_one(bench)
        self.foreseen: Costs | None = None

    def batch(self) -> None:
        """Notes that a batch is done; the first one is the warm-up."""
        if self.foreseen is not None:
            return
        wait_for(self._bench.device)
        self._moments.append(time.perf_counter())
        long_enough = self._moments[-1] - self._moments[0] >= LEAST_S
        if len(self._moments) > TIMED and long_enough:
            self.settle()

    def settle(self) -> None:
        """Foresees from the batches so far; nothing where there are fewer than two."""
        if self.foreseen is not None or len(self._moments) < 2:
            return
        bench, moments = self._bench, self._moments
        batch_s = statistics.median(later - one for one, later in pairwise(moments))
        batches = batches_of(len(bench.train), bench.recipe.batch_size)
        epoch_s = batches * batch_s + len(bench.val) * self._validate_s
        self.foreseen = Costs(
            duration_s=bench.recipe.epochs * epoch_s,
            memory_bytes=peak_bytes() + COPIES_WHILE_SAVING * weights_bytes(bench),
            device_bytes=device_peak_bytes(bench.device),
            disk_bytes=sum(disk_bytes(bench).values()),
        )


def measured(bench: Bench, folder: Path, duration_s: float) -> Costs:
    """Returns what a training that has ended took.

    Args:
        bench: what was trained.
        folder: the run's.
        duration_s: of all epochs.
    """
    return Costs(
        duration_s=duration_s,
        memory_bytes=peak_bytes(),
        device_bytes=device_peak_bytes(bench.device),
        disk_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
    )


def weights_bytes(bench: Bench) -> int:
    """Returns the size of the whole network's weights."""
    return sum(tensor.nbytes for tensor in bench.weights().values())


def disk_bytes(bench: Bench) -> dict[str, int]:
    """Returns what a run will need on disk, by kind; ask after a step, when the optimiser has its means."""
    recipe, weights = bench.recipe, weights_bytes(bench)
    snapshots = recipe.epochs // recipe.snapshot_every if recipe.snapshot_every else 0
    learner = sum(tensor.nbytes for tensor in bench.learner.state_dict().values())
    means = [
        value.nbytes
        for state in bench.optimiser.state.values()
        for value in state.values()
        if isinstance(value, torch.Tensor)
    ]
    return {
        "best and last weights": 2 * weights,
        "snapshots": snapshots * weights,
        "state to go on from": learner + sum(means),
        "logs and curves": LOGS_BYTES + recipe.epochs * LOGS_BYTES_PER_EPOCH + _seen_bytes(bench),
    }


def _seen_bytes(bench: Bench) -> int:
    """Returns about what the pictures of what the network saw take."""
    if isinstance(bench.train, FeatureRows):
        return 0
    contract = bench.facts.contract
    each = WIDEST * contract.width_px * contract.height_px * contract.channels
    large = max(contract.width_px, contract.height_px) > LOSSLESS_PX
    return int(min(bench.recipe.epochs, MOST_SEEN) * each * (JPEG_SHARE if large else 1))


def _validation_of_one(bench: Bench) -> float:
    """Returns the seconds of one validation picture, from a second batch; the weights stay."""
    if len(bench.val) == 0:
        return 0.0
    count = min(len(bench.val), validation_batch(bench))
    chosen = torch.arange(count, device=bench.device)
    network, began = bench.learner.eval(), 0.0
    with torch.inference_mode():
        for _ in range(2):
            wait_for(bench.device)
            began = time.perf_counter()
            x, _labels = bench.val.batch(chosen)
            with bench.precision():
                network(x)
            wait_for(bench.device)
    return (time.perf_counter() - began) / count
