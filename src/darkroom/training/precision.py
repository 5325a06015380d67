"""`precision = "auto"`: bfloat16 where it is there and, on the processor, where it is clearly faster."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import torch

from darkroom.features import FeatureStore
from darkroom.networks.start import NetworkStart
from darkroom.training.outcome import CardFacts
from darkroom.training.pixels import Rendering
from darkroom.training.plan import PrecisionChoice
from darkroom.training.recipe import Recipe
from darkroom.training.reporter import ShouldStop
from darkroom.training.stopwatch import TIMED, Stopwatch

__all__ = ["FASTER", "choose_precision", "computes_bfloat16"]

FASTER = 1.2
"""bfloat16 is taken on a processor where a batch takes less than 1 / 1.2 of float32's time."""


def choose_precision(
    rendering: Rendering,
    recipe: Recipe,
    seed: int,
    facts: CardFacts,
    device: torch.device,
    start: NetworkStart,
    *,
    should_stop: ShouldStop | None = None,
) -> PrecisionChoice:
    """Returns what to train in. On a processor both are timed, a batch of each in turn.

    Call it inside `reproducible`, with the training's threads.

    Raises:
        Cancelled: `should_stop` said so.
    """
    if recipe.train_layers == "last" and facts.task != "segmentation":
        return PrecisionChoice(
            precision="float32", why="Only the last layer is trained, which is quick in float32."
        )
    if not computes_bfloat16(device):
        return PrecisionChoice(precision="float32", why=f"No bfloat16 in hardware on this {device.type}.")
    if device.type == "cuda":
        return PrecisionChoice(precision="bfloat16", why="The cuda device computes bfloat16 in hardware.")
    with tempfile.TemporaryDirectory() as unused:
        usual, other = (
            Stopwatch(
                *(rendering, recipe, seed, facts, device, FeatureStore(Path(unused)), start),
                precision=precision,
                should_stop=should_stop,
            )
            for precision in ("float32", "bfloat16")
        )
        pairs = [(usual.train_s(), other.train_s()) for _ in range(TIMED)]
    return _decide(*(statistics.median(times) for times in zip(*pairs, strict=True)))


def computes_bfloat16(device: torch.device) -> bool:
    """Returns whether a device multiplies bfloat16 in hardware, as far as it says."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type != "cpu":
        return False
    return _processor_says_bfloat16()


def _decide(float32_s: float, bfloat16_s: float) -> PrecisionChoice:
    ratio = float32_s / bfloat16_s
    enough = ratio >= FASTER
    return PrecisionChoice(
        precision="bfloat16" if enough else "float32",
        float32_ms=float32_s * 1e3,
        bfloat16_ms=bfloat16_s * 1e3,
        why=f"bfloat16 is {ratio:.2f} times as fast as float32 here, and {'' if enough else 'only '}"
        f"{FASTER} times or more counts.",
    )


def _processor_says_bfloat16() -> bool:
    told = getattr(torch.cpu, "get_capabilities", dict)()  # an older torch does not say
    return any(told.get(name) for name in ("avx512_bf16", "amx_bf16", "avx10_2", "bf16", "arm_bf16"))
