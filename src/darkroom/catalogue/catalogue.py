"""The catalogue, opened once and shared by all threads of a process."""

from __future__ import annotations

from darkroom.catalogue.annotations import Annotations
from darkroom.catalogue.bundles import Bundles
from darkroom.catalogue.database import Database, connect
from darkroom.catalogue.datasets import Datasets
from darkroom.catalogue.forgotten import Forgotten
from darkroom.catalogue.images import Images
from darkroom.catalogue.jobs import Jobs
from darkroom.catalogue.locations import Locations
from darkroom.catalogue.quarantine import Quarantine
from darkroom.catalogue.revision import prepare, revision_of
from darkroom.catalogue.run_notes import RunNotes
from darkroom.catalogue.runs import Runs
from darkroom.catalogue.sources import Sources
from darkroom.catalogue.splits import Splits
from darkroom.catalogue.stages import Stages

__all__ = ["Catalogue"]


class Catalogue:
    """What a project knows. Safe to use from threads, and to open from several processes.

    Each call is one transaction, or one per chunk where it says so.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.images = Images(database)
        self.sources = Sources(database)
        self.locations = Locations(database)
        self.quarantine = Quarantine(database)
        self.annotations = Annotations(database)
        self.splits = Splits(database)
        self.datasets = Datasets(database)
        self.runs = Runs(database)
        self.run_notes = RunNotes(database)
        self.jobs = Jobs(database)
        self.bundles = Bundles(database)
        self.stages = Stages(database)
        self.forgotten = Forgotten(database)

    @classmethod
    def open(cls, url: str, *, create: bool = False) -> Catalogue:
        """Opens a catalogue; an older one is brought up to date, SQLite's file being copied first.

        Args:
            url: `sqlite:///path/to/catalogue.db` or `postgresql://user@host/name`.
            create: make the tables where there are none.

        Raises:
            NotFound: there is no catalogue and none may be made.
            Unsupported: a newer Darkroom wrote it, it is SQLite on a network file system, or the
                database is neither SQLite nor PostgreSQL.
            MissingExtra: PostgreSQL without its driver.
            Locked: another process held it for too long.
            Damaged: the file is not a catalogue, or no longer one.
            StorageFailed: the disk or the server refuses.
        """
        database = connect(url, create=create)
        try:
            prepare(database, create=create)
        except BaseException:
            database.close()
            raise
        return cls(database)

    @property
    def revision(self) -> str:
        """The revision of its tables, for example "0001"."""
        return revision_of(self._database) or ""

    def close(self) -> None:
        """Closes every connection; the catalogue opens them again when it is used again."""
        self._database.close()

    def __enter__(self) -> Catalogue:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
