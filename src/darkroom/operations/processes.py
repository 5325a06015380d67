"""Train one run in several processes that share every batch: one per GPU, or a few on a processor."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darkroom.errors import DarkroomError, InvalidConfig, Unsupported
from darkroom.operations.run_making import OnProgress, Wanted, train_here, wanted_run
from darkroom.operations.scoreboard import Scoreboard
from darkroom.operations.together import WorkerPlace, run_together
from darkroom.training import Recipe, TrainOutcome
from darkroom.training.plan import Plan
from darkroom.workspace import Workspace

__all__ = ["train_in_processes", "train_part", "useful_processes"]

STATE = "resume.safetensors"
SAID = "progress.jsonl"
LAST_WORD_S = 5.0
"""A process that lost another waits this long before it says so: what ended the other is the better word,
and whoever hears it first ends this one."""


def useful_processes(wanted: Wanted, asked: int) -> int:
    """Returns how many processes train a run together.

    Under torchrun, whose first process alone runs the command, there are as many as it was asked for.

    Args:
        wanted: the run.
        asked: how many; 0 for one per GPU.

    Raises:
        Unsupported: there are not that many GPUs, or the device cannot be shared; or several machines.
        InvalidConfig: a batch has fewer pictures than there are processes, or they have nothing to share.
    """
    if wanted.on_features and asked > 1:
        raise InvalidConfig(
            "processes.without-effect",
            "processes = {asked} has no effect with train_layers = last, which trains in seconds on "
            "features that are computed once.",
            do="Leave processes out, or set train_layers = all.",
            asked=asked,
        )
    asked = _of_torchrun() if asked == 1 else asked
    if asked == 1 or wanted.on_features:
        return 1
    from darkroom.training.device import choose_device, device_count

    device = choose_device(wanted.recipe.device).type
    there = device_count(device)
    asked = asked or there
    if device != "cpu" and asked > there:
        raise Unsupported(
            "processes.too-few-gpus",
            "Each process needs a GPU of its own. Here: {there} of {device}. Received: processes = "
            "{asked}.",
            do="Set processes to {there}; or device = cpu in the recipe.",
            there=there,
            device=device,
            asked=asked,
        )
    if asked > wanted.recipe.batch_size:
        raise InvalidConfig(
            "processes.more-than-pictures",
            "processes = {asked} share a batch of {size} pictures: some would have none.",
            do="Set processes to {size} or less, or a larger batch_size in the recipe.",
            asked=asked,
            size=wanted.recipe.batch_size,
        )
    return asked


def train_in_processes(
    workspace: Workspace,
    wanted: Wanted,
    run: str,
    plan: Plan,
    processes: int,
    show: OnProgress,
) -> TrainOutcome:
    """Trains a run in several processes of the engine; the first of them writes. This one watches.

    When one of them dies, or fails, the others are ended: they would wait for it for ever.

    Raises:
        Cancelled: a person stopped it; it goes on from the last saved epoch.
        DarkroomError: what went wrong, or how a process died.
    """
    with tempfile.TemporaryDirectory(prefix="darkroom-processes-") as folder:
        said = _Said(Path(folder) / SAID, show)
        values = {
            "request": wanted.request,
            "run": run,
            "plan": plan.model_dump(mode="json"),
            "size": processes,
            "folder": folder,
        }
        calls = {f"{run}, process {rank}": {**values, "rank": rank} for rank in range(processes)}
        outcomes = run_together(workspace, train_part, calls, processes, said.pass_on, keep_going=False)
        said.pass_on()
    return outcomes[0]


def train_part(
    place: WorkerPlace,
    *,
    request: Mapping[str, Any],
    run: str,
    plan: Mapping[str, Any],
    rank: int,
    size: int,
    folder: str,
) -> TrainOutcome:
    """Trains a run as one of several processes, in a process of the engine.

    All but the first write into a folder of their own that is thrown away.
    """
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # read when torch is loaded; its warning is meant
    from darkroom.training.device import choose_device
    from darkroom.training.distributed import joined, lost_another

    with place.entered() as (workspace, _):
        wanted = wanted_run(workspace, **{**request, "recipe": Recipe.model_validate(request["recipe"])})
        device = choose_device(wanted.recipe.device).type
        own = None if rank == 0 else _own_folder(workspace.runs_folder / run, Path(folder) / str(rank))
        try:
            with joined(rank, size, Path(folder) / "meeting", device) as team:
                return train_here(
                    workspace,
                    wanted,
                    run,
                    Plan.model_validate(plan),
                    folder=own,
                    on_progress=_teller(Path(folder) / SAID) if rank == 0 else None,
                    # One process hears that all are to stop; it ends, and with it the others.
                    should_stop=workspace.stop_requested.is_set if rank == 0 else None,
                    team=team,
                )
        except RuntimeError as error:
            if not lost_another(error):
                raise
            time.sleep(LAST_WORD_S)
            raise DarkroomError(
                "training.process-lost",
                "Run {run} was trained by {size} processes, and one of them is gone.",
                do="Run the same command again: it goes on from the last saved epoch. Where memory ran "
                "out, take fewer processes or a smaller batch_size.",
                run=run,
                size=size,
            ) from error


class _Said:
    """What the first process says about its progress, line by line in a file, for a person.

    Args:
        path: the file.
        show: told of each line.
    """

    def __init__(self, path: Path, show: OnProgress) -> None:
        self._path, self._show, self._read = path, show, 0

    def pass_on(self, board: Scoreboard | None = None) -> None:
        """Shows what was said since the last time; the board does not matter."""
        if not self._path.is_file():
            return
        with self._path.open("rb") as file:
            file.seek(self._read)
            news = file.read()
        whole = news[: news.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._show(*json.loads(line))


def _teller(path: Path) -> OnProgress:
    def tell(done: int, total: int, figures: Mapping[str, Any]) -> None:
        line = json.dumps([done, total, {name: figures[name] for name in figures}], default=dict)
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    return tell


def _own_folder(run: Path, folder: Path) -> Path:
    """Makes a folder for a process that does not write, from where it goes on as the first one does."""
    folder.mkdir()
    if (run / STATE).exists():
        (folder / STATE).write_bytes((run / STATE).read_bytes())
    return folder


def _of_torchrun() -> int:
    """Returns how many processes torchrun started for this command; 1 without it.

    Raises:
        Unsupported: they are on several machines.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return 1
    here, everywhere = (int(os.environ.get(name, "1")) for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE"))
    if here != everywhere:
        raise Unsupported(
            "processes.several-machines",
            "torchrun was started on several machines, and a run is trained on one.",
            do="Start it on one machine: torchrun --nproc-per-node {here} -m darkroom …",
            here=here,
        )
    return here
