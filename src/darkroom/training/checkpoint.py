"""The state that a killed training goes on from: one safetensors file, replaced whole.

It holds weights and optimiser as tensors, and in its metadata, as JSON, where the training stands. Random
numbers need no state: each epoch's generators start from the seed and the epoch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from darkroom import atomic
from darkroom.errors import Conflict, Damaged
from darkroom.networks.saved import pack, save, unpack
from darkroom.records import Contract, Fact, MetricPoint, ModelCard, Record
from darkroom.training.plan import BatchChoice, Costs, HeadStart, PrecisionChoice, RateChoice
from darkroom.training.recipe import Recipe
from darkroom.training.run_folder import RunFolder

__all__ = [
    "Identity",
    "Keeper",
    "Progress",
    "check_same",
    "differences",
    "read_progress",
    "restore",
    "write_state",
]

NETWORK, OPTIMISER, SCALER = "network.", "optimiser.", "scaler."
SCALER_STATE = {"scale": float, "_growth_tracker": int}
SAVING_SHARE = 0.01
"""After an epoch the state is saved unless that would take more than this share of the time."""


class Identity(Fact):
    """All that decides a training's result, beside machine and libraries."""

    recipe: Recipe
    seed: int
    dataset_id: str
    labels: tuple[str, ...]
    contract: Contract


class Progress(Record):
    """Where a training stands after an epoch."""

    identity: Identity
    """What is being trained."""
    threads: int
    """Threads on the processor, which a resumed training takes again."""
    precision: PrecisionChoice | None = None
    """For precision = "auto": what it came to, which a resumed training takes again."""
    rate: RateChoice | None = None
    """For find_learning_rate: what was found, which a resumed training takes again."""
    batch: BatchChoice | None = None
    """A smaller batch than the recipe's, where memory did not hold that one and the recipe allows it."""
    head: HeadStart | None = None
    """For gradual: how the last layer learnt beforehand."""
    foreseen: Costs | None = None
    """What the first batches said it would take."""
    history: tuple[MetricPoint, ...] = ()
    """Figures of all epochs so far."""
    best_epoch: int = 0
    """0 before the first epoch."""
    compared_epoch: int = 0
    """Last epoch that was better by the least gain, for early stopping."""

    @property
    def epoch(self) -> int:
        """Epochs trained."""
        return len(self.history)

    @property
    def best(self) -> MetricPoint:
        """Figures of the best epoch."""
        return self.history[self.best_epoch - 1]


class Keeper:
    """Keeps weights and state on disk: each snapshot, and the rest as often as it costs next to nothing.

    Args:
        run: the run's folder.
        learner: what is trained: the network, or its last layer alone.
        weights: gives the weights of the whole network, as they now are.
        optimiser: what trains it.
        scaler: what scales the loss in float16.
        card: makes the card of an epoch.
        saved_epoch: epoch of the state that is on disk, 0 for none.
    """

    def __init__(
        self,
        run: RunFolder,
        learner: nn.Module,
        weights: Callable[[], Mapping[str, Tensor]],
        optimiser: Optimizer,
        scaler: GradScaler,
        card: Callable[[int], ModelCard],
        saved_epoch: int,
    ) -> None:
        self._run, self._learner, self._card = run, learner, card
        self._optimiser, self._scaler = optimiser, scaler
        self._weights = weights
        self._best: dict[str, Tensor] = {}
        self._saved_epoch = saved_epoch
        self._saved_at = time.perf_counter()
        self._cost_s = 0.0

    def keep(self, progress: Progress, *, snapshot_every: int) -> None:
        """Keeps what is due after an epoch."""
        epoch, weights = progress.epoch, self._weights()
        if progress.best_epoch == epoch:
            self._best = {name: tensor.detach().clone() for name, tensor in weights.items()}
        if snapshot_every and epoch % snapshot_every == 0:
            name = f"epoch-{epoch:03d}.safetensors"
            save(self._run.checkpoints / name, weights, self._card(epoch))
            self._run.event("snapshot", epoch=epoch, file=f"checkpoints/{name}")
        if time.perf_counter() - self._saved_at >= self._cost_s / SAVING_SHARE:
            self.save(progress)

    def save(self, progress: Progress) -> None:
        """Writes best and last weights, and then the state that counts on them."""
        if progress.epoch == self._saved_epoch:
            return
        began = time.perf_counter()
        if self._best:
            save(self._run.checkpoints / "best.safetensors", self._best, self._card(progress.best_epoch))
            self._best = {}
        weights = self._weights()
        save(self._run.checkpoints / "last.safetensors", weights, self._card(progress.epoch))
        write_state(self._run.state, self._learner, self._optimiser, progress, self._scaler)
        self._saved_epoch = progress.epoch
        self._saved_at = time.perf_counter()
        self._cost_s = self._saved_at - began


def write_state(
    path: Path,
    network: nn.Module,
    optimiser: Optimizer,
    progress: Progress,
    scaler: GradScaler | None = None,
) -> None:
    """Writes the state, whole or not at all.

    Raises:
        StorageFailed: the disk is full or refuses.
    """
    tensors = {NETWORK + name: tensor for name, tensor in network.state_dict().items()}
    for index, state in optimiser.state_dict()["state"].items():
        for name, value in state.items():
            if value is not None:
                tensors[f"{OPTIMISER}{index}.{name}"] = torch.as_tensor(value)
    if scaler is not None and scaler.is_enabled():
        state = scaler.state_dict()
        tensors |= {
            SCALER + name: torch.tensor(float(state[name]), dtype=torch.float64) for name in SCALER_STATE
        }
    atomic.write_bytes(path, pack(tensors, {"progress": progress.model_dump_json()}))


def read_progress(path: Path) -> Progress | None:
    """Reads where a training stands; None when there is no state.

    Raises:
        Damaged: the file is cut or changed.
    """
    return _read(path)[0] if path.exists() else None


def check_same(progress: Progress, identity: Identity) -> None:
    """Makes sure that a state belongs to what is being trained.

    Device and threads may be others than before; then the last bits of the result may be so too.

    Raises:
        Conflict: the recipe, the seed, the data or the classes are not the same.
    """
    changed = differences(_decisive(progress.identity), _decisive(identity))
    if changed:
        raise Conflict(
            "training.recipe-changed",
            "This run was begun with something else: {changes}.",
            do="Train it as a new run, or put the old value back to go on.",
            changes="; ".join(changed),
        )


def restore(path: Path, network: nn.Module, optimiser: Optimizer, scaler: GradScaler | None = None) -> None:
    """Puts weights, optimiser and scaler back as they were."""
    tensors = _read(path)[1]
    weights = {n.removeprefix(NETWORK): t for n, t in tensors.items() if n.startswith(NETWORK)}
    network.load_state_dict(weights)
    trained = [weight for group in optimiser.param_groups for weight in group["params"]]
    states: dict[int, dict[str, Any]] = {}
    for name, tensor in tensors.items():
        if name.startswith(OPTIMISER):
            index, key = name.removeprefix(OPTIMISER).split(".")
            states.setdefault(int(index), {})[key] = _as_weight(tensor, trained[int(index)])
    optimiser.load_state_dict({"state": states, "param_groups": optimiser.state_dict()["param_groups"]})
    if scaler is not None and scaler.is_enabled():
        kept = {name: kind(tensors[SCALER + name]) for name, kind in SCALER_STATE.items()}
        scaler.load_state_dict({**scaler.state_dict(), **kept})


def _read(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    tensors, facts = unpack(path)
    try:
        return Progress.model_validate_json(facts["progress"]), tensors
    except (KeyError, ValidationError) as error:
        raise Damaged(
            "training.state-damaged",
            "The state at {path} cannot be read.",
            do="Remove that file to train from the start.",
            path=path,
        ) from error


def _as_weight(tensor: Tensor, weight: Tensor) -> Tensor:
    """Fused kernels walk through weight and state side by side: both need the same memory order."""
    if tensor.shape != weight.shape:
        return tensor
    return torch.empty_like(weight, dtype=tensor.dtype).copy_(tensor)


def _decisive(identity: Identity) -> dict[str, Any]:
    return identity.model_dump(mode="json", exclude={"recipe": {"device", "threads"}})


def differences(then: Any, current: Any, name: str = "") -> list[str]:
    """Returns how two nested values differ, in words, by dotted name."""
    if isinstance(then, dict) and isinstance(current, dict):
        keys = sorted(then.keys() | current.keys())
        found = [differences(then.get(k), current.get(k), f"{name}.{k}".strip(".")) for k in keys]
        return [difference for part in found for difference in part]
    return [] if then == current else [f"{name} was {_short(then)} and is {_short(current)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"
