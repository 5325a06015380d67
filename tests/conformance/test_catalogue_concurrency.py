"""The catalogue under several threads, several processes, and processes that are killed."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa

from darkroom.catalogue import Catalogue, schema
from darkroom.errors import Conflict
from darkroom.records import Split
from tests.conformance.examples import event, image, image_id, images, run

ROOT = Path(__file__).parents[2]


def appender(url: str, name: str, *, count: int, pictures: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.conformance.appender", url, name, str(count), str(pictures)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def acknowledged(said: str) -> dict[str, int]:
    """Reads what a process was told is written: key → sequence; a line cut short does not count."""
    whole = said[: said.rfind("\n") + 1]
    return {key: int(number) for key, _, number in (pair.partition("=") for pair in whole.split())}


def logged(catalogue: Catalogue) -> dict[str, int]:
    found: dict[str, int] = {}
    while page := catalogue.annotations.since(len(found)):
        found.update({one.key: one.sequence for one in page})
    return found


def test_four_processes_append_and_nothing_is_lost_or_out_of_order(
    catalogue: Catalogue, catalogue_url: str
) -> None:
    catalogue.images.add(images(5))
    processes = [appender(catalogue_url, f"p{number}", count=40, pictures=5) for number in range(4)]
    seen: list[int] = []
    while any(process.poll() is None for process in processes):
        # A reader that only ever reads on must never find that it passed an event by.
        seen += [one.sequence for one in catalogue.annotations.since(seen[-1] if seen else 0)]
        time.sleep(0.001)
    said = {}
    for process in processes:
        out, err = process.communicate()
        assert process.returncode == 0, err
        said.update(acknowledged(out))
    seen += [one.sequence for one in catalogue.annotations.since(seen[-1] if seen else 0)]
    assert seen == list(range(1, 4 * 40 * 3 + 1))
    assert logged(catalogue) == said
    view = list(catalogue.annotations.current("class"))
    assert catalogue.annotations.rebuild_current() == 5
    assert list(catalogue.annotations.current("class")) == view


def test_processes_may_all_be_the_first(catalogue_url: str) -> None:
    processes = [appender(catalogue_url, f"p{number}", count=0, pictures=1) for number in range(4)]
    for process in processes:
        _, err = process.communicate()
        assert process.returncode == 0, err
    with Catalogue.open(catalogue_url) as opened:
        assert opened.images.count() == 0


def test_a_killed_process_loses_nothing_that_was_acknowledged(
    catalogue: Catalogue, catalogue_url: str
) -> None:
    catalogue.images.add(images(5))
    dice = random.Random(3)
    said: dict[str, int] = {}
    for number in range(4):
        process = appender(catalogue_url, f"p{number}", count=100_000, pictures=5)
        assert process.stdout is not None
        first = process.stdout.readline()
        time.sleep(dice.uniform(0.01, 0.2))
        process.kill()
        rest, _ = process.communicate()
        said.update(acknowledged(first + rest))
    found = logged(catalogue)
    assert said.items() <= found.items()
    assert sorted(found.values()) == list(range(1, len(found) + 1))
    assert len(found) % 3 == 0, "a transaction was written in part"
    view = list(catalogue.annotations.current("class"))
    catalogue.annotations.rebuild_current()
    assert list(catalogue.annotations.current("class")) == view


def test_threads_share_one_catalogue(catalogue: Catalogue) -> None:
    catalogue.images.add(images(8))

    def label(thread: int) -> list[int]:
        sequences = []
        for number in range(15):
            sequences += [
                one.sequence for one in catalogue.annotations.append([event(number % 8, f"t{thread}")])
            ]
            assert catalogue.images.count() == 8
            assert len(list(catalogue.annotations.current("class"))) <= 8
        return sequences

    with ThreadPoolExecutor(6) as threads:
        sequences = [number for found in threads.map(label, range(6)) for number in found]
    assert sorted(sequences) == list(range(1, 91))


def test_a_reader_sees_one_state_however_much_others_write_meanwhile(catalogue: Catalogue) -> None:
    catalogue.images.add(images(3))
    count = sa.select(sa.func.count()).select_from(schema.images)
    with catalogue._database.read() as connection:
        assert connection.execute(count).scalar_one() == 3
        catalogue.images.add([image(number) for number in range(10, 15)])
        assert connection.execute(count).scalar_one() == 3
    assert catalogue.images.count() == 8


def test_of_two_people_who_saw_the_same_one_gets_a_conflict(catalogue: Catalogue) -> None:
    catalogue.images.add(images(20))
    start = threading.Barrier(2)

    def label(name: str) -> set[int]:
        won = set()
        for number in range(20):
            start.wait(timeout=30)
            try:
                catalogue.annotations.append([event(number, name, based_on=0)])
                won.add(number)
            except Conflict:
                pass
        return won

    with ThreadPoolExecutor(2) as threads:
        cats, dogs = threads.map(label, ("cat", "dog"))
    assert cats.isdisjoint(dogs)
    assert cats | dogs == set(range(20))


def test_of_two_that_take_up_one_run_only_one_does(catalogue: Catalogue) -> None:
    made = [catalogue.runs.create(run()) for _ in range(10)]
    start = threading.Barrier(2)

    def end(state: str) -> list[str]:
        won = []
        for one in made:
            start.wait(timeout=30)
            try:
                catalogue.runs.update(one.id, state=state)
                won.append(one.id)
            except Conflict:
                pass
        return won

    for one in made:
        catalogue.runs.update(one.id, state="running")
    with ThreadPoolExecutor(2) as threads:
        finished, failed = threads.map(end, ("finished", "failed"))
    assert sorted(finished + failed) == sorted(one.id for one in made)


def test_two_that_assign_the_same_keys_agree(catalogue: Catalogue) -> None:
    keys = [f"image:{image_id(number)}" for number in range(500)]
    splits: tuple[Split, ...] = ("train", "test")
    with ThreadPoolExecutor(2) as threads:
        answers = list(
            threads.map(lambda split: catalogue.splits.assign({key: split for key in keys}), splits)
        )
    assert answers[0] == answers[1]
    assert set(answers[0]) == set(keys)


def test_a_bulk_write_lets_a_labeller_through(catalogue: Catalogue) -> None:
    catalogue.images.add(images(10))
    started = threading.Event()

    def bulk() -> int:
        started.set()
        return catalogue.images.add(images(25_000))

    with ThreadPoolExecutor(1) as threads:
        adding = threads.submit(bulk)
        started.wait(timeout=30)
        saved = 0
        while not adding.done():
            catalogue.annotations.append([event(saved % 10, "cat")])
            saved += 1
        assert adding.result() == 24_990
    # A turn between two chunks at least; there are thirteen chunks.
    assert saved >= 6


def test_a_rebuild_of_the_view_lets_a_labeller_through_and_loses_nothing(catalogue: Catalogue) -> None:
    catalogue.images.add(images(2_500))
    catalogue.annotations.append(event(number, "cat") for number in range(2_500))
    started = threading.Event()

    def rebuild() -> int:
        started.set()
        return catalogue.annotations.rebuild_current()

    with ThreadPoolExecutor(1) as threads:
        rebuilding = threads.submit(rebuild)
        started.wait(timeout=30)
        saved = 0
        while not rebuilding.done():
            catalogue.annotations.append([event(saved % 10, "dog")])
            saved += 1
        assert rebuilding.result() == 2_500
    # A turn between two chunks at least; there are five chunks or so.
    assert saved >= 3
    assert catalogue.annotations.counts("class").labels == {
        "cat": 2_500 - min(saved, 10),
        "dog": min(saved, 10),
    }


@pytest.mark.parametrize("abandoned", [1, 6000])
def test_an_iterator_that_is_left_early_holds_nothing_up(catalogue: Catalogue, abandoned: int) -> None:
    catalogue.images.add(images(7000))
    ids = catalogue.images.ids()
    for _ in range(abandoned):
        next(ids)
    assert catalogue.images.add([image for image in images(7010)[7000:]]) == 10
    assert len(list(ids)) >= 7000 - abandoned
