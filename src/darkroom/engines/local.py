"""The engine of one machine: worker processes for long lists, this process for short ones."""

from __future__ import annotations

import pickle
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from functools import partial
from itertools import chain, islice
from typing import Any, TypeVar

from darkroom.engines.crew import Crew, Shift
from darkroom.engines.engine import Failure, OnDone, Task
from darkroom.engines.worker import PROTOCOL, Raised, attempt
from darkroom.errors import DarkroomError, Invalid
from darkroom.settings import Settings, available_cores

__all__ = ["LocalEngine"]

T = TypeVar("T")
R = TypeVar("R")

INLINE_ITEMS = 64
"""Shorter lists than this run in this process: starting workers takes about 0.3 s."""

LARGEST_CHUNK = 64
CHUNKS_PER_WORKER = 8
CHUNKS_AHEAD = 3
"""Chunks in hand per worker: one at work, two that wait while the caller is busy with results."""


class LocalEngine:
    """Runs on this machine's cores. Safe to use from threads."""

    def __init__(self, settings: Settings) -> None:
        self._workers = settings.worker_count
        # Workers share the cores; each with a pool of threads of its own would be slower.
        self._crew = Crew(_threads(1))
        weakref.finalize(self, self._crew.end)

    def map(
        self,
        function: Callable[[T], R],
        items: Iterable[T],
        *,
        workers: int | None = None,
        chunk: int | None = None,
        on_done: OnDone | None = None,
    ) -> Iterator[R | Failure]:
        """See `Engine.map`. Lists of fewer than 64 items run in this process."""
        blob = _function_blob(function)
        count = self._workers if workers is None else workers
        total = len(items) if isinstance(items, Sized) else None
        rest = iter(items)
        first = list(islice(rest, INLINE_ITEMS))
        every = chain(first, rest)
        if count <= 1 or len(first) < INLINE_ITEMS:
            return _map_here(function, every, total, on_done)
        size = chunk or _chunk_size(total, count)
        return self._map_there(blob, _chunks(every, size), count, total, on_done)

    def run(
        self,
        tasks: Sequence[Task],
        *,
        workers: int = 1,
        on_done: OnDone | None = None,
        keep_going: bool = False,
    ) -> list[Any]:
        """See `Engine.run`. Each of several workers has its share of the cores as threads."""
        count = min(workers, len(tasks))
        results: list[Any] = [None] * len(tasks)
        finished = _run_here(tasks) if count <= 1 else _run_there(tasks, count)
        for done, (place, result) in enumerate(finished, start=1):
            if isinstance(result, Raised):
                if not keep_going:
                    finished.close()
                    raise _remembering(result)
                result = Failure(tasks[place], *result)
            results[place] = result
            if on_done is not None:
                on_done(done, len(tasks))
        return results

    def _map_there(
        self,
        function: bytes,
        chunks: Iterator[list[Any]],
        count: int,
        total: int | None,
        on_done: OnDone | None,
    ) -> Iterator[Any]:
        shift, done = Shift(), 0
        threads = ThreadPoolExecutor(count, thread_name_prefix="darkroom-map")
        ahead: deque[tuple[list[Any], Future[list[Any]]]] = deque()
        try:
            while True:
                for items in islice(chunks, count * CHUNKS_AHEAD - len(ahead)):
                    ahead.append((items, threads.submit(self._crew.compute, function, items, shift)))
                if not ahead:
                    return
                items, future = ahead.popleft()
                for item, result in zip(items, future.result(), strict=True):
                    yield Failure(item, *result) if isinstance(result, Raised) else result
                done += len(items)
                if on_done is not None:
                    on_done(done, total)
        finally:
            shift.end()
            threads.shutdown(wait=True, cancel_futures=True)


def _map_here(
    function: Callable[[Any], Any], items: Iterable[Any], total: int | None, on_done: OnDone | None
) -> Iterator[Any]:
    for done, item in enumerate(items, start=1):
        result = attempt(function, item)
        yield Failure(item, *result) if isinstance(result, Raised) else result
        if on_done is not None:
            on_done(done, total)


def _run_here(tasks: Sequence[Task]) -> Generator[tuple[int, Any], None, None]:
    for place, task in enumerate(tasks):
        yield place, attempt(_call, task)


def _run_there(tasks: Sequence[Task], count: int) -> Generator[tuple[int, Any], None, None]:
    crew, shift = Crew(_threads(max(1, available_cores() // count))), Shift()
    function = _function_blob(_call)
    threads = ThreadPoolExecutor(count, thread_name_prefix="darkroom-run")
    try:
        futures = {
            threads.submit(crew.compute, function, [task], shift): place for place, task in enumerate(tasks)
        }
        for future in as_completed(futures):
            try:
                result = future.result()[0]
            except DarkroomError as error:
                result = Raised(error, "")
            yield futures[future], result
    finally:
        shift.end()
        threads.shutdown(wait=True, cancel_futures=True)
        crew.end()


def _call(task: Task) -> Any:
    return task.function(**task.arguments)


class _Elsewhere(Exception):
    """The traceback of an error from a worker process, as its cause."""


def _remembering(raised: Raised) -> Exception:
    error = raised.error
    if error.__traceback__ is None:
        error.__cause__ = _Elsewhere(f"\n{raised.trace}")
    return error


def _function_blob(function: Callable[..., Any]) -> bytes:
    """Pickles a function by its name; one that another process could not import is refused at once."""
    inner: Any = function
    while isinstance(inner, partial):
        inner = inner.func
    name = f"{getattr(inner, '__module__', '')}.{getattr(inner, '__qualname__', inner)}"
    try:
        if name.startswith("__main__."):
            raise pickle.PicklingError("it is defined in the script itself")
        return pickle.dumps(function, PROTOCOL)
    except Exception as error:
        raise Invalid(
            "engine.function-not-importable",
            "{name} cannot run in another process: {why}.",
            do="Define it at the top of a module that can be imported.",
            name=name,
            why=str(error).rstrip("."),
        ) from error


def _chunk_size(total: int | None, workers: int) -> int:
    """Small enough to share the end of the work out evenly, large enough to be worth sending."""
    if total is None:
        return 16
    return max(1, min(LARGEST_CHUNK, total // (workers * CHUNKS_PER_WORKER)))


def _chunks(items: Iterator[T], size: int) -> Iterator[list[T]]:
    while chunk := list(islice(items, size)):
        yield chunk


def _threads(count: int) -> dict[str, str]:
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    return dict.fromkeys(names, str(count))
