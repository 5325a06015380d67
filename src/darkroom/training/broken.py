"""A loss or a gradient that is no number: keep the batch, find the layer that made it, name the cause.

What is kept in the run's folder `broken/`, so that a person can look and the failure can be repeated:

broken.json          where, why, and what to try; the history of losses and gradient norms
batch.png            the pictures as the network got them
batch.safetensors    the same as numbers: `x` (n, C, H, W) float32, `labels`, `places` in the train split
weights.safetensors  the weights that the batch met
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from darkroom import atomic
from darkroom.errors import Invalid
from darkroom.networks.saved import pack, save
from darkroom.records import Record
from darkroom.training.bench import Bench
from darkroom.training.seen import WIDEST, as_pictures, encoded, row_of

__all__ = ["BROKEN", "Broken", "Met", "forget_broken", "read_broken", "stopped"]

BROKEN = "broken"
GROWN = 10.0
"""A loss that grew by this factor, or a gradient norm by its square, is running away."""

HUGE = 1e4
"""A weight larger than this is no result of a training that goes well."""

Cause = Literal["learning rate", "input", "half precision", "layer", "unknown"]


class Met(NamedTuple):
    """What a batch met when it broke."""

    what: Literal["loss", "gradient", "loss of validation"]
    epoch: int
    step: int
    """Of all steps, from 1 on."""
    places: Tensor
    """(n,) of the pictures in their split."""
    x: Tensor
    """What the network got, (n, …), normalised and augmented."""
    labels: Tensor
    losses: Sequence[float]
    """Of the last steps."""
    norms: Sequence[float]
    """Gradient norms of the last looks."""
    exact: bool = True
    """Whether the weights are those that the batch met; on a GPU it is noticed some steps later."""


class Broken(Record):
    """Where and why a training stopped at a value that is no number."""

    what: str
    """"loss", "gradient" or "loss of validation"."""
    epoch: int
    step: int
    learning_rate: float
    precision: str
    cause: Cause
    said: str
    """The cause in words."""
    next_steps: tuple[str, ...]
    """What to try, each with its option or command."""
    layer: str = ""
    """The layer that first gave a value that is no number; empty where none was found."""
    layer_kind: str = ""
    weights: tuple[str, ...] = ()
    """Weights that held such values before the batch."""
    gradients: tuple[str, ...] = ()
    """Weights whose gradients held such values, the first that backpropagation met first."""
    largest_weight: float | None = None
    image_ids: tuple[str, ...]
    """Of the batch, in its order."""
    labels: tuple[str, ...]
    """Names of their classes; empty for masks."""
    losses: tuple[str, ...] = ()
    """Of the last steps, the batch last."""
    gradient_norms: tuple[str, ...] = ()
    exact: bool = True
    """Whether the weights kept are those that the batch met."""


class _Trace(NamedTuple):
    layer: str
    kind: str
    from_finite: bool


def stopped(bench: Bench, folder: Path, met: Met) -> Invalid:
    """Keeps the batch in a run's folder and returns the error to raise.

    Args:
        bench: what is trained; nothing of it is used after this.
        folder: the run's.
        met: what the batch met.
    """
    found = _examined(bench, met)
    _keep(bench, folder / BROKEN, met, found)
    return Invalid(
        "training.not-finite",
        "The {what} is no longer a number: epoch {epoch}, step {step}. {said}",
        do="{advice} The batch is kept in {folder}.",
        what=found.what,
        epoch=found.epoch,
        step=found.step,
        said=found.said,
        advice=" Or: ".join(found.next_steps),
        folder=folder / BROKEN,
    )


def read_broken(folder: Path) -> Broken | None:
    """Reads why a run stopped; None where it did not, or the file cannot be read."""
    try:
        return Broken.model_validate_json((folder / BROKEN / "broken.json").read_bytes())
    except (OSError, ValidationError):
        return None


def forget_broken(folder: Path) -> None:
    """Takes away what an earlier attempt left; the training went on beyond it."""
    if (folder / BROKEN).is_dir():
        atomic.remove(folder / BROKEN)


def _examined(bench: Bench, met: Met) -> Broken:
    weights = _not_finite(bench.learner)
    trace, breaks_in_float32 = _trace(bench, met.x), True
    if bench.arithmetic != "float32" and not weights:
        breaks_in_float32 = _trace(bench, met.x, plain=True) is not None
    finite_rows = torch.isfinite(met.x.float()).flatten(1).all(1)
    gradients = [] if met.what != "gradient" else _bad_gradients(bench.learner)
    cause, said, steps = _cause(
        bench, met, weights, trace, gradients, bool(finite_rows.all()), breaks_in_float32
    )
    return Broken(
        what=met.what,
        epoch=met.epoch,
        step=met.step,
        learning_rate=bench.optimiser.param_groups[0]["lr"],
        precision=bench.arithmetic,
        cause=cause,
        said=said,
        next_steps=steps,
        layer=trace.layer if trace else "",
        layer_kind=trace.kind if trace else "",
        weights=tuple(weights[:20]),
        gradients=tuple(gradients[:20]),
        largest_weight=_largest(bench.learner),
        image_ids=_ids(bench, met),
        labels=_names(bench, met.labels),
        losses=tuple(f"{value:.6g}" for value in met.losses),
        gradient_norms=tuple(f"{value:.6g}" for value in met.norms),
        exact=met.exact,
    )


def _cause(
    bench: Bench,
    met: Met,
    weights: list[str],
    trace: _Trace | None,
    gradients: list[str],
    input_finite: bool,
    breaks_in_float32: bool,
) -> tuple[Cause, str, tuple[str, ...]]:
    """Returns the probable cause, in a word and in words, and what to try."""
    rate = bench.recipe.learning_rate
    slower = (
        f"Train with a smaller learning_rate: --recipe.learning-rate {rate / 10:g}.",
        "Set schedule.warmup_epochs, so that it rises slowly.",
    )
    if not input_finite:
        bad = [one for one, fine in zip(_ids(bench, met), _fine(met.x), strict=True) if not fine]
        which = ", ".join(one[:12] for one in bad[:5])
        return (
            "input",
            f"What the network got was no number, in {len(bad)} of {len(met.x)} pictures ({which}).",
            ("Look at these pictures, and at normalisation and augment in the recipe.",),
        )
    if not breaks_in_float32:
        return (
            "half precision",
            f"A value left the range of {bench.arithmetic}: in float32 the same batch gives numbers.",
            ("Train with --recipe.precision float32.", *slower[:1]),
        )
    growth = _growth(bench, met, weights)
    if growth:
        first = f" Weights were no numbers before this batch ({weights[0]} first)." if weights else ""
        return "learning rate", f"Most probably the learning rate is too high: {growth}.{first}", slower
    if gradients and trace is None:
        return (
            "layer",
            f"The loss was a number, its gradient was not; backpropagation met it first in {gradients[0]}.",
            ("Look for a root, a logarithm or a division by zero in that layer.", *slower[:1]),
        )
    if trace is not None and trace.from_finite and not weights:
        return (
            "layer",
            f"The layer {trace.layer} ({trace.kind}) made no number of finite values and finite weights.",
            ("Look for a division by zero, a logarithm or a root in that layer.", *slower[:1]),
        )
    if weights:
        said = (
            f"Weights were no numbers before this batch ({weights[0]} first): the step before made them so."
        )
        return "unknown", said, slower
    return "unknown", "No layer gave it again on the same batch; what dropout drew may have.", slower


def _growth(bench: Bench, met: Met, weights: list[str]) -> str:
    """Returns what ran away before the batch, in words; empty where nothing did."""
    losses = [value for value in met.losses if math.isfinite(value)]
    said = []
    if len(losses) > 1 and losses[-1] > GROWN * min(losses):
        said.append(f"the loss went from {min(losses):.3g} to {max(losses):.3g} within {len(losses)} steps")
    norms = [value for value in met.norms if math.isfinite(value)]
    if len(norms) > 1 and max(norms) > GROWN**2 * norms[0]:
        said.append(f"the gradient norm from {norms[0]:.3g} to {max(norms):.3g}")
    largest = _largest(bench.learner)
    if largest is not None and largest > HUGE:
        said.append(f"a weight of {largest:.3g}")
    if not said and weights and met.exact and met.epoch == 1 and met.step <= 3:
        said.append(
            f"step {met.step - 1} at a rate of {bench.optimiser.param_groups[0]['lr']:g} ruined them"
        )
    return ", ".join(said)


def _trace(bench: Bench, x: Tensor, *, plain: bool = False) -> _Trace | None:
    """Runs the batch again and returns the first layer whose answer is no number; what is kept stays."""
    found: list[_Trace] = []

    def watch(name: str) -> Any:
        def after(module: nn.Module, given: tuple[Any, ...], answer: Any) -> None:
            if not found and isinstance(answer, Tensor) and not bool(torch.isfinite(answer).all()):
                fine = all(bool(torch.isfinite(one).all()) for one in given if isinstance(one, Tensor))
                found.append(_Trace(name, type(module).__name__, fine))

        return after

    leaves = [(n, m) for n, m in bench.learner.named_modules() if not any(True for _ in m.children())]
    hooks = [module.register_forward_hook(watch(name or "the network")) for name, module in leaves]
    met = [(one, one.clone()) for one in bench.learner.buffers()]
    try:
        with torch.no_grad(), nullcontext() if plain else bench.precision():
            answer = bench.learner(x)
    finally:
        for hook in hooks:
            hook.remove()
        for one, before in met:  # normalisation counts what it sees
            one.copy_(before)
    if found or bool(torch.isfinite(answer).all()):
        return found[0] if found else None
    return _Trace("the network's own forward", type(bench.network).__name__, True)


def _not_finite(learner: nn.Module) -> list[str]:
    held = [*learner.named_parameters(), *learner.named_buffers()]
    return [name for name, one in held if one.is_floating_point() and not bool(torch.isfinite(one).all())]


def _bad_gradients(learner: nn.Module) -> list[str]:
    named = [(name, one.grad) for name, one in learner.named_parameters() if one.grad is not None]
    return [name for name, grad in reversed(named) if not bool(torch.isfinite(grad).all())]


def _largest(learner: nn.Module) -> float | None:
    tops = [float(torch.nan_to_num(one.detach(), 0, 0, 0).abs().max()) for one in learner.parameters()]
    return max(tops, default=None)


def _fine(x: Tensor) -> list[bool]:
    return torch.isfinite(x.float()).flatten(1).all(1).tolist()


def _ids(bench: Bench, met: Met) -> tuple[str, ...]:
    rows = bench.val if met.what == "loss of validation" else bench.train
    return tuple(rows.image_ids[int(place)] for place in met.places)


def _names(bench: Bench, labels: Tensor) -> tuple[str, ...]:
    if labels.ndim != 1 or labels.is_floating_point():
        return ()
    return tuple(bench.facts.labels[int(one)] for one in labels)


def _keep(bench: Bench, folder: Path, met: Met, found: Broken) -> None:
    tensors = {"x": met.x.float(), "labels": met.labels, "places": met.places}
    with atomic.write_folder(folder) as aside:
        (aside / "broken.json").write_text(found.model_dump_json(indent=1) + "\n", encoding="utf-8")
        (aside / "batch.safetensors").write_bytes(pack(tensors, {"what": "the batch that broke"}))
        if met.x.ndim == 4:
            shown = as_pictures(met.x[: 4 * WIDEST], bench.normalisation, bench.network.mean_image)
            (aside / "batch.png").write_bytes(encoded(row_of(shown)))
        save(aside / "weights.safetensors", bench.weights(), bench.card(met.epoch))
