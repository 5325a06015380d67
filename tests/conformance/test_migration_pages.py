"""A catalogue from before the pages gets their columns filled in."""

from __future__ import annotations

import sqlalchemy as sa

from darkroom.catalogue import Catalogue, schema
from darkroom.catalogue.database import connect
from darkroom.catalogue.images import ImageFilter
from darkroom.catalogue.migrations.upgrade import run_migrations
from darkroom.records import CameraFacts, State
from tests.conformance.examples import MOMENT, event, image, location, source

TABLES = {
    "images": ("number", "pixels", "taken_us", "unlabelled"),
    "current_annotations": ("image_id", "image_number"),
    "locations": ("path", "image_number"),
}


def facts(catalogue: Catalogue) -> dict[str, list[tuple[object, ...]]]:
    with catalogue._database.read() as connection:
        return {
            table: [
                tuple(row)
                for row in connection.execute(sa.text(f"SELECT {', '.join(names)} FROM {table} ORDER BY 1"))
            ]
            for table, names in TABLES.items()
        }


def test_what_the_migration_fills_in_is_what_would_have_been_written(catalogue_url: str) -> None:
    with Catalogue.open(catalogue_url, create=True) as catalogue:
        home = source(catalogue).id
        late = MOMENT.replace(microsecond=999_700)  # rounded, it would lie in the next second
        cameras = (CameraFacts(taken_at=MOMENT), CameraFacts(), CameraFacts(taken_at=late), CameraFacts())
        catalogue.images.add(
            [image(number, camera=camera) for number, camera in enumerate(cameras)],
            [location(home, number, f"{number}.jpg") for number in range(4)],
        )
        catalogue.annotations.append(
            [event(0, "cat"), event(1, State(state="unlabelled")), event(2, "x", slot="class")]
        )
        expected = facts(catalogue)
    database = connect(catalogue_url, create=False)
    with database.write() as connection:
        # Back to how it was: tables, indexes and columns go, and the migration runs again.
        connection.execute(sa.text("DROP TABLE run_notes"))
        for index in ("pixels", "taken_us", "unlabelled"):
            connection.execute(sa.text(f"DROP INDEX ix_images_{index}"))
        for index in ("ix_current_annotations_slot", "ix_locations_source_id", "ix_splits_scheme"):
            connection.execute(sa.text(f"DROP INDEX {index}"))
        for table, name in [
            *(("images", name) for name in TABLES["images"][1:]),
            ("current_annotations", "image_number"),
            ("locations", "image_number"),
        ]:
            connection.execute(sa.text(f"ALTER TABLE {table} DROP COLUMN {name}"))
        old = "CREATE INDEX ix_current_annotations_slot ON current_annotations (slot, kind, answer)"
        connection.execute(sa.text(old))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0003'"))
    with database.write() as connection:
        run_migrations(connection, schema.REVISION)
    database.close()
    with Catalogue.open(catalogue_url) as catalogue:
        assert facts(catalogue) == expected
        assert len(catalogue.images.page(where=ImageFilter(state="unlabelled")).items) == 2
