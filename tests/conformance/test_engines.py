"""What every engine does: map over items, run a list of tasks."""

from __future__ import annotations

import itertools
import os
import pickle
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from darkroom.engines import Engine, Failure, Task, make_engine
from darkroom.engines.engine import ENGINES
from darkroom.errors import DarkroomError, InvalidConfig, InvalidImage
from darkroom.settings import Settings
from tests.engines import work

SIZES = (0, 1, 63, 64, 65, 500)
"""Lists below and above the length from which an engine may send work away."""


@pytest.fixture(params=sorted(ENGINES), scope="module")
def engine(request: pytest.FixtureRequest) -> Engine:
    return make_engine(Settings(engine=request.param, workers=2))


def alive(process: int) -> bool:
    """Says whether a process still runs; one that ended and was not yet waited for does not."""
    said = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(process)], capture_output=True, text=True, check=False
    )
    return said.stdout.strip()[:1] not in {"", "Z", "X"}


def gone(processes: list[int], within_s: float = 5.0) -> bool:
    deadline = time.monotonic() + within_s
    while any(alive(process) for process in processes):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("chunk", [None, 1, 7])
def test_results_come_in_the_order_of_the_items(engine: Engine, count: int, chunk: int | None) -> None:
    assert list(engine.map(work.uneven, range(count), chunk=chunk)) == list(range(count))


def test_items_may_come_from_an_iterator(engine: Engine) -> None:
    assert list(engine.map(work.double, iter(range(300)))) == [2 * number for number in range(300)]


def test_an_endless_list_is_taken_as_it_is_needed(engine: Engine) -> None:
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield number

    results = engine.map(work.double, endless(), chunk=10)
    assert list(itertools.islice(results, 100)) == [2 * number for number in range(100)]
    assert taken <= 300
    results.close()  # type: ignore[attr-defined]


def test_long_lists_leave_this_process_and_one_worker_stays(engine: Engine) -> None:
    away = set(engine.map(work.where, range(400), chunk=5))
    assert os.getpid() not in away
    assert set(engine.map(work.where, range(400), workers=1)) == {os.getpid()}


def test_arrays_and_callables_with_settings_travel(engine: Engine) -> None:
    for number, found in enumerate(engine.map(work.array, range(100))):
        assert isinstance(found, np.ndarray)
        assert found.shape == (50, 60, 3)
        assert (found == number).all()
    assert list(engine.map(work.Squared(5), range(100))) == [number**2 + 5 for number in range(100)]
    assert list(engine.map(partial(pow, 2), range(100))) == [2**number for number in range(100)]


@pytest.mark.parametrize("count", [10, 300])
def test_an_item_that_fails_comes_back_as_a_failure(engine: Engine, count: int) -> None:
    for number, found in enumerate(engine.map(work.odd_fails, range(count))):
        if number % 2 == 0:
            assert found == number
            continue
        assert isinstance(found, Failure)
        assert found.item == number
        assert isinstance(found.error, InvalidImage)
        assert found.error.as_dict() == {
            "error": f"Picture {number} is odd.",
            "kind": "InvalidImage",
            "id": "image.odd",
            "hint": "Count it.",
        }
        assert "odd_fails" in found.trace


@pytest.mark.parametrize(
    ("function", "says"), [(work.fails_unfriendly, "this and that"), (work.gives_a_lock, "lock")]
)
def test_what_cannot_travel_back_is_a_failure_in_words(engine: Engine, function: object, says: str) -> None:
    found = list(engine.map(function, range(200), chunk=10))  # type: ignore[arg-type]
    assert found[:70] == list(range(70))
    assert found[71:] == list(range(71, 200))
    assert isinstance(found[70], Failure)
    assert says in str(found[70].error)


@pytest.mark.parametrize("count", [10, 300])
def test_a_function_that_another_process_cannot_import_is_refused_at_once(
    engine: Engine, count: int
) -> None:
    with pytest.raises(DarkroomError, match="another process"):
        engine.map(lambda number: number, range(count))


def test_an_item_that_cannot_travel_is_refused(engine: Engine) -> None:
    with pytest.raises(DarkroomError, match="sent to another process"):
        list(engine.map(work.where, (number for number in [*range(100), threading.Lock()])))


def test_an_error_of_the_callers_own_list_is_the_callers(engine: Engine) -> None:
    def broken() -> Iterator[int]:
        yield from range(200)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        list(engine.map(work.double, broken()))


@pytest.mark.parametrize(
    ("function", "how"), [(work.dies, "SIGKILL"), (work.leaves, "exit code 0")], ids=["killed", "left"]
)
def test_a_worker_that_dies_is_an_error_that_says_where(engine: Engine, function: object, how: str) -> None:
    with pytest.raises(DarkroomError, match=f"died .*{how}.* at 70 or one of the 6") as refused:
        list(engine.map(function, range(300), chunk=7))  # type: ignore[arg-type]
    assert "DARKROOM_WORKERS" in refused.value.hint
    assert list(engine.map(work.double, range(100))) == [2 * number for number in range(100)]


@pytest.mark.parametrize("count", [10, 300])
@pytest.mark.parametrize("sized", [True, False])
def test_progress_is_told_up_to_the_end(engine: Engine, count: int, sized: bool) -> None:
    told: list[tuple[int, int | None]] = []
    items = range(count) if sized else iter(range(count))
    list(engine.map(work.double, items, on_done=lambda done, total: told.append((done, total))))
    assert told == sorted(set(told))
    assert told[-1][0] == count
    assert {total for _, total in told} == {count if sized else None}


def test_leaving_early_ends_the_work(engine: Engine, tmp_path: Path) -> None:
    results = engine.map(work.sleeps, itertools.chain([0.0], itertools.repeat(30.0, 200)), chunk=1)
    assert next(iter(results)) == 0.0
    began = time.monotonic()
    results.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 5
    assert list(engine.map(work.double, range(100))) == [2 * number for number in range(100)]


def test_an_error_of_the_caller_ends_the_work(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError):
        for _ in engine.map(work.sleeps, [0.0] * 10 + [30.0] * 90, chunk=5):
            raise ZeroDivisionError
    began = time.monotonic()
    assert list(engine.map(work.double, range(100))) == [2 * number for number in range(100)]
    assert time.monotonic() - began < 10


def test_workers_do_not_crowd_each_other_with_threads(engine: Engine) -> None:
    assert set(engine.map(work.threads_of_libraries, range(100))) == {"1"}


def test_what_a_library_prints_does_not_reach_standard_output(
    engine: Engine, capfd: pytest.CaptureFixture[str]
) -> None:
    assert len(list(engine.map(work.chatters, range(100)))) == 100
    assert capfd.readouterr().out == ""


def test_maps_may_run_side_by_side(engine: Engine) -> None:
    first, second = engine.map(work.double, range(500)), engine.map(work.uneven, range(500))
    assert list(zip(first, second, strict=True)) == [(2 * number, number) for number in range(500)]


def tasks(count: int) -> list[Task]:
    # The last is the quickest, so that they end in another order than they began.
    return [
        Task(f"task {number}", work.task, {"value": number, "seconds": 0.05 * (count - number)})
        for number in range(count)
    ]


@pytest.mark.parametrize("workers", [1, 2, 9])
@pytest.mark.parametrize("count", [0, 1, 4])
def test_tasks_give_their_results_in_order(engine: Engine, workers: int, count: int) -> None:
    told: list[tuple[int, int | None]] = []
    results = engine.run(tasks(count), workers=workers, on_done=lambda *done: told.append(done))
    assert results == list(range(count))
    assert told == [(done, count) for done in range(1, count + 1)]


def test_one_worker_is_this_process_and_several_are_not(engine: Engine) -> None:
    where = [Task("where", work.task_process, {})] * 3
    assert set(engine.run(where)) == {os.getpid()}
    assert os.getpid() not in engine.run(where, workers=2)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_fails_raises_what_it_raised(engine: Engine, workers: int) -> None:
    mixed = [
        *tasks(1),
        Task("bad", work.task_fails, {"why": "no luck"}),
        Task("slow", work.sleeps, {"seconds": 30}),
    ]
    began = time.monotonic()
    with pytest.raises(ValueError, match="no luck"):
        engine.run(mixed, workers=workers)
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("workers", [1, 2])
def test_the_others_go_on_when_asked_to(engine: Engine, workers: int) -> None:
    mixed = [Task("bad", work.task_fails, {"why": "no luck"}), *tasks(2)]
    bad, *good = engine.run(mixed, workers=workers, keep_going=True)
    assert good == [0, 1]
    assert isinstance(bad, Failure)
    assert bad.item.name == "bad"
    assert str(bad.error) == "no luck"
    assert "task_fails" in bad.trace


def test_a_task_whose_process_dies_fails_alone_when_asked_to(engine: Engine) -> None:
    bad, good = engine.run([Task("dies", work.task_dies, {}), *tasks(1)], workers=2, keep_going=True)
    assert good == 0
    assert isinstance(bad, Failure)
    assert "SIGKILL" in str(bad.error)
    with pytest.raises(DarkroomError, match="died"):
        engine.run([Task("dies", work.task_dies, {}), *tasks(1)], workers=2)


def test_a_failure_can_be_sent_on(engine: Engine) -> None:
    (failure,) = engine.map(work.odd_fails, [1])
    assert isinstance(failure, Failure)
    again = pickle.loads(pickle.dumps(failure))
    assert str(again.error) == str(failure.error)


def test_an_unknown_engine_names_those_that_are_there() -> None:
    with pytest.raises(InvalidConfig, match='Did you mean "local"'):
        make_engine(Settings(engine="lokal"))
