"""The interface that every engine answers, and the table of engines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any, NamedTuple, Protocol, TypeVar

from darkroom.errors import InvalidConfig, among
from darkroom.settings import Settings

__all__ = ["ENGINES", "Engine", "Failure", "OnDone", "Task", "make_engine"]

T = TypeVar("T")
R = TypeVar("R")

OnDone = Callable[[int, int | None], None]
"""Told how many are done and how many there are, None while nobody knows."""


class Failure(NamedTuple):
    """An item or a task that failed; the others went on."""

    item: Any
    """The item, or the task."""
    error: Exception
    """What it raised."""
    trace: str = ""
    """Its traceback as text; it may come from another process."""


class Task(NamedTuple):
    """A call to be made, perhaps in another process."""

    name: str
    """What a person calls it, for messages."""
    function: Callable[..., Any]
    """An importable function."""
    arguments: Mapping[str, Any]
    """Its keyword arguments."""


class Engine(Protocol):
    """Runs functions over many items. Functions are importable: defined at the top of a module."""

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        workers: int | None = None,
        chunk: int | None = None,
        on_done: OnDone | None = None,
    ) -> Iterator[R | Failure]:
        """Calls a function for each item and gives the results in the order of the items.

        Items are taken as they are needed, so memory stays bounded. An item whose call raises comes
        back as a `Failure`. Closing the iterator stops the work.

        Args:
            function: an importable function of one argument.
            items: what to call it with; picklable.
            workers: how many processes; the engine's own number when not given, 1: this process.
            chunk: items sent to a process at a time.
            on_done: told after each chunk, and at the end.

        Raises:
            DarkroomError: a worker process died.
            Invalid: the function cannot be imported by another process.
        """
        ...

    def run(
        self,
        tasks: Sequence[Task],
        *,
        workers: int = 1,
        on_done: OnDone | None = None,
        keep_going: bool = False,
    ) -> list[Any]:
        """Runs tasks and returns their results in the order of the tasks.

        Args:
            tasks: what to run.
            workers: how many at a time; 1: one after the other in this process.
            on_done: told after each task.
            keep_going: give a `Failure` in the place of a task that raised, and run the others;
                otherwise what it raised is raised, and tasks not yet done are given up.
        """
        ...


ENGINES: dict[str, str] = {"local": "darkroom.engines.local:LocalEngine"}
"""Name of an engine → where its class is; it is called with the settings."""


def make_engine(settings: Settings) -> Engine:
    """Makes the engine that the settings name.

    Raises:
        InvalidConfig: no engine has that name.
    """
    place = ENGINES.get(settings.engine)
    if place is None:
        raise InvalidConfig(
            "engine.unknown",
            'No engine "{name}". Known: {known}.{nearest}',
            do="Set DARKROOM_ENGINE to one of them.",
            **among(settings.engine, ENGINES),
        )
    module, _, name = place.partition(":")
    return getattr(import_module(module), name)(settings)
