"""Erase pictures from a project's files: caches, pages, answers, bundles, copies, the pictures themselves.

Each step can be done again: whoever was killed in the middle does all of them once more. The bytes go last,
so that everything made from them can still be recognised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from darkroom import atomic
from darkroom.errors import Damaged, Locked
from darkroom.locks import is_held
from darkroom.operations.holders import Holders, features_of, renderings_of, tensors_of
from darkroom.operations.kept import kept_parity
from darkroom.operations.looking_through import SEARCHED_BYTES, files_below, folders_in, holds_any
from darkroom.operations.noting import NOTES_FILE
from darkroom.operations.run_pictures import split_seed_of
from darkroom.records import Location, Quarantined, Tombstone, names_file
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.export import FileParity

__all__ = ["Eraser"]

FORGOTTEN_NAME = "(forgotten)"
"""Stands for the name of a picture's file, as in what jobs were asked."""

WAIT_S = 60.0
"""How long to wait for somebody who writes a rendering."""

OF_ANY = ("07-evaluation/*", "08-tuned/asked-*", "09-mobile/dump-*", "09-mobile/diff-*")
"""What may show any picture of the project: suspects, must-pass pictures, one picture explained, dumps."""

OF_DATASETS = ("04-dataset", "06-augmentation.png")
OF_RUNS = ("06-training/*.html", "07-evaluation/*", "report.html")
OF_BUNDLES = ("09-mobile/parity.*",)
"""What is handed over and embeds pictures, or lists them, by what it was made from."""


class Eraser:
    """Erases pictures from files, and remembers what it deleted and what it had to leave.

    Args:
        workspace: the project, held by the caller.
        tombstones: the pictures.
        holders: what holds them.
        delete_outside: delete files of the sources outside the project, too.
    """

    def __init__(
        self,
        workspace: Workspace,
        tombstones: dict[str, Tombstone],
        holders: Holders,
        *,
        delete_outside: bool,
    ) -> None:
        self.deleted: list[str] = []
        """Paths, relative to the project where they lay inside it."""
        self.remaining: list[str] = []
        """Files outside the project that still hold a picture or its mask."""
        self._workspace, self._tombstones, self._holders = workspace, tombstones, holders
        self._delete_outside = delete_outside
        self._words = [image_id.encode() for image_id in tombstones]
        self._own_masks = workspace.catalogue.forgotten.own_masks(tombstones)

    def erase(self) -> None:
        """Erases everything, the bytes themselves last.

        Raises:
            Locked: somebody began to use a rendering in the meantime; forgetting again finishes.
        """
        self._erase_caches()
        self._erase_runs()
        self._erase_bundles()
        self._erase_sketches()
        self._erase_pages()
        self._erase_notes()
        self._erase_copies()
        self._erase_masks()
        self._erase_originals()

    def _erase_caches(self) -> None:
        for folder in renderings_of(self._workspace, self._holders):
            with FileLock(f"{folder}.lock", timeout=WAIT_S):
                self._remove(folder)
        for left in self._workspace.renderings.glob(f"{atomic.ASIDE}*"):
            if left in atomic.leftovers(self._workspace.renderings):
                self._remove(left)
        for file in features_of(self._workspace, self._tombstones):
            self._remove(file)

    def _erase_runs(self) -> None:
        from darkroom.evaluation import forget_answers

        for folder in folders_in(self._workspace.runs_folder):
            for file in forget_answers(folder, self._tombstones):
                self.deleted.append(f"{self._shown(file)} (rows of the picture)")
            if (folder / NOTES_FILE).is_file() and self._mentions(folder / NOTES_FILE):
                self._remove(folder / NOTES_FILE)  # a copy: what is left of the note is in the catalogue
        for run in self._holders.runs:
            if self._may_be_redrawn(run.id) or run.dataset in self._holders.trained_on:
                self._remove(self._workspace.runs_folder / run.id / "augmentation.png")
            for name in (
                "watch",
                "broken",
                "diagnosis.json",
            ):  # they show or name pictures of train and val
                self._remove(self._workspace.runs_folder / run.id / name)

    def _may_be_redrawn(self, run: str) -> bool:
        """Says whether a run may have trained on pictures of val, by a split of its own."""
        try:
            return split_seed_of(self._workspace, run) is not None
        except Damaged:
            return True

    def _erase_bundles(self) -> None:
        """Deletes bundles whose golden vectors are made of the pictures; takes flips out of comparisons."""
        tensors = tensors_of(self._workspace, self._holders)
        places = [self._workspace.deliverables / "09-mobile" / "bundle"]
        for bundle in (*folders_in(self._workspace.bundles_folder), *places):
            files = list(files_below(bundle / "golden"))
            if any(self._is_picture(file) or _holds_one(file, tensors) for file in files):
                self._remove(bundle)
        for path in self._workspace.bundles_folder.glob("b-*-parity.json"):
            if self._mentions(path):
                self._without_flips(path)

    def _erase_sketches(self) -> None:
        from darkroom.operations.erasing_sketches import erase_sketches

        for folder in erase_sketches(self._workspace, self._tombstones):
            self.deleted.append(f"{self._shown(folder)} (rows of the picture)")

    def _without_flips(self, path: Path) -> None:
        try:
            report = kept_parity(path)
        except Damaged:  # nothing of it can be kept
            self._remove(path)
            return
        files = tuple(self._without(file) for file in report.files)
        text = report.model_copy(update={"files": files}).model_dump_json(indent=1)
        atomic.write_text(path, text + "\n")
        self.deleted.append(f"{self._shown(path)} (rows of the picture)")

    def _without(self, file: FileParity) -> FileParity:
        """Returns the comparison of a file without the pictures among its differences."""
        kept = tuple(one for one in file.flips if one.image_id not in self._tombstones)
        changes: dict[str, object] = {"flips": kept}
        if file.pixels is not None:
            flips = tuple(one for one in file.pixels.flips if one.image_id not in self._tombstones)
            changes["pixels"] = file.pixels.model_copy(update={"flips": flips})
        return file.model_copy(update=changes)

    def _erase_pages(self) -> None:
        """Deletes what was handed over and shows the pictures or may show them; a stage makes it anew."""
        place = self._workspace.deliverables
        patterns = [
            *OF_ANY,
            *(OF_DATASETS if self._holders.versions else ()),
            *(OF_RUNS if self._holders.runs else ()),
            *(OF_BUNDLES if self._holders.bundles else ()),
        ]
        for path in (path for pattern in patterns for path in sorted(place.glob(pattern))):
            self._remove(path)
        for folder in folders_in(place / "03-raw"):
            if any(self._mentions(file) for file in files_below(folder)):
                self._remove(folder)
        for file in files_below(place):
            if self._mentions(file):
                self._remove(file)

    def _erase_notes(self) -> None:
        """Deletes what jobs, scans and old copies of the catalogue still say about the pictures."""
        hidden = self._workspace.hidden
        for file in files_below(hidden / "scans"):
            if self._own_masks and holds_any(file, [blob.encode() for blob in self._own_masks]):
                self._remove(file)
        for folder in folders_in(self._workspace.jobs_folder):
            at_work = is_held(folder / "process.lock")
            if not at_work and any(
                self._mentions(file) or self._names(file) for file in files_below(folder)
            ):
                self._remove(folder)
        for copy in (*hidden.glob("catalogue-before-*.db*"), *hidden.glob(".aside-*-catalogue-before-*")):
            self._remove(copy)

    def _erase_copies(self) -> None:
        """Deletes every file in the project that holds a picture's bytes, whatever it is called."""
        sizes = {image.size_bytes for image in self._holders.images.values()}
        for file in files_below(self._workspace.root):
            named = any(word.decode() in file.name for word in self._words)
            if named or (file.stat().st_size in sizes and self._is_picture(file)):
                self._remove(file, named=False)
        for image_id in self._tombstones:
            self._workspace.blobs.delete(image_id)

    def _erase_masks(self) -> None:
        for blob in self._own_masks:
            if self._workspace.blobs.has(blob):
                self._workspace.blobs.delete(blob)
                self.deleted.append(f"blob {blob[:12]} (mask)")

    def _erase_originals(self) -> None:
        """Deletes the pictures in the sources, or notes which of them stay."""
        kept: list[Quarantined] = []
        for place, path in self._originals():
            if path.is_symlink():
                target = path.resolve()
                if target.is_relative_to(self._workspace.root) or self._delete_outside:
                    self._remove(target, named=False)
            if self._is_inside(path) or self._delete_outside:
                self._remove(path, named=False)
            if path.exists():
                self.remaining.append(str(path))
                kept.append(self._set_aside(place, path))
        self._workspace.catalogue.quarantine.put(kept)

    def _originals(self) -> Iterator[tuple[Location, Path]]:
        sources = {source.id: source for source in self._workspace.catalogue.sources.list()}
        for place in self._places_noted():
            path = self._workspace.source_folder(sources[place.source_id]) / place.path
            if path.is_file() and self._is_picture(path):
                yield place, path

    def _places_noted(self) -> Iterator[Location]:
        """Gives the places of the pictures, and those where forgotten pictures were left before."""
        from darkroom.sources.picture import FORGOTTEN

        yield from self._holders.places
        catalogue = self._workspace.catalogue
        for source in catalogue.sources.list():
            for file in catalogue.quarantine.of_source(source.id):
                if file.reason == FORGOTTEN:
                    facts = file.model_dump(include={"source_id", "path", "size_bytes", "mtime_ns"})
                    yield Location(image_id="", **facts)

    def _set_aside(self, place: Location, path: Path) -> Quarantined:
        from darkroom.sources.picture import forgotten_again

        facts, error = path.stat(), forgotten_again(self._tombstones[_hash(path)])
        return Quarantined(
            source_id=place.source_id,
            path=place.path,
            reason=error.id,
            message=str(error),
            size_bytes=facts.st_size,
            mtime_ns=facts.st_mtime_ns,
        )

    def _remove(self, path: Path, *, named: bool = True) -> None:
        """Deletes a file or folder; a folder that somebody reads is refused.

        Args:
            path: what to delete.
            named: name it in the report; the name of a picture may say who is on it, and a server keeps
                reports.
        """
        if not (path.exists() or path.is_symlink()):
            return
        if not atomic.remove(path):
            raise Locked(
                "image.used-meanwhile",
                "Another process began to read {path}, which holds the picture.",
                do="Wait until it ends, then run the same command again: it goes on from here.",
                path=path,
            )
        self.deleted.append(self._shown(path if named else path.with_name(FORGOTTEN_NAME)))

    def _is_inside(self, path: Path) -> bool:
        return path.parent.resolve().is_relative_to(self._workspace.root)

    def _is_picture(self, path: Path) -> bool:
        return _hash(path) in self._tombstones

    def _mentions(self, path: Path) -> bool:
        return holds_any(path, self._words)

    def _names(self, path: Path) -> bool:
        """Says whether a log names a file that held the picture."""
        if path.stat().st_size > SEARCHED_BYTES:
            return False
        content = path.read_text("utf-8", "replace")
        return any(names_file(content, place.path) for place in self._holders.places)

    def _shown(self, path: Path) -> str:
        root = self._workspace.root
        return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _holds_one(path: Path, contents: set[bytes]) -> bool:
    return path.stat().st_size in {len(one) for one in contents} and path.read_bytes() in contents
