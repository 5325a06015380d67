"""The tables of a catalogue, however it came to them, on SQLite and on PostgreSQL."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from darkroom.catalogue import Catalogue, schema
from darkroom.catalogue.database import Database, connect
from darkroom.catalogue.migrations.upgrade import newest_revision, run_migrations, upgrade
from darkroom.catalogue.revision import SCRIPTS, prepare, revision_of
from darkroom.errors import Damaged, DarkroomError, NotFound, Unsupported
from tests.conformance.examples import event, images

NOW = schema.REVISION
NEWER = f"{int(NOW) + 1:04d}"
"""The revision of the next Darkroom, which these tests make up."""

NEXT = '''"""Images can be forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "{newer}"
down_revision = "{now}"


def upgrade() -> None:
    op.add_column("images", sa.Column("forgotten_at", sa.DateTime(timezone=True), nullable=True))
    op.execute({statement!r})
'''


@pytest.fixture
def database(catalogue_url: str) -> Any:
    opened = connect(catalogue_url, create=True)
    yield opened
    opened.close()


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder of migrations with one more, as the next Darkroom will have."""
    folder = tmp_path / "migrations"
    shutil.copytree(SCRIPTS, folder)
    write_next(folder, "UPDATE images SET licence = 'unknown' WHERE licence = ''")
    return folder


def write_next(folder: Path, statement: str) -> None:
    text = NEXT.format(statement=statement, newer=NEWER, now=NOW)
    (folder / "versions" / f"{NEWER}_forget.py").write_text(text)


def tables_of(database: Database) -> dict[str, Any]:
    """Returns everything that the database says of its tables."""
    with database.read() as connection:
        inspector = sa.inspect(connection)
        return {
            name: {
                "columns": [
                    {**column, "type": str(column["type"])} for column in inspector.get_columns(name)
                ],
                "key": inspector.get_pk_constraint(name),
                "foreign": sorted(inspector.get_foreign_keys(name), key=str),
                "unique": sorted(inspector.get_unique_constraints(name), key=str),
                "indexes": sorted(inspector.get_indexes(name), key=str),
            }
            for name in inspector.get_table_names()
        }


def columns_of_images(database: Database) -> set[str]:
    return {column["name"] for column in tables_of(database)["images"]["columns"]}


def test_a_migrated_database_equals_the_metadata_and_one_made_at_once(
    database: Database, catalogue_url: str
) -> None:
    with database.write() as connection:
        run_migrations(connection, schema.REVISION)
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, schema.metadata) == []
    migrated = tables_of(database)
    assert set(migrated) == {*schema.metadata.tables, "alembic_version"}
    with database.write() as connection:
        connection.execute(sa.text("DROP TABLE alembic_version"))
        schema.metadata.drop_all(connection)
    Catalogue.open(catalogue_url, create=True).close()
    assert tables_of(database) == migrated


def test_the_newest_migration_is_the_one_that_the_catalogue_expects(catalogue: Catalogue) -> None:
    assert newest_revision() == schema.REVISION == catalogue.revision


def test_an_older_catalogue_is_migrated_when_it_is_opened(
    catalogue: Catalogue, database: Database, scripts: Path, tmp_path: Path
) -> None:
    catalogue.images.add(images(3))
    catalogue.annotations.append([event(0, "cat")])
    prepare(database, create=False, newest=NEWER, scripts=scripts)
    assert revision_of(database) == NEWER
    assert "forgotten_at" in columns_of_images(database)
    assert {image.licence for image in catalogue.images.page().items} == {"unknown"}
    assert catalogue.annotations.last_sequence() == 1
    copies = list(tmp_path.glob(f"catalogue-before-{NEWER}-*.db"))
    assert len(copies) == (1 if database.is_sqlite else 0)
    for copy in copies:
        with Catalogue.open(f"sqlite:///{copy}") as before:
            assert before.revision == NOW
            assert {image.licence for image in before.images.page().items} == {""}


def test_a_migration_that_fails_changes_nothing(
    catalogue: Catalogue, database: Database, scripts: Path
) -> None:
    catalogue.images.add(images(3))
    before = tables_of(database)
    write_next(scripts, "UPDATE images SET licence = 'x' WHERE nonsense = 1")
    with pytest.raises(DarkroomError):
        upgrade(database, NEWER, scripts=scripts)
    assert revision_of(database) == NOW
    assert tables_of(database) == before
    assert catalogue.images.count() == 3


def test_of_two_that_migrate_at_once_one_does_it(
    catalogue: Catalogue, catalogue_url: str, scripts: Path, tmp_path: Path
) -> None:
    catalogue.images.add(images(3))
    databases = [connect(catalogue_url, create=False) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        list(threads.map(lambda one: prepare(one, create=False, newest=NEWER, scripts=scripts), databases))
    assert [revision_of(one) for one in databases] == [NEWER] * 3
    for copy in tmp_path.glob("catalogue-before-*.db"):
        with Catalogue.open(f"sqlite:///{copy}") as before:  # no copy of what was migrated already
            assert before.revision == NOW
    for one in databases:
        one.close()


def test_a_newer_catalogue_is_refused_and_left_alone(
    catalogue: Catalogue, catalogue_url: str, database: Database, scripts: Path
) -> None:
    upgrade(database, NEWER, scripts=scripts)
    with pytest.raises(Unsupported, match="newer Darkroom"):
        Catalogue.open(catalogue_url, create=True)
    assert revision_of(database) == NEWER


def test_a_database_without_a_catalogue_is_not_found_unless_one_may_be_made(
    database: Database, catalogue_url: str
) -> None:
    with database.read() as connection:
        connection.execute(sa.text("SELECT 1"))
    with pytest.raises(NotFound):
        Catalogue.open(catalogue_url)
    assert tables_of(database) == {}


def test_tables_of_another_program_are_left_alone(database: Database, catalogue_url: str) -> None:
    with database.write() as connection:
        connection.execute(sa.text("CREATE TABLE images (name TEXT)"))
    with pytest.raises(Damaged, match="no Darkroom made"):
        Catalogue.open(catalogue_url, create=True)
    assert set(tables_of(database)) == {"images"}
