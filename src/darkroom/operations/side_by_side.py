"""Decide whether clones are trained side by side: by timed batches, by cores, by memory."""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from darkroom.engines import Failure
from darkroom.errors import Unsupported
from darkroom.operations.run_making import Wanted, card_facts, own_recipe, wanted_run
from darkroom.operations.scoreboard import Scoreboard
from darkroom.operations.together import WorkerPlace, run_together
from darkroom.settings import available_cores
from darkroom.training import Recipe
from darkroom.training.plan import ClonesChoice, PrecisionChoice
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.training.timing import Timing

__all__ = [
    "FASTER",
    "WORTH_MEASURING_S",
    "choose_clones",
    "decide",
    "refused_early",
    "rendered_timing",
    "time_one",
    "time_together",
    "worth_measuring",
]

FASTER = 1.2
"""Side by side is taken where all together take less than 1 / 1.2 of the time one after the other."""

WORTH_MEASURING_S = 60.0
"""Shorter series are trained one after the other unmeasured: starting processes takes some seconds."""

MEMORY_SHARE = 0.8
"""Share of the available memory that clones side by side may fill."""

MOST_WAIT_S = 120.0
"""How long a measurement waits for the slowest of its processes to begin."""


def choose_clones(
    workspace: Workspace,
    pending: Sequence[Wanted],
    asked: Literal["auto", "yes", "no"],
    precision: PrecisionChoice | None = None,
) -> tuple[ClonesChoice, PrecisionChoice | None]:
    """Decides how clones are trained, and for precision = "auto" in what; one choice for all of them.

    Args:
        workspace: the project; the dataset is rendered if it is not.
        pending: the clones that are not finished.
        asked: what the person wants.
        precision: what "auto" came to before.

    Raises:
        Unsupported: "yes" on a device that all would share.
        Cancelled: a person stopped it.
    """
    early = refused_early(workspace, pending, asked)
    auto = pending[0].recipe.precision == "auto" and precision is None
    if early is not None and not auto:
        return early, precision
    timing = rendered_timing(workspace, pending[0], precision)
    return early or decide(workspace, pending, asked, timing), timing.choice


def refused_early(
    workspace: Workspace, pending: Sequence[Wanted], asked: Literal["auto", "yes", "no"]
) -> ClonesChoice | None:
    """Returns why clones are trained one after the other, where that needs no timing; None otherwise.

    Raises:
        Unsupported: "yes" on a device that all would share.
    """
    from darkroom.training.device import choose_device

    device = choose_device(pending[0].recipe.device).type
    if device != "cpu" and asked == "yes":
        raise Unsupported(
            "clone.shared-device",
            "Clones are not trained side by side on one {device} device: they would share it.",
            do="Set side_by_side = auto, or device = cpu in the recipe.",
            device=device,
        )
    most = _most_by_cores(workspace, pending)
    if asked == "no":
        why = "As asked."
    elif len(pending) == 1:
        why = "There was one to train when this was decided."
    elif device != "cpu":
        why = f"They would share the one {device} device."
    elif most < 2:
        threads = _threads(workspace, pending)
        why = f"Two trainings of {threads} threads need more than {available_cores()} cores."
    elif asked == "auto" and pending[0].on_features:
        why = "Only the last layer is trained, on features that are computed once for all."
    else:
        return None
    return ClonesChoice(processes=1, why=why)


def decide(
    workspace: Workspace, pending: Sequence[Wanted], asked: Literal["auto", "yes", "no"], timing: Timing
) -> ClonesChoice:
    """Decides from a timed training; times some at the same time where that can be worth it.

    Raises:
        Cancelled: a person stopped it.
    """
    processes, threads = _most_by_cores(workspace, pending), _threads(workspace, pending)
    in_memory = _most_by_memory(timing)
    if in_memory < 2:
        why = f"Memory holds one training of {timing.memory_bytes / 1e9:.1f} GB."
        return ClonesChoice(processes=1, why=why)
    processes = min(processes, in_memory)
    if asked == "yes":
        return ClonesChoice(processes=processes, threads=threads, why="As asked.")
    if not worth_measuring(len(pending), timing):
        return ClonesChoice(
            processes=1, why=f"All take less than {WORTH_MEASURING_S:.0f} s one after the other."
        )
    together_s = time_together(workspace, pending[0], processes, threads, timing.choice)
    return _compared(len(pending), processes, threads, statistics.median(timing.batches_s), together_s)


def worth_measuring(clones: int, timing: Timing) -> bool:
    """Says whether clones one after the other may take so long that a measurement pays.

    The slowest of the timed batches counts: on a busy machine the next ones may all be like it, and a
    measurement too many costs seconds where a series taken for short can cost minutes.
    """
    return clones * timing.training_s(max(timing.batches_s)) >= WORTH_MEASURING_S


def rendered_timing(
    workspace: Workspace, wanted: Wanted, precision: PrecisionChoice | None = None, threads: int = 0
) -> Timing:
    """Times a training in this process on the rendered dataset.

    Args:
        workspace: the project.
        wanted: the training.
        precision: what "auto" came to before.
        threads: where the recipe leaves them open; 0 leaves them open too.
    """
    from darkroom.datasets import render
    from darkroom.training.timing import time_training

    recipe, counts = own_recipe(workspace, wanted.recipe), wanted.version.counts
    return time_training(
        render(workspace, wanted.version),
        recipe.model_copy(update={"threads": recipe.threads or threads}),
        wanted.seed,
        card_facts(workspace, wanted.version),
        wanted.start,
        train_count=counts.get("train", 0),
        val_count=counts.get("val", 0),
        choice=precision,
        should_stop=workspace.stop_requested.is_set,
    )


def time_together(
    workspace: Workspace, wanted: Wanted, processes: int, threads: int, choice: PrecisionChoice | None
) -> float | None:
    """Returns the seconds of a batch while several processes train at the same time; None if one failed.

    Raises:
        Cancelled: a person stopped it.
    """

    def show(board: Scoreboard) -> None:
        workspace.report("timing clones side by side")

    recipe = own_recipe(workspace, wanted.recipe)
    values = {
        **wanted.request,
        "recipe": recipe.model_copy(update={"threads": recipe.threads or threads}).model_dump(mode="json"),
        "precision": choice.precision if choice else "",
    }
    named = {f"measurement {number}": values for number in range(1, processes + 1)}
    results = run_together(workspace, time_one, named, processes, show)
    if any(isinstance(result, Failure) or result is None for result in results):
        return None
    return statistics.mean(results)


def time_one(
    place: WorkerPlace,
    *,
    dataset: str,
    recipe: Mapping[str, Any],
    seed: int,
    start_from: str | None,
    start_epoch: int,
    precision: str,
) -> float | None:
    """Times a batch in a process of the engine, while others do the same; None if one is missing."""
    from darkroom.datasets import render
    from darkroom.features import FeatureStore
    from darkroom.training.device import choose_device, reproducible
    from darkroom.training.stopwatch import TIMED, Stopwatch

    with place.entered() as (workspace, board), tempfile.TemporaryDirectory() as unused:
        chosen = Recipe.model_validate(recipe)
        wanted = wanted_run(
            workspace, dataset, chosen, seed, start_from=start_from, start_epoch=start_epoch
        )
        device, pictures = choose_device(chosen.device), render(workspace, wanted.version)
        facts, store = card_facts(workspace, wanted.version), FeatureStore(Path(unused))
        with reproducible(device, chosen.threads):
            watch = Stopwatch(
                *(pictures, own_recipe(workspace, chosen), seed, facts, device, store, wanted.start),
                precision=precision,
                should_stop=workspace.stop_requested.is_set,
            )
            if not board.wait_for_all(place.row, 1, MOST_WAIT_S):
                return None
            found = statistics.median(watch.train_s() for _ in range(TIMED))
            board.reach(place.row, 2)
            deadline = time.monotonic() + MOST_WAIT_S
            while not board.all_reached(2) and time.monotonic() < deadline:
                watch.train_s()  # the others are to find the cores as busy as this one did
            return found


def _compared(
    clones: int, processes: int, threads: int, alone_s: float, together_s: float | None
) -> ClonesChoice:
    """Returns the choice after a batch took so long alone, with all threads, and beside others."""
    if together_s is None:
        return ClonesChoice(processes=1, why="A process of the measurement failed.")
    gain = clones * alone_s / (math.ceil(clones / processes) * together_s)
    enough = gain >= FASTER
    words = f"{processes} at a time with {threads} thread{'s' if threads > 1 else ''} each"
    return ClonesChoice(
        processes=processes if enough else 1,
        threads=threads if enough else 0,
        alone_ms=alone_s * 1e3,
        together_ms=together_s * 1e3,
        why=f"{clones} clones, {words}, take 1/{gain:.2f} of the time that they take one after the other; "
        f"1/{FASTER} or less counts.",
    )


def _threads(workspace: Workspace, pending: Sequence[Wanted]) -> int:
    """Returns the threads of each of several trainings: what the recipe or the machine says, else one."""
    return own_recipe(workspace, pending[0].recipe).threads or 1


def _most_by_cores(workspace: Workspace, pending: Sequence[Wanted]) -> int:
    return min(len(pending), available_cores() // _threads(workspace, pending))


def _most_by_memory(timing: Timing) -> int:
    from darkroom.training.memory import available_bytes

    return int(MEMORY_SHARE * available_bytes() // timing.memory_bytes)
