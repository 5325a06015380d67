"""One database behind the catalogue: connections, transactions, and errors in a person's words."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import Connection, Engine, Executable, Table
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from darkroom.catalogue import schema
from darkroom.catalogue.refusals import refusal
from darkroom.errors import MissingExtra, Unsupported

if TYPE_CHECKING:
    from sqlalchemy.dialects import postgresql, sqlite

__all__ = [
    "CHUNK",
    "Database",
    "chunks",
    "connect",
    "executed",
    "insert_new",
    "next_number",
    "numbers_of",
    "turns",
    "upsert",
]

CHUNK = 2000
"""Rows of one transaction of a bulk write, at most."""

TURN_S = 0.03
"""How long a transaction of a bulk write should hold the database; it gets as many rows as fit."""

LOCK_TIMEOUT_MS = 30_000
"""How long a write waits on PostgreSQL for another one before it gives up; SQLite's is in sqlite.py."""

ONE_STATE = "REPEATABLE READ"
"""How a reader on PostgreSQL sees the database; whoever only reads is never told to try again."""

_FIRST = 250  # rows of the first transaction, while nobody knows yet how long a row takes
_LEAST = 50  # fewer rows would pay more for the commit than for themselves

T = TypeVar("T")


class _Pace(threading.local):
    """How long the last transaction of this thread held the database."""

    held_s: float | None = None


_pace = _Pace()


class Database:
    """An engine of SQLAlchemy with the two kinds of transaction that the catalogue knows."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._writer = engine.execution_options(darkroom_writes=True)
        # On PostgreSQL each statement would see another state; on SQLite a transaction sees one anyway.
        self._reader = engine if self.is_sqlite else engine.execution_options(isolation_level=ONE_STATE)
        # Threads of one process wait for each other here, in order, not in SQLite's busy loop.
        self._turn: threading.Lock | None = threading.Lock() if self.is_sqlite else None

    @property
    def is_sqlite(self) -> bool:
        """A file of this machine; otherwise PostgreSQL."""
        return self._engine.dialect.name == "sqlite"

    @property
    def url(self) -> sa.URL:
        """Where the database is."""
        return self._engine.url

    @property
    def place(self) -> str:
        """Where the database is, for a message: the file, or the URL without its password."""
        return str(self.url.database) if self.is_sqlite else self.url.render_as_string()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Gives a connection that sees one state of the database."""
        with self._translated(), self._reader.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Gives a connection whose changes count together when the block ends, or not at all."""
        with self._my_turn(), self._translated(), self._writer.connect() as connection:
            with connection.begin():
                began = time.perf_counter()
                yield connection
            _pace.held_s = time.perf_counter() - began

    def close(self) -> None:
        """Closes every connection that is not in use."""
        self._engine.dispose()

    @contextmanager
    def _my_turn(self) -> Iterator[None]:
        if self._turn is None:
            yield
        else:
            with self._turn:
                yield

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (DBAPIError, sqlite3.Error, UnicodeEncodeError) as error:
            raise refusal(error, self.place) from error


def connect(url: str, *, create: bool) -> Database:
    """Prepares connections to a database; SQLite's file is looked for, nothing is read yet.

    Raises:
        Unsupported: neither SQLite nor PostgreSQL, or SQLite on a network file system.
        MissingExtra: PostgreSQL without its driver.
        NotFound: there is no such file, and none may be made.
    """
    try:
        parsed = sa.make_url(url)
    except SQLAlchemyError:
        raise _not_known(url.partition(":")[0]) from None
    kind = parsed.get_backend_name()
    if kind == "sqlite":
        from darkroom.catalogue.sqlite import sqlite_engine

        return Database(sqlite_engine(parsed, create=create))
    if kind in {"postgresql", "postgres"}:
        return Database(_postgres_engine(parsed))
    raise _not_known(kind)


def chunks(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Cuts items into lists of at most `size`."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


def turns(items: Iterable[T], size: int = CHUNK) -> Iterator[list[T]]:
    """Cuts what a bulk write writes into lists, each for one transaction.

    How many items a list gets follows from how long the last transaction took: people who save in
    between wait for one of them at most, and a slow disk means shorter lists, not longer waits.

    Args:
        items: what is written.
        size: items in one list, at most.
    """
    rest, count = iter(items), min(size, _FIRST)
    while chunk := list(islice(rest, count)):
        _pace.held_s = None
        yield chunk
        if _pace.held_s is not None:
            count = _next_count(len(chunk), _pace.held_s, size)


def _next_count(count: int, held_s: float, most: int) -> int:
    """Returns how many items the next transaction gets; at most twice as many as the last one."""
    fitting = int(count * min(TURN_S / max(held_s, 1e-6), 2.0))
    return min(max(fitting, _LEAST), most)


def insert_new(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> int:
    """Adds those rows whose keys are not there yet; returns how many."""
    if not rows:
        return 0
    return executed(connection, _insert(connection, table).on_conflict_do_nothing(), rows)


def executed(connection: Connection, statement: Executable, rows: Sequence[dict[str, Any]]) -> int:
    """Runs a statement once per row and returns how many rows of the table it touched, all together."""
    result = connection.execute(statement, rows, execution_options={"preserve_rowcount": True})
    return result.rowcount


def upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Adds rows; one whose primary key is there already takes the old one's place."""
    if not rows:
        return
    statement = _insert(connection, table)
    keys = [column.name for column in table.primary_key]
    others = {name: statement.excluded[name] for name in rows[0] if name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=others), rows)


def next_number(connection: Connection, name: str, count: int = 1) -> int:
    """Takes `count` numbers in a row and returns the first.

    The row of the counter stays locked until the transaction ends: whoever comes next sees everything
    that was numbered before. So no number becomes visible after a later one, and none is left out.
    """
    numbers = schema.counters
    insert_new(connection, numbers, [{"name": name, "value": 0}])
    taken = connection.execute(
        sa.update(numbers)
        .where(numbers.c.name == name)
        .values(value=numbers.c.value + count)
        .returning(numbers.c.value)
    )
    return taken.scalar_one() - count + 1


def numbers_of(connection: Connection, image_ids: Iterable[str]) -> dict[str, int]:
    """Returns the row numbers of those images that are there, by id."""
    found: dict[str, int] = {}
    for chunk in chunks(image_ids, 1000):
        query = sa.select(schema.images.c.id, schema.images.c.number).where(schema.images.c.id.in_(chunk))
        found.update((image_id, number) for image_id, number in connection.execute(query))
    return found


def _insert(connection: Connection, table: Table) -> sqlite.Insert | postgresql.Insert:
    # PostgreSQL's dialects take a tenth of a second to load; most projects never meet them.
    if connection.dialect.name == "sqlite":
        from sqlalchemy.dialects.sqlite import insert
    else:
        from sqlalchemy.dialects.postgresql import insert
    return insert(table)


def _postgres_engine(url: sa.URL) -> Engine:
    try:
        import psycopg  # noqa: F401
    except ImportError:
        raise MissingExtra(
            "extra.postgres",
            "A catalogue on PostgreSQL needs the package psycopg.",
            do='pip install "darkroom[postgres]"',
        ) from None
    return sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        pool_pre_ping=True,
        pool_size=8,
        max_overflow=24,
        connect_args={"options": f"-c lock_timeout={LOCK_TIMEOUT_MS}"},
    )


def _not_known(kind: str) -> Unsupported:
    return Unsupported(
        "catalogue.unknown-database",
        "A catalogue lives in SQLite or PostgreSQL, not in {kind!r}.",
        do="Set DARKROOM_DATABASE_URL to postgresql://user@host/name, or leave it empty for SQLite.",
        kind=kind,
    )
