"""Images in the catalogue: added in bulk, counted, paged through in any allowed order."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import sqlalchemy as sa

from darkroom.catalogue import schema
from darkroom.catalogue.database import Database, chunks, executed, insert_new, turns
from darkroom.catalogue.locations import put_locations
from darkroom.catalogue.pages import (
    IMAGE_SORTS,
    ImageFilter,
    keys_of,
    order_of,
    read_rows,
    token_of,
)
from darkroom.errors import NotFound
from darkroom.records import CameraFacts, Image, Location

__all__ = ["IMAGE_SORTS", "ImageFilter", "Images", "Page"]

_IDS = 1000  # ids in one query

_images = schema.images


class Page(NamedTuple):
    """A part of a sorted list."""

    items: tuple[Image, ...]
    next: str | None
    """Give this as `after` for the page that follows; None: this is the last."""


class Images:
    """The images of a project."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, images: Iterable[Image], locations: Iterable[Location] = ()) -> int:
        """Adds images, then the places where their bytes lie, in short transactions.

        An image that is there already stays as it is.

        Returns:
            How many were new.
        """
        new = 0
        for chunk in turns(images):
            rows = [_row_of(image) for image in chunk]
            with self._database.write() as connection:
                new += insert_new(connection, _images, rows)
        put_locations(self._database, locations)
        return new

    def get(self, image_id: str) -> Image:
        """Returns one image.

        Raises:
            NotFound: the project holds no such image.
        """
        found = self.many([image_id])
        if image_id not in found:
            raise NotFound(
                "image.unknown",
                "No image {image_id!r} in this project.",
                do="See those that there are: darkroom image list",
                image_id=image_id,
            )
        return found[image_id]

    def many(self, image_ids: Iterable[str]) -> dict[str, Image]:
        """Returns those of the images that the project holds, by id, in the order asked for."""
        wanted = list(dict.fromkeys(image_ids))
        found: dict[str, Image] = {}
        with self._database.read() as connection:
            for chunk in chunks(wanted, _IDS):
                rows = connection.execute(sa.select(_images).where(_images.c.id.in_(chunk)))
                found.update((row["id"], _image_of(row)) for row in rows.mappings())
        return {image_id: found[image_id] for image_id in wanted if image_id in found}

    def count(self) -> int:
        """Returns how many images the project holds."""
        with self._database.read() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(_images)).scalar_one()

    def page(
        self,
        *,
        after: str | None = None,
        limit: int = 100,
        sort: str = "added",
        where: ImageFilter | None = None,
    ) -> Page:
        """Returns one page of images; asking for the next costs the same however far it is.

        Args:
            after: `next` of the page before.
            limit: images on a page.
            sort: one of `IMAGE_SORTS`; with a minus before it the other way round.
            where: only these images.

        Raises:
            Invalid: no such sort, or `after` is not from a page of the same sort and filter.
        """
        where = where or ImageFilter()
        order = order_of(sort)
        keys = None if after is None else keys_of(after, order, where)
        with self._database.read() as connection:
            rows = read_rows(connection, order, keys, limit + 1, where)
        items, rest = rows[:limit], rows[limit:]
        token = token_of(items[-1], order, where) if rest and items else None
        return Page(tuple(_image_of(row) for row in items), token)

    def ids(self, source_id: str | None = None) -> Iterator[str]:
        """Gives the ids of all images, or of those of one source, sorted."""
        if source_id is None:
            column, query = _images.c.id, sa.select(_images.c.id)
        else:
            column = schema.locations.c.image_id
            query = sa.select(column).distinct().where(schema.locations.c.source_id == source_id)
        last = ""
        while True:
            with self._database.read() as connection:
                found = connection.scalars(query.where(column > last).order_by(column).limit(20_000)).all()
            if not found:
                return
            yield from found
            last = found[-1]

    def beginning_with(self, start: str, limit: int = 100) -> list[str]:
        """Returns the ids that begin with some hex digits, sorted, at most `limit`."""
        query = sa.select(_images.c.id).where(_images.c.id >= start, _images.c.id < f"{start}g")
        with self._database.read() as connection:
            return list(connection.scalars(query.order_by(_images.c.id).limit(limit)))

    def set_group(self, groups: Mapping[str, str | None]) -> None:
        """Puts images into groups, or with None out of theirs.

        Args:
            groups: image id → group.

        Raises:
            NotFound: the project holds no image of that id; the others of its chunk are not changed.
        """
        statement = (
            sa.update(_images)
            .where(_images.c.id == sa.bindparam("image_id"))
            .values(group_name=sa.bindparam("group"))
        )
        for chunk in turns(groups.items()):
            rows = [{"image_id": image_id, "group": group} for image_id, group in chunk]
            with self._database.write() as connection:
                if executed(connection, statement, rows) != len(rows):
                    raise NotFound(
                        "image.unknown-in-group",
                        "Of {count} images to group, some are not in this project.",
                        do="See those that there are: darkroom image list",
                        count=len(rows),
                    )


def _row_of(image: Image) -> dict[str, Any]:
    camera = image.camera
    latitude, longitude = camera.place or (None, None)
    return {
        "id": image.id,
        "width_px": image.width_px,
        "height_px": image.height_px,
        "mode": image.mode,
        "format": image.format,
        "size_bytes": image.size_bytes,
        "group_name": image.group,
        "origin": image.origin,
        "licence": image.licence,
        "collector": image.collector,
        "collected_at": image.collected_at,
        "taken_at": camera.taken_at,
        "device": camera.device,
        "orientation": camera.orientation,
        "latitude": latitude,
        "longitude": longitude,
        "metadata_json": json.dumps(dict(image.metadata), ensure_ascii=False),
        "pixels": image.width_px * image.height_px,
        "taken_us": schema.UNKNOWN_US if camera.taken_at is None else _microseconds(camera.taken_at),
    }


def _microseconds(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _image_of(row: sa.RowMapping) -> Image:
    place = None if row["latitude"] is None else (row["latitude"], row["longitude"])
    return Image(
        id=row["id"],
        width_px=row["width_px"],
        height_px=row["height_px"],
        mode=row["mode"],
        format=row["format"],
        size_bytes=row["size_bytes"],
        group=row["group_name"],
        origin=row["origin"],
        licence=row["licence"],
        collector=row["collector"],
        collected_at=row["collected_at"],
        camera=CameraFacts(
            taken_at=row["taken_at"],
            device=row["device"],
            orientation=row["orientation"],
            place=place,
        ),
        metadata=json.loads(row["metadata_json"]),
    )
