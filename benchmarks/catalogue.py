"""Times the catalogue under people: labels saved while others save and import, pages of a large project."""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from darkroom.catalogue import Catalogue
from darkroom.catalogue.images import IMAGE_SORTS, ImageFilter
from darkroom.errors import DarkroomError, Locked
from darkroom.records import (
    AnnotationEvent,
    Author,
    CameraFacts,
    ClassLabel,
    Image,
    Location,
    Source,
    Split,
    new_ulid,
    now,
)

GAP_S = 0.5
"""Mean time between two labels of one client: two a second, a busy person at a keyboard."""

RUN_S = 30.0
IMPORTED = 1_000_000
"""Numbers of pictures that an import brings are larger than this."""

CLASSES = tuple(f"class {number}" for number in range(10))
SPLITS: tuple[Split, ...] = ("train", "train", "train", "val", "test")
BATCH = 500  # as a scan of a folder hands pictures over


def main() -> None:
    options = arguments()
    if options.work:
        {"client": client, "importer": importer}[options.work](options)
        return
    with ExitStack() as stack:
        url = stack.enter_context(postgres() if options.postgres else sqlite(options.folder))
        kind = "postgres" if options.postgres else "sqlite"
        began = time.perf_counter()
        fill(url, options.images)
        note(options, f"{kind}.fill", time.perf_counter() - began, None, unit="s", images=options.images)
        pages(options, url, kind)
        people(options, url, f"{kind}.clients-{options.clients}", gap_s=GAP_S, bar_p95=100)
        people(options, url, f"{kind}.clients-{options.clients}-flat-out", gap_s=0, seconds=RUN_S / 3)
        name = f"{kind}.writers-3-during-import"
        during_import(options, url, name, gap_s=GAP_S, bar_p95=150, bar_max=500)
        during_import(options, url, f"{name}-flat-out", gap_s=0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="one object per line")
    parser.add_argument("--images", type=int, default=500_000)
    parser.add_argument("--rows", type=int, default=300_000, help="pictures, places and labels imported")
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=RUN_S)
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL from its wheel")
    parser.add_argument("--folder", type=Path, help="keep SQLite's file here, and use it again")
    # How this script calls itself as one of its processes.
    parser.add_argument("--work", choices=("client", "importer"), help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--name", help=argparse.SUPPRESS)
    parser.add_argument("--gap", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


def people(
    options: argparse.Namespace,
    url: str,
    name: str,
    *,
    gap_s: float,
    bar_p95: float | None = None,
    seconds: float | None = None,
) -> None:
    """Lets clients save labels at one pace, and tells how long each waited for its acknowledgement."""
    lasts_s: float = seconds or options.seconds
    clients = [start("client", options, url, f"{name}-{n}", gap_s) for n in range(options.clients)]
    go(clients)
    time.sleep(lasts_s)
    for one in clients:
        tell(one)
    tell_acks(options, name, [finish(one) for one in clients], lasts_s, bar_p95=bar_p95)


def during_import(
    options: argparse.Namespace,
    url: str,
    name: str,
    *,
    gap_s: float,
    bar_p95: float | None = None,
    bar_max: float | None = None,
) -> None:
    """Lets three clients save labels while another process imports pictures with places and labels."""
    bulk = start("importer", options, url, name, gap_s)
    clients = [start("client", options, url, f"{name}-{n}", gap_s) for n in range(3)]
    go([bulk, *clients])
    began = time.perf_counter()
    bulk.wait()
    took = time.perf_counter() - began
    for one in clients:
        tell(one)
    said = [finish(one) for one in clients]
    note(options, f"{name}.import", took, None, unit="s", rows=options.rows, failed=bulk.returncode != 0)
    tell_acks(options, name, said, took, bar_p95=bar_p95, bar_max=bar_max)


def tell_acks(
    options: argparse.Namespace,
    name: str,
    said: list[dict[str, list[float]]],
    seconds: float,
    *,
    bar_p95: float | None = None,
    bar_max: float | None = None,
) -> None:
    acks = sorted(ack for one in said for ack in one["acks_ms"])
    facts = {"labels": len(acks), "labels_per_s": round(len(acks) / seconds, 1)}
    note(options, f"{name}.ack-p50", statistics.median(acks), None, **facts)
    note(options, f"{name}.ack-p95", percentile(acks, 0.95), bar_p95)
    note(options, f"{name}.ack-p99", percentile(acks, 0.99), None)
    note(options, f"{name}.ack-max", acks[-1], bar_max)
    slowest = max(percentile(sorted(one["acks_ms"]), 0.95) for one in said)
    note(options, f"{name}.ack-p95-of-the-slowest-client", slowest, None)
    note(options, f"{name}.refused", sum(len(one["refused"]) for one in said), 0, unit="")


def pages(options: argparse.Namespace, url: str, kind: str) -> None:
    """Reads pages of 100 in every sort, without and with filters, at the start and deep inside."""
    filters = {
        "all": ImageFilter(),
        "source": ImageFilter(source="s-2"),
        "label": ImageFilter(label=CLASSES[3]),
        "last-label": ImageFilter(label="rare at the end"),
        "state": ImageFilter(state="unlabelled"),
        "split": ImageFilter(split="test"),
        "split+label": ImageFilter(split="val", label=CLASSES[9]),
        "field": ImageFilter(split="field"),
    }
    plain: list[float] = []
    worst: dict[str, float] = {}
    with Catalogue.open(url) as catalogue:
        for sort in [f"{sign}{name}" for sign in ("", "-") for name in IMAGE_SORTS]:
            for name, where in filters.items():
                took = walk(catalogue, sort, where)
                if name == "all":
                    plain += took
                worst[f"{sort} {name}"] = percentile(sorted(took), 0.95)
    note(options, f"{kind}.page-p95", percentile(sorted(plain), 0.95), 10, pages=len(plain))
    slowest = max(worst, key=lambda key: worst[key])
    note(options, f"{kind}.page-worst-sort-and-filter", worst[slowest], 150, which=slowest)
    for name in filters:
        mine = {key: took for key, took in worst.items() if key.endswith(f" {name}")}
        which = max(mine, key=lambda key: mine[key])
        note(options, f"{kind}.page-filter-{name}", mine[which], 150, which=which)


def walk(catalogue: Catalogue, sort: str, where: ImageFilter) -> list[float]:
    """Returns the times of ten pages of 100, every second one after a leap of 5,000 pictures."""
    took: list[float] = []
    after = None
    for _ in range(5):
        for _ in range(2):
            began = time.perf_counter()
            page = catalogue.images.page(after=after, limit=100, sort=sort, where=where)
            took.append((time.perf_counter() - began) * 1000)
            if page.next is None:
                return took
            after = page.next
        # A leap that is not timed.
        after = catalogue.images.page(after=after, limit=5000, sort=sort, where=where).next
        if after is None:
            return took
    return took


def fill(url: str, count: int) -> None:
    """Makes a project of two sources, half of whose pictures have a label, and all a split."""
    with Catalogue.open(url, create=True) as catalogue:
        if catalogue.images.count() >= count:
            return
        for path in ("../first", "../second"):
            catalogue.sources.add(source(catalogue.sources.new_id(), path))
        half = count // 2
        for begin, source_id in ((0, "s-1"), (half, "s-2")):
            numbers = range(begin, begin + half)
            catalogue.images.add(map(picture, numbers), (place(n, source_id) for n in numbers))
        catalogue.annotations.append(event(n, CLASSES[n * 10 // half], "import") for n in range(half))
        last = range(count - 50, count)
        catalogue.annotations.append(event(n, "rare at the end", "import") for n in last)
        catalogue.splits.assign({f"image:{image_id(n)}": split_of(n) for n in range(count)})


def split_of(number: int) -> Split:
    return "field" if number % 5000 == 1 else SPLITS[random.Random(number).randrange(5)]


def image_id(number: int) -> str:
    return hashlib.sha256(b"%d" % number).hexdigest()


def picture(number: int) -> Image:
    """Returns a picture whose size goes with its number: the hardest case for a filter by label."""
    taken = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=number) if number % 3 else None
    return Image(
        id=image_id(number),
        width_px=640 + number // 100,
        height_px=480 + number % 3000,
        mode="RGB",
        format="JPEG",
        size_bytes=50_000 + number * 7919 % 900_000,
        origin="benchmark",
        licence="CC0",
        collector="nobody",
        collected_at=now(),
        camera=CameraFacts(taken_at=taken, device="a camera"),
        metadata={"camera": "b"},
    )


def place(number: int, source_id: str) -> Location:
    return Location(
        image_id=image_id(number),
        source_id=source_id,
        path=f"{number // 1000:04d}/{number:08d}.jpg",
        size_bytes=50_000,
        mtime_ns=number,
    )


def event(number: int, label: str, author: str) -> AnnotationEvent:
    new = new_ulid()
    return AnnotationEvent(
        id=new,
        key=f"{author}-{new}",
        image_id=image_id(number),
        slot="class",
        value=ClassLabel(label=label),
        author=Author(kind="import" if author == "import" else "person", name=author),
        at=now(),
    )


def source(source_id: str, path: str) -> Source:
    return Source(id=source_id, kind="folder", path=path, format="class-folders", added_at=now())


def client(options: argparse.Namespace) -> None:
    """A person who saves labels until told to stop; an acknowledgement is the return of the call."""
    dice = random.Random(options.name)
    acks, refused = [], []
    with Catalogue.open(options.url) as catalogue:
        save = saver(catalogue)
        stop = ready()
        while not stop():
            if options.gap:
                time.sleep(min(dice.expovariate(1 / options.gap), 5 * options.gap))
            made = event(dice.randrange(options.images), dice.choice(CLASSES), options.name)
            began = time.perf_counter()
            try:
                save(made)
            except DarkroomError as error:
                refused.append(f"{isinstance(error, Locked)} {error}")
            else:
                acks.append(round((time.perf_counter() - began) * 1000, 3))
    print(json.dumps({"acks_ms": acks, "refused": refused}), flush=True)


def saver(catalogue: Catalogue) -> Callable[[AnnotationEvent], object]:
    """Returns what saves one label and comes back when it is durable; a way through a server goes here."""
    catalogue.annotations.last_sequence()  # the connection is there before the first label is timed
    return lambda made: catalogue.annotations.append([made])


def importer(options: argparse.Namespace) -> None:
    """A scan of a folder: pictures and places by batches, then all labels at once."""
    count = options.rows // 3
    with Catalogue.open(options.url) as catalogue:
        source_id = catalogue.sources.new_id()
        added = catalogue.sources.add(source(source_id, f"../{source_id}"))
        first = IMPORTED + catalogue.images.count()  # new ones, in a folder that is used again too
        ready()
        numbers = range(first, first + count)
        for begin in range(0, count, BATCH):
            some = numbers[begin : begin + BATCH]
            catalogue.images.add([picture(n) for n in some], [place(n, added.id) for n in some])
        catalogue.annotations.append([event(n, CLASSES[n % 10], "import") for n in numbers])


def ready() -> Callable[[], bool]:
    """Says that this process is ready, waits for the word, and returns what tells whether to stop."""
    print("ready", flush=True)
    sys.stdin.readline()
    told = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        told.set()

    threading.Thread(target=listen, daemon=True).start()
    return told.is_set


def start(
    work: str, options: argparse.Namespace, url: str, name: str, gap_s: float
) -> subprocess.Popen[str]:
    words = ["--work", work, "--url", url, "--name", name, "--gap", str(gap_s)]
    words += ["--images", str(options.images), "--rows", str(options.rows)]
    return subprocess.Popen(
        [sys.executable, __file__, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def go(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        tell(process)


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def finish(process: subprocess.Popen[str]) -> dict[str, list[float]]:
    out, _ = process.communicate()
    assert process.returncode == 0, process.returncode
    return json.loads(out)


@contextmanager
def sqlite(folder: Path | None) -> Iterator[str]:
    place = folder or Path(tempfile.mkdtemp())
    place.mkdir(parents=True, exist_ok=True)
    yield f"sqlite:///{place / 'catalogue.db'}"
    if folder is None:
        shutil.rmtree(place)


@contextmanager
def postgres() -> Iterator[str]:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.conformance.postgres import postgres_server

    with postgres_server(durable=True) as server:
        yield server.new_database()


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def note(
    options: argparse.Namespace,
    name: str,
    value: float,
    bar: float | None,
    *,
    unit: str = "ms",
    **facts: object,
) -> None:
    holds = bar is None or value < bar or value == bar == 0
    if options.json:
        row = {"name": name, "value": round(value, 3), "unit": unit, "bar": bar, "holds": holds, **facts}
        print(json.dumps(row), flush=True)
        return
    verdict = "" if bar is None else f"bar {bar:g}  {'holds' if holds else 'MISSED'}"
    more = "  ".join(f"{key}={fact}" for key, fact in facts.items())
    print(f"{name:<58} {value:10.2f} {unit:<2}  {verdict}  {more}", flush=True)


if __name__ == "__main__":
    main()
