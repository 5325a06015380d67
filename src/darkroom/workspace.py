"""A project folder, opened once and passed everywhere: its file, catalogue, blobs, engine and paths."""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import tomllib
from collections.abc import Callable, Iterable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from darkroom.errors import Cancelled, Damaged, InvalidConfig, NotFound, StorageFailed
from darkroom.records import Location, ProjectFile, Source, validated
from darkroom.settings import Settings

if TYPE_CHECKING:
    from darkroom.blobs import BlobStore
    from darkroom.catalogue import Catalogue
    from darkroom.engines import Engine

__all__ = ["PROJECT_FILE", "ImageFile", "Progress", "Workspace"]

PROJECT_FILE = "darkroom.toml"


class Progress(NamedTuple):
    """How far something is; drawn by the faces."""

    what: str
    """What is being done, as a person would say it."""
    done: int
    total: int | None
    """How many there are; None while nobody knows."""
    unit: str
    """"images", "batches", …"""
    metrics: dict[str, float]
    """Figures to show beside the bar."""
    lines: tuple[str, ...] = ()
    """Said at once and as they are, instead of a bar."""


class ImageFile(NamedTuple):
    """Where the bytes of one image can be read now."""

    image_id: str
    path: str
    """Absolute path, or a URL that fsspec opens."""
    size_bytes: int
    mtime_ns: int
    """0 for a blob, which never changes."""
    from_blob: bool


class Workspace:
    """A project folder.

    Args:
        root: the folder that holds darkroom.toml.
        settings: machine settings; read from the environment when not given.
        listener: called with every progress report.
    """

    def __init__(
        self,
        root: Path,
        *,
        settings: Settings | None = None,
        listener: Callable[[Progress], None] | None = None,
    ) -> None:
        self.root = root.resolve()
        self.settings = settings or Settings.read()
        self.listener = listener
        self.stop_requested = threading.Event()

    @classmethod
    def open(
        cls,
        path: Path | str = ".",
        *,
        settings: Settings | None = None,
        listener: Callable[[Progress], None] | None = None,
    ) -> Workspace:
        """Opens the project that a folder belongs to: the folder itself or the nearest one above.

        Raises:
            NotFound: neither the folder nor one above it holds a darkroom.toml.
        """
        start = _resolved(path)
        for folder in (start, *start.parents):
            if (folder / PROJECT_FILE).is_file():
                return cls(folder, settings=settings, listener=listener)
        raise _not_here(start)

    @classmethod
    def here(cls, path: Path | str = ".") -> Workspace:
        """Opens the project that a folder belongs to; where there is none, the folder itself, without one.

        Raises:
            NotFound: another folder than the present one was named, and it belongs to no project.
        """
        try:
            return cls.open(path)
        except NotFound:
            if str(path) != ".":
                raise
            return cls(Path(path))

    @property
    def is_project(self) -> bool:
        """Whether there is a project; some operations work without one."""
        return (self.root / PROJECT_FILE).is_file()

    def refuse_no_project(self) -> None:
        """Refuses to work where there is no project.

        Raises:
            NotFound: the folder holds no darkroom.toml.
        """
        if not self.is_project:
            raise _not_here(self.root)

    @property
    def hidden(self) -> Path:
        """What Darkroom keeps for itself."""
        return self.root / ".darkroom"

    @property
    def renderings(self) -> Path:
        """Pixels of dataset versions under a contract; a cache."""
        return self.hidden / "renderings"

    @property
    def features_folder(self) -> Path:
        """Features of pictures by network, weights and contract; a cache."""
        return self.hidden / "features"

    @property
    def runs_folder(self) -> Path:
        """One folder per run."""
        return self.hidden / "runs"

    @property
    def studies_folder(self) -> Path:
        """One folder per study: a search over recipes."""
        return self.hidden / "studies"

    @property
    def jobs_folder(self) -> Path:
        """One folder per job."""
        return self.hidden / "jobs"

    @property
    def bundles_folder(self) -> Path:
        """One folder per bundle."""
        return self.hidden / "bundles"

    @property
    def uploads_folder(self) -> Path:
        """What people handed to the server; kept for a day."""
        return self.hidden / "uploads"

    @property
    def run_lock(self) -> Path:
        """The lock of whoever works on the whole project: `darkroom run`, cleaning, forgetting."""
        return self.hidden / "run.lock"

    @property
    def sources_lock(self) -> Path:
        """The lock of those who take in pictures, together, and of whoever forgets some, alone."""
        return self.hidden / "sources.lock"

    @property
    def deliverables(self) -> Path:
        """What each stage hands over, for people."""
        return self.root / "deliverables"

    @cached_property
    def project(self) -> ProjectFile:
        """The content of darkroom.toml.

        Raises:
            InvalidConfig: the file is not TOML, or a key in it is unknown or not what was expected.
        """
        path = self.root / PROJECT_FILE
        try:
            found = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidConfig(
                "project.not-toml", "{path} is not TOML: {why}.", do="Mend it there.", path=path, why=error
            ) from None
        page = "docs/guide/darkroom-toml.md"
        return validated(ProjectFile, found, where=str(path), explained=page)

    @cached_property
    def catalogue(self) -> Catalogue:
        """What the project knows; made when it is first asked for."""
        from darkroom.catalogue import Catalogue

        try:
            self.hidden.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageFailed(
                "project.not-writable",
                "The project {root} has no catalogue yet, and none can be made: {reason}.",
                do="Give this user the right to write the folder, or copy the project elsewhere.",
                root=self.root,
                reason=error.strerror or error,
            ) from None
        url = self.settings.database_url or f"sqlite:///{self.hidden / 'catalogue.db'}"
        return Catalogue.open(url, create=True)

    @cached_property
    def blobs(self) -> BlobStore:
        """Bytes by their hash."""
        from darkroom.blobs import BlobStore

        return BlobStore(self.hidden / "blobs")

    @cached_property
    def engine(self) -> Engine:
        """Where maps over images and lists of tasks run."""
        from darkroom.engines import make_engine

        return make_engine(self.settings)

    def close(self) -> None:
        """Closes the catalogue if it was opened."""
        if "catalogue" in self.__dict__:
            self.catalogue.close()
            del self.__dict__["catalogue"]

    def __enter__(self) -> Workspace:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def report(
        self,
        what: str,
        *,
        done: int = 0,
        total: int | None = None,
        unit: str = "",
        stops: bool = False,
        **metrics: float,
    ) -> None:
        """Tells the face that listens how far something is.

        Args:
            what: what is being done.
            done: so many of them.
            total: of so many; None where nobody knows.
            unit: what is counted.
            stops: whether the work may end here where a person asked for that; it is begun anew then.
            metrics: figures.

        Raises:
            Cancelled: a person asked to stop.
        """
        if self.listener is not None:
            self.listener(Progress(what, done, total, unit, metrics))
        if stops and self.stop_requested.is_set():
            raise Cancelled(
                "operation.stopped",
                "Stopped while {what}.",
                do="Nothing of it was kept; the same command begins it again.",
                what=what,
            )

    def tell(self, *lines: str) -> None:
        """Tells the face that listens something that a person must hear while the operation works."""
        if self.listener is not None:
            self.listener(Progress("", 0, None, "", {}, lines))

    def again(self) -> Workspace:
        """Returns the same project for another call beside this one.

        The two share catalogue, blobs and engine; darkroom.toml is read anew. Listener and stop are own.
        Only the first one is closed.
        """
        other = Workspace(self.root, settings=self.settings)
        shared = {"catalogue": self.catalogue, "blobs": self.blobs, "engine": self.engine}
        other.__dict__.update(shared)
        return other

    def relative(self, path: Path) -> str:
        """Returns a path as the project stores it: relative to the project, with forward slashes."""
        return _relative(path.resolve(), self.root)

    def source_folder(self, source: Source) -> Path:
        """Returns the absolute folder of a source."""
        return (self.root / source.path).resolve()

    def image_files(self, image_ids: Iterable[str]) -> dict[str, ImageFile]:
        """Finds where the bytes of images can be read now.

        A file whose size and time did not change is taken at its word; one whose time changed is hashed.

        Raises:
            NotFound: an image lies nowhere any more.
            Damaged: a file holds other bytes than when it was added.
        """
        wanted = list(dict.fromkeys(image_ids))
        folders = {source.id: str(self.source_folder(source)) for source in self.catalogue.sources.list()}
        locations = self.catalogue.locations.of_images(wanted)
        return {
            image_id: self._image_file(image_id, locations.get(image_id, []), folders)
            for image_id in wanted
        }

    def read_image(self, image_id: str) -> bytes:
        """Returns the encoded bytes of one image.

        Raises:
            NotFound: the image lies nowhere any more.
            Damaged: its file holds other bytes than when it was added.
        """
        file = self.image_files([image_id])[image_id]
        return self.blobs.get(image_id) if file.from_blob else Path(file.path).read_bytes()

    def _image_file(self, image_id: str, locations: list[Location], folders: dict[str, str]) -> ImageFile:
        changed: Path | None = None
        for location in locations:
            path = f"{folders[location.source_id]}/{location.path}"
            try:
                facts = os.stat(path)  # noqa: PTH116 (a third of the time of Path.stat)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if not stat.S_ISREG(facts.st_mode):
                continue
            as_it_was = (facts.st_size, facts.st_mtime_ns) == (location.size_bytes, location.mtime_ns)
            if as_it_was or hashlib.sha256(Path(path).read_bytes()).hexdigest() == image_id:
                return ImageFile(image_id, path, facts.st_size, facts.st_mtime_ns, False)
            changed = Path(path)
        if self.blobs.has(image_id):
            return ImageFile(image_id, self.blobs.path(image_id), 0, 0, True)
        raise self._unreadable(image_id, changed, locations)

    def _unreadable(
        self, image_id: str, changed: Path | None, locations: list[Location]
    ) -> Damaged | NotFound:
        if self.catalogue.forgotten.find([image_id]):
            return NotFound(
                "image.being-forgotten",
                "Picture {image_id} is being forgotten: its bytes are gone, and its rows are not yet.",
                do="Finish it: darkroom image forget {image_id}",
                image_id=image_id,
            )
        if changed is not None:
            return Damaged(
                "image.changed",
                "{path} is not the picture that was added: its content changed.",
                do="Take the change in: darkroom run --rehash, or put the old file back.",
                path=changed,
            )
        return NotFound(
            "image.vanished",
            "Picture {path} is gone from its source.",
            do="Put it back, or freeze a dataset without it: darkroom run",
            path=locations[0].path if locations else image_id,
        )


def _not_here(folder: Path) -> NotFound:
    return NotFound(
        "project.not-here",
        "No {file} in {folder} or above it.",
        do="Make a project: darkroom init NAME --images FOLDER",
        file=PROJECT_FILE,
        folder=folder,
    )


def _resolved(path: Path | str) -> Path:
    """Returns the folder that a path names."""
    try:
        found = Path(path).resolve()
        found.exists()
    except (OSError, ValueError) as error:
        if isinstance(error, PermissionError):
            raise
        raise InvalidConfig(
            "project.no-path",
            "{path!r} cannot be the path of a folder.",
            do="Name the folder of a project: --project FOLDER",
            path=str(path)[:300],
        ) from None
    return found


def _relative(path: Path, root: Path) -> str:
    """Returns `path` relative to `root`; climbing as far as needed so that both can move together."""
    for climbed, parent in enumerate((root, *root.parents)):
        if path.is_relative_to(parent):
            return Path(*[".."] * climbed, path.relative_to(parent)).as_posix()
    return path.as_posix()
