"""Run a function several times at once, in processes of the engine that stop when they are asked to."""

from __future__ import annotations

import signal
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from darkroom.engines import Task
from darkroom.errors import Cancelled
from darkroom.operations.scoreboard import Scoreboard
from darkroom.settings import Settings
from darkroom.workspace import Progress, Workspace

__all__ = ["WorkerPlace", "run_together"]

LOOK_S = 0.25
HEARD_S = 0.05


class WorkerPlace(NamedTuple):
    """Where a process of the engine finds its project and its row of the scoreboard."""

    root: str
    settings: Settings
    board: str
    row: int

    @contextmanager
    def entered(self) -> Iterator[tuple[Workspace, Scoreboard]]:
        """Opens the project in a worker process, whose training stops politely when it is asked to.

        It is asked by SIGTERM, which reaches the whole group of a job, or by way of the scoreboard.
        """
        stop, over, board = threading.Event(), threading.Event(), Scoreboard(Path(self.board))

        def hear() -> None:
            while not over.wait(HEARD_S):
                if board.stopped:
                    stop.set()

        def note(report: Progress) -> None:
            if "epoch" in report.metrics:
                board.note(self.row, report.done, report.total or 0, report.metrics["epoch"])

        before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
        listener = threading.Thread(target=hear, daemon=True)
        listener.start()
        try:
            with Workspace(Path(self.root), settings=self.settings, listener=note) as workspace:
                workspace.stop_requested = stop
                yield workspace, board
        finally:
            over.set()
            listener.join()
            signal.signal(signal.SIGTERM, before)


def run_together(
    workspace: Workspace,
    function: Callable[..., Any],
    calls: Mapping[str, Mapping[str, Any]],
    processes: int,
    show: Callable[[Scoreboard], None],
    *,
    keep_going: bool = True,
) -> list[Any]:
    """Calls a function in processes of the engine, and waits for all of them, whatever happens to one.

    Args:
        workspace: the project.
        function: an importable function that takes a `WorkerPlace`, and keywords.
        calls: the keywords of each call, by what a person calls it.
        processes: calls at a time.
        show: told a few times a second how far they are.
        keep_going: whether the others go on when one fails; else they are ended, and its error is raised.

    Returns:
        The results in the order of the calls; a `Failure` in the place of one that failed.

    Raises:
        Cancelled: a person stopped it; all have stopped politely.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "board"
        board = Scoreboard.make(path, len(calls))
        tasks = [
            Task(
                name,
                function,
                {"place": WorkerPlace(str(workspace.root), workspace.settings, str(path), row), **values},
            )
            for row, (name, values) in enumerate(calls.items())
        ]
        return _watched(workspace, tasks, processes, board, show, keep_going=keep_going)


def _watched(
    workspace: Workspace,
    tasks: list[Task],
    processes: int,
    board: Scoreboard,
    show: Callable[[Scoreboard], None],
    *,
    keep_going: bool,
) -> list[Any]:
    pool = ThreadPoolExecutor(1, thread_name_prefix="darkroom-together")
    running = pool.submit(workspace.engine.run, tasks, workers=processes, keep_going=keep_going)
    try:
        while not running.done():
            wait([running], timeout=LOOK_S)
            if workspace.stop_requested.is_set():
                board.stop()
            show(board)
    except BaseException:  # Ctrl-C above all: it must not leave trainings behind that nobody sees
        board.stop()
        wait([running])
        raise
    finally:
        pool.shutdown(wait=False)
    if workspace.stop_requested.is_set() and keep_going:
        raise Cancelled(
            "clone.cancelled",
            "The clones were stopped.",
            do="The same command goes on with each from its last saved epoch.",
        )
    return running.result()
