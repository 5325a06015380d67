"""Render a dataset version under its contract: once, whole or not at all, in worker processes."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from filelock import FileLock

from darkroom import atomic
from darkroom.datasets.manifest import Manifest, ShardFacts, read_manifest, write_manifest
from darkroom.engines import Failure
from darkroom.errors import Damaged, Invalid, InvalidLabel, refused_by_disk
from darkroom.records import SPLITS, Contract, DatasetVersion, Member, Split, content_id
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.datasets.rendering import Rendering
    from darkroom.datasets.shards import Place, Shards

__all__ = ["find_rendering", "read_file", "refuse_empty", "render", "rendering_folder"]

CHUNK = 16
"""Pictures that a worker is given at a time."""

LOOKED_UP = 128
"""Pictures whose files are looked up at a time: few, so that workers need not wait for it."""

REPORTED = 50
"""Pictures between two reports of progress."""


def render(workspace: Workspace, version: DatasetVersion) -> Rendering:
    """Returns the rendering of a dataset version, made now if it is not there or not whole.

    Two processes that ask at the same time make it once.

    Raises:
        NotFound: the file of a picture is gone.
        Damaged: the file of a picture holds something else than when it was added.
        InvalidLabel: a mask does not fit its picture.
        Invalid: every picture of the version was forgotten.
        StorageFailed: the disk refuses; nothing half-written is left.
    """
    from darkroom.datasets.rendering import Rendering

    refuse_empty(version)
    folder = rendering_folder(workspace, version)
    while True:
        manifest = _manifest_of(folder, version)
        if manifest is None:
            workspace.renderings.mkdir(parents=True, exist_ok=True)
            atomic.sweep(workspace.renderings)
            # The operating system lets go of this lock when its process ends, however that happens.
            with FileLock(f"{folder}.lock"):
                manifest = _manifest_of(folder, version) or _write(workspace, version, folder)
        try:
            return Rendering(folder, version, manifest)
        except FileNotFoundError:
            continue  # somebody cleaned up in between


def find_rendering(workspace: Workspace, version: DatasetVersion) -> Rendering | None:
    """Returns the rendering of a dataset version if it is there and whole; makes nothing."""
    from darkroom.datasets.rendering import Rendering

    folder = rendering_folder(workspace, version)
    manifest = _manifest_of(folder, version)
    try:
        return None if manifest is None else Rendering(folder, version, manifest)
    except FileNotFoundError:
        return None  # somebody cleaned up in between


def rendering_folder(workspace: Workspace, version: DatasetVersion) -> Path:
    """Returns where the rendering of a dataset version lies, or would lie."""
    return workspace.renderings / f"{version.content[:16]}-{content_id(version.contract)[:8]}"


def refuse_empty(version: DatasetVersion) -> None:
    """Refuses a dataset version whose every picture was forgotten.

    Raises:
        Invalid: nothing is left in it.
    """
    if version.forgotten and not version.counts:
        raise Invalid(
            "dataset.all-forgotten",
            "Dataset {ref} holds no picture any more: all {count} were forgotten.",
            do="Freeze what is left as a new version: darkroom run",
            ref=version.ref,
            count=version.forgotten,
        )


class RenderFile(NamedTuple):
    """A picture to be rendered."""

    image_id: str
    path: str
    from_blob: bool
    place: Place
    """Where its pixels belong."""
    mask: str = ""
    """Where the blob of its mask lies; empty where there are none."""


def render_file(file: RenderFile, *, contract: Contract, max_pixels: int, classes: int) -> int:
    """Renders one picture, and its mask, into its place; returns its checksum; called in worker processes.

    Raises:
        Damaged: a blob does not hold the bytes that were put.
        InvalidLabel: the mask does not fit the picture or the classes.
    """
    from darkroom.datasets.masks import mask_tensor
    from darkroom.datasets.shards import put_pixels
    from darkroom.images import apply_contract, decode

    data = read_file(file.path)
    if file.from_blob:
        _check_blob(data, file.image_id, file.path)
    prepared = apply_contract(decode(data, max_pixels=max_pixels), contract)
    if not file.mask:
        return put_pixels(file.place, prepared.tensor)
    mask = read_file(file.mask)
    _check_blob(mask, file.mask.rpartition("/")[2], file.mask)
    return put_pixels(file.place, prepared.tensor, mask_tensor(mask, prepared.transform, classes))


def _check_blob(data: bytes, sha256: str, path: str) -> None:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise Damaged(
            "blob.not-as-put",
            "{path} does not hold the bytes that were written there.",
            do="Put the file back from a copy.",
            path=path,
        )


def read_file(path: str) -> bytes:
    """Returns the bytes of a file or of a URL that fsspec opens."""
    if "://" not in path:
        return Path(path).read_bytes()
    import fsspec

    with fsspec.open(path, "rb") as file:
        return file.read()  # type: ignore[union-attr]


def _manifest_of(folder: Path, version: DatasetVersion) -> Manifest | None:
    return read_manifest(
        folder, dataset=version.content, contract=content_id(version.contract), counts=version.counts
    )


def _write(workspace: Workspace, version: DatasetVersion, folder: Path) -> Manifest:
    if version.forgotten:
        count = "a picture" if version.forgotten == 1 else f"{version.forgotten:,} pictures"
        workspace.tell(f"{version.ref} is rendered without {count} forgotten since it was frozen.")
    start = atomic.start_of_machine()
    with atomic.write_folder(folder, lasting=not start) as aside:
        manifest = Manifest(
            dataset=version.content,
            contract=content_id(version.contract),
            counts=version.counts,
            shards=tuple(_write_splits(workspace, version, aside)),
            start=start,
        )
        write_manifest(aside, manifest)
    return manifest


def _write_splits(workspace: Workspace, version: DatasetVersion, aside: Path) -> list[ShardFacts]:
    from darkroom.datasets.shards import Shards

    splits: list[Split] = [split for split in SPLITS if version.counts.get(split)]
    masks = version.task == "segmentation"
    shards: dict[Split, Shards] = {split: Shards(aside, split, version.contract, masks) for split in splits}
    waiting, progress = deque[Member](), _Progress(workspace, version)
    reader = partial(
        render_file,
        contract=version.contract,
        max_pixels=workspace.settings.max_pixels,
        classes=len(version.classes),
    )
    try:
        # One stream through all splits: workers do not stand still between two of them.
        for result in workspace.engine.map(
            reader, _files(workspace, version, shards, waiting), chunk=CHUNK
        ):
            if isinstance(result, Failure):
                raise _refusal(result)
            member = waiting.popleft()
            shards[member.split].put(member, result)
            progress.step()
        return [facts for one in shards.values() for facts in one.finish()]
    finally:
        for one in shards.values():
            one.close()


def _files(
    workspace: Workspace, version: DatasetVersion, shards: Mapping[Split, Shards], waiting: deque[Member]
) -> Iterator[RenderFile]:
    """Yields all pictures, lays out their places, and puts the members into the queue."""
    for split, of_split in shards.items():
        members = workspace.catalogue.datasets.members(version.ref, split)
        while batch := list(islice(members, of_split.batch_rows)):
            places = of_split.reserve(batch)
            for start in range(0, len(batch), LOOKED_UP):
                part = batch[start : start + LOOKED_UP]
                files = workspace.image_files(member.image_id for member in part)
                for member, place in zip(part, places[start : start + LOOKED_UP], strict=True):
                    file = files[member.image_id]
                    waiting.append(member)
                    mask = workspace.blobs.path(member.label) if place.mask_offset is not None else ""
                    yield RenderFile(file.image_id, file.path, file.from_blob, place, mask)


def _refusal(failure: Failure) -> Exception:
    path, error = failure.item.path, failure.error
    if isinstance(error, Damaged | InvalidLabel):
        return error
    if refused := refused_by_disk(error):
        return refused  # of which `write_folder` makes a StorageFailed
    return Damaged(
        "rendering.picture",
        "{path} was a picture when it was added, and cannot be rendered now: {why}",
        do="Put the old file back, or take the change in: darkroom run --rehash",
        path=path,
        why=error,
    )


class _Progress:
    """Tells the face that listens how far the rendering is."""

    def __init__(self, workspace: Workspace, version: DatasetVersion) -> None:
        self._workspace = workspace
        self._what = f"rendering {version.ref}"
        self._total = sum(version.counts.values())
        self._done = 0

    def step(self) -> None:
        self._done += 1
        if self._done % REPORTED == 0 or self._done == self._total:
            self._workspace.report(self._what, done=self._done, total=self._total, unit="images")
