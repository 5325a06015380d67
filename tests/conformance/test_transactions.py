"""How the catalogue writes: never outside a transaction begun to write, and in short ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.event import listen

from darkroom.catalogue import Catalogue
from darkroom.catalogue.database import CHUNK
from darkroom.records import Member, Quarantined
from tests.conformance.examples import event, image_id, images, location, source, version

ROWS = 5000


class Watch:
    """Counts the rows that each transaction writes."""

    def __init__(self, engine: sa.Engine) -> None:
        self.rows: list[int] = []
        self.strays: list[str] = []
        listen(engine, "begin", self._begin)
        listen(engine, "after_cursor_execute", self._executed)

    def _begin(self, connection: sa.Connection) -> None:
        self.rows.append(0)

    def _executed(
        self,
        connection: sa.Connection,
        cursor: Any,
        statement: str,
        parameters: Any,
        context: Any,
        executemany: bool,
    ) -> None:
        if statement.lstrip().partition(" ")[0].upper() in {"INSERT", "UPDATE", "DELETE"}:
            if not connection.get_execution_options().get("darkroom_writes"):
                self.strays.append(statement)
            # A row touches its table and at most two more; counted once for each statement.
            count = len(parameters) if executemany else max(cursor.rowcount, 1)
            self.rows[-1] = max(self.rows[-1], count)


@pytest.fixture
def watch(catalogue: Catalogue) -> Iterator[Watch]:
    watch = Watch(catalogue._database._engine)
    yield watch
    assert watch.strays == [], "written in a transaction that was begun to read"


def test_every_bulk_write_goes_in_short_transactions(catalogue: Catalogue, watch: Watch) -> None:
    home = source(catalogue).id
    numbers = range(ROWS)
    catalogue.images.add(images(ROWS), (location(home, number, f"{number}.jpg") for number in numbers))
    catalogue.annotations.append(event(number, "cat") for number in numbers)
    catalogue.splits.assign({f"image:{image_id(number)}": "train" for number in numbers})
    catalogue.images.set_group({image_id(number): "a" for number in numbers})
    catalogue.datasets.freeze(
        version(),
        (Member(image_id=image_id(n), split="train", label="cat", sequence=n + 1) for n in numbers),
    )
    catalogue.quarantine.put(
        Quarantined(source_id=home, path=str(n), reason="x", message="x", size_bytes=1, mtime_ns=1)
        for n in numbers
    )
    assert catalogue.quarantine.clear(home) == ROWS
    assert catalogue.locations.remove(home, [f"{number}.jpg" for number in numbers]) == ROWS
    assert max(watch.rows) <= CHUNK


def test_what_an_abandoned_freeze_wrote_goes_in_short_transactions(
    catalogue: Catalogue, watch: Watch
) -> None:
    catalogue.images.add(images(ROWS))

    def members() -> Iterator[Member]:
        for number in range(ROWS):
            yield Member(image_id=image_id(number), split="train", label="cat", sequence=1)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        catalogue.datasets.freeze(version(), members())
    assert max(watch.rows) <= CHUNK
    with catalogue._database.read() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM members")).scalar_one() == 0
