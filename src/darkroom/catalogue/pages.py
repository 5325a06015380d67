"""Pages of images in any allowed order under any allowed filter, each in a bounded time.

A page without a filter walks one index. Under a filter there are three ways, and which one is quick
depends on the data: sort the few images that fit; walk the order and keep what fits, as long as much of it
does; or sort all that fit. They are tried in this order, each until it is known to be the wrong one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from typing import Any, NamedTuple, TypeAlias

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Select

from darkroom.catalogue import schema
from darkroom.errors import Invalid, nearest

__all__ = ["IMAGE_SORTS", "ImageFilter", "Order", "keys_of", "order_of", "read_rows", "token_of"]

_images, _current = schema.images, schema.current_annotations
_locations, _splits = schema.locations, schema.splits

IMAGE_SORTS: dict[str, sa.Column[Any]] = {
    "added": _images.c.number,
    "id": _images.c.id,
    "size": _images.c.size_bytes,
    "width": _images.c.width_px,
    "height": _images.c.height_px,
    "pixels": _images.c.pixels,
    "taken": _images.c.taken_us,
}
"""What images can be sorted by; a minus before the name turns the order round."""

FEW, SOME = 2000, 50_000
"""Images that fit a filter: few are sorted at once, some are sorted before a long walk is tried."""

SHORT, LONG = 4000, 20_000
"""Entries of the order that a walk looks at before it is given up; measured: 10 and 50 ms."""


MORE = 20
"""Of images sorted by one filter, how many times a page are tried first when others drop some of them: the
first of many are found in a third of the time that sorting all takes."""


class ImageFilter(NamedTuple):
    """Which images a page shows; None means all."""

    source: str | None = None
    """Those that lie in this source."""
    label: str | None = None
    """Those that hold this class."""
    state: str | None = None
    """Those in this state of the slot "class"; "unlabelled" holds for images that nobody answered too."""
    split: str | None = None
    """Those in this split; a group's pictures have its split, each for itself."""


class Order(NamedTuple):
    """An allowed order of images."""

    sort: str
    columns: tuple[sa.Column[Any], ...]
    """Together different for each image."""
    falling: bool


_Keys: TypeAlias = tuple[int | str, ...]


def order_of(sort: str) -> Order:
    """Returns the order that a word such as "-size" asks for.

    Raises:
        Invalid: images cannot be sorted by that.
    """
    name = sort.removeprefix("-")
    if name not in IMAGE_SORTS:
        raise Invalid(
            "image.unknown-sort",
            "Images cannot be sorted by {sort!r}.{meant} Known: {known}, each also with a minus before it.",
            do="For example, the newest first: darkroom image list --sort -added",
            sort=sort,
            meant=nearest(name, IMAGE_SORTS),
            known=", ".join(IMAGE_SORTS),
        )
    column = IMAGE_SORTS[name]
    alone = column is _images.c.number or column is _images.c.id
    return Order(sort, (column,) if alone else (column, _images.c.number), sort.startswith("-"))


def token_of(row: sa.RowMapping, order: Order, where: ImageFilter) -> str:
    """Returns where a page ended, as a text that only `keys_of` understands."""
    said = [_asked(order, where), *(row[column.name] for column in order.columns)]
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=")


def keys_of(token: str, order: Order, where: ImageFilter) -> _Keys:
    """Returns the keys at which a page ended.

    Raises:
        Invalid: it is not the end of a page of this sort and filter.
    """
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        asked, *keys = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (UnicodeError, binascii.Error, ValueError, TypeError, RecursionError):
        asked, keys = None, []
    kinds = [str if column is _images.c.id else int for column in order.columns]
    fits = asked == _asked(order, where) and len(keys) == len(kinds)
    if not fits or not all(_is(key, kind) for key, kind in zip(keys, kinds, strict=True)):
        raise Invalid(
            "image.unknown-page",
            "{after!r} is not the end of a page of this sort and filter.",
            do="Begin again with the first page.",
            after=token,
        )
    return tuple(keys)


def read_rows(
    connection: Connection, order: Order, after: _Keys | None, limit: int, where: ImageFilter
) -> list[sa.RowMapping]:
    """Reads the rows of one page.

    Args:
        connection: to the catalogue.
        order: how images are sorted.
        after: keys of the last image of the page before.
        limit: rows to read.
        where: only these images.
    """
    drivers = _drivers(where)
    if not drivers:
        query = _in_order(list(_images.c), order, after, limit)
        return list(connection.execute(query).mappings())
    numbers = _numbers(connection, order, after, limit, where, drivers)
    query = sa.select(_images).where(_images.c.number.in_(numbers))
    found = {row["number"]: row for row in connection.execute(query).mappings()}
    return [found[number] for number in numbers]


class _Driver(NamedTuple):
    """One filter, seen from its own table."""

    numbers: Select[Any]
    """The numbers of all images that fit it."""
    fits: ColumnElement[bool]
    """Whether one image fits it."""
    number: ColumnElement[int] | None = None
    """The column of the numbers, where an index of that table gives them in their order."""
    keys: Select[Any] | None = None
    """As many rows as `numbers`, quicker to count."""


def _numbers(
    connection: Connection,
    order: Order,
    after: _Keys | None,
    limit: int,
    where: ImageFilter,
    drivers: list[_Driver],
) -> list[int]:
    counts = [_count(connection, driver) for driver in drivers]
    fewest = drivers[counts.index(min(counts))]
    if min(counts) <= FEW:
        return _sorted(connection, order, after, limit, fewest, drivers)
    in_order = [driver for driver in drivers if driver.number is not None]
    if order.columns == (_images.c.number,) and in_order:
        driver = min(in_order, key=lambda driver: counts[drivers.index(driver)])
        return _as_added(connection, order, after, limit, driver, drivers)
    for steps in (SHORT, LONG) if min(counts) > SOME else (SHORT,):
        numbers, ended = _walked(connection, order, after, limit, drivers, steps)
        if ended or len(numbers) == limit:
            return numbers
    return _sorted(connection, order, after, limit, fewest, drivers)


def _count(connection: Connection, driver: _Driver) -> int:
    """Counts the images that fit a filter, as far as it matters."""
    some = (driver.numbers if driver.keys is None else driver.keys).limit(SOME + 1).subquery()
    return connection.execute(sa.select(sa.func.count()).select_from(some)).scalar_one()


def _walked(
    connection: Connection,
    order: Order,
    after: _Keys | None,
    limit: int,
    drivers: list[_Driver],
    steps: int,
) -> tuple[list[int], bool]:
    """Looks at the next entries of the order and keeps what fits; says whether the order ended there."""
    wanted = {column.name: column for column in (*order.columns, _images.c.number)}
    entries = _in_order(list(wanted.values()), order, after, steps).subquery()
    query = (
        sa.select(_images.c.number)
        .select_from(entries.join(_images, _images.c.number == entries.c.number))
        .where(*(driver.fits for driver in drivers))
        .order_by(*_directed([entries.c[column.name] for column in order.columns], order.falling))
    )
    numbers = list(connection.scalars(query.limit(limit)))
    if len(numbers) == limit:
        return numbers, False
    seen = connection.execute(sa.select(sa.func.count()).select_from(entries)).scalar_one()
    return numbers, seen < steps


def _as_added(
    connection: Connection,
    order: Order,
    after: _Keys | None,
    limit: int,
    driver: _Driver,
    drivers: list[_Driver],
) -> list[int]:
    """Walks the index of one filter, which has its images in the order in which they were added."""
    assert driver.number is not None
    rest = [other.fits for other in drivers if other is not driver]
    query = driver.numbers.order_by(*_directed([driver.number], order.falling))
    if after is not None:
        query = query.where(_beyond([driver.number], after, order.falling))
    if rest and driver.number is not _images.c.number:
        query = query.join(_images, _images.c.number == driver.number)
    query = query.where(*rest)
    return [row[0] for row in connection.execute(query.limit(limit))]


def _sorted(
    connection: Connection,
    order: Order,
    after: _Keys | None,
    limit: int,
    driver: _Driver,
    drivers: list[_Driver],
) -> list[int]:
    """Sorts all that fit one filter, and looks at the other filters for those."""
    query = driver.numbers
    if driver.number is not _images.c.number:
        fitting = query.subquery()
        joined = fitting.join(_images, _images.c.number == fitting.c[0])
        query = sa.select(_images.c.number).select_from(joined)
    others = [other.fits for other in drivers if other is not driver]
    # Behind an expression the database sees no index, and begins with the images that fit.
    keys = [_hidden(column) for column in order.columns]
    if after is not None:
        query = query.where(_beyond(keys, after, order.falling))
    query = query.order_by(*_directed(keys, order.falling))
    if not others or connection.dialect.name != "sqlite":
        return list(connection.scalars(query.where(*others).limit(limit)))
    found: list[int] = []
    for most in (MORE * limit, -1):
        found = list(connection.scalars(_checked_in_order(query.limit(most), others).limit(limit)))
        if len(found) == limit:
            break
    return found


def _checked_in_order(query: Select[Any], others: list[ColumnElement[bool]]) -> Select[Any]:
    """Returns a query that looks at other filters after sorting, and so only until the page is full.

    The limit of what is sorted, -1 for none, keeps SQLite from merging the two. It gives the rows of a
    subquery in its order.
    Source: "The SQLite Query Optimizer Overview", section 11, Subquery Flattening.
    """
    ordered = query.subquery()
    fits = sa.select(_images.c.number).where(_images.c.number == ordered.c[0], *others).exists()
    return sa.select(ordered.c[0]).where(fits)


def _drivers(where: ImageFilter) -> list[_Driver]:
    found = []
    if where.label is not None:
        found.append(_answered("class", where.label))
    if where.state == "unlabelled":
        fits = _images.c.unlabelled == 1
        waiting = sa.select(_images.c.number).where(fits)
        found.append(_Driver(waiting, fits, _images.c.number))
    elif where.state is not None:
        found.append(_answered("state", where.state))
    if where.source is not None:
        of_source = sa.select(_locations.c.image_number).where(_locations.c.source_id == where.source)
        fits = of_source.where(_locations.c.image_number == _images.c.number).exists()
        found.append(_Driver(of_source.distinct(), fits, _locations.c.image_number))
    if where.split is not None:
        found.append(_in_split(where.split))
    return found


def _answered(kind: str, answer: str) -> _Driver:
    numbers = sa.select(_current.c.image_number).where(
        _current.c.slot == "class", _current.c.kind == kind, _current.c.answer == answer
    )
    fits = numbers.where(_current.c.image_number == _images.c.number).exists()
    return _Driver(numbers, fits, _current.c.image_number)


def _in_split(split: str) -> _Driver:
    mine = sa.select(_splits.c.key).where(_splits.c.scheme == "default", _splits.c.split == split)
    of_images = mine.where(_splits.c.key.startswith("image:")).subquery()
    inner = _images.alias("divided")
    numbers = sa.select(inner.c.number).join(of_images, inner.c.id == sa.func.substr(of_images.c.key, 7))
    fits = mine.where(_splits.c.key == sa.literal("image:") + _images.c.id).exists()
    return _Driver(numbers, fits, keys=mine)


def _in_order(columns: list[sa.Column[Any]], order: Order, after: _Keys | None, limit: int) -> Select[Any]:
    """Returns a query for the next entries of an order, which begins at its place in the index.

    SQLite seeks by the first column of a row value only, and would go through all images that share it:
    photos of one camera all have the same height. So those that share it are one part, and what lies beyond
    is the other.
    """
    falling, keys = order.falling, list(order.columns)
    if after is None or len(keys) == 1:
        beyond = () if after is None else (_beyond(keys, after, falling),)
        return sa.select(*columns).where(*beyond).order_by(*_directed(keys, falling)).limit(limit)
    first, rest = keys[0], keys[1:]
    sharing = sa.select(*columns).where(first == after[0], _beyond(rest, after[1:], falling))
    further = sa.select(*columns).where(_beyond([first], after[:1], falling))
    parts = (
        query.order_by(*_directed(keys, falling)).limit(limit).subquery() for query in (sharing, further)
    )
    both = sa.union_all(*(sa.select(part) for part in parts)).subquery()
    return sa.select(both).order_by(*_directed([both.c[key.name] for key in keys], falling)).limit(limit)


def _directed(keys: list[Any], falling: bool) -> list[Any]:
    return [key.desc() if falling else key.asc() for key in keys]


def _beyond(columns: list[Any], keys: _Keys, falling: bool) -> ColumnElement[bool]:
    # A row value comparison walks the index; an OR of two comparisons would read it from its start.
    here, there = sa.tuple_(*columns), sa.tuple_(*keys)
    return here < there if falling else here > there


def _hidden(column: sa.Column[Any]) -> ColumnElement[Any]:
    return column.concat("") if column is _images.c.id else column + 0


def _asked(order: Order, where: ImageFilter) -> str:
    """Returns a short mark of sort and filter, so that a page is not gone on with under others."""
    return hashlib.sha256(json.dumps([order.sort, *where]).encode()).hexdigest()[:12]


def _is(key: object, kind: type) -> bool:
    bounded = not isinstance(key, int) or abs(key) < 2**63
    return isinstance(key, kind) and not isinstance(key, bool) and bounded
