"""Read the files of a source that must be read, and put pictures and places into the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from itertools import islice

from darkroom.engines import Failure
from darkroom.errors import Invalid
from darkroom.formats import Entry
from darkroom.records import Image, Location, now
from darkroom.sources.inventory import Inventory, Seen
from darkroom.sources.picture import (
    PictureFile,
    ReadLimits,
    ReadPicture,
    forgotten_again,
    read_picture,
    refusal_of,
)
from darkroom.workspace import Workspace

__all__ = ["take_in"]

BATCH = 500
"""Pictures that go into the catalogue at a time."""


def take_in(workspace: Workspace, inventory: Inventory, facts: Mapping[str, str]) -> frozenset[str]:
    """Reads files in worker processes; what cannot be read is refused, and the rest goes on.

    Args:
        workspace: the project.
        inventory: says which files to read, and is told what they hold.
        facts: origin, licence and collector of new pictures.

    Returns:
        The pictures that the project did not hold before.
    """
    settings = workspace.settings
    limits = ReadLimits(settings.max_pixels, settings.max_file_bytes, settings.keep_place)
    reading = inventory.reading
    values, colours = dict(reading.mask_values), dict(reading.mask_colours)
    reader = partial(read_picture, limits=limits, mask_values=values, mask_colours=colours)
    total, done, first_seen = len(inventory.to_read), 0, set[str]()
    files = [_file(inventory, seen) for seen in inventory.to_read]
    pairs = zip(inventory.to_read, workspace.engine.map(reader, files), strict=True)
    while batch := list(islice(pairs, BATCH)):
        first_seen |= _store(workspace, inventory, list(_good(workspace, inventory, batch)), facts)
        done += len(batch)
        workspace.report("reading pictures", done=done, total=total, unit="images")
    inventory.notes.save()
    return frozenset(first_seen)


def _file(inventory: Inventory, seen: Seen) -> PictureFile:
    entry, known = seen.entry, inventory.known.get(seen.entry.path)
    return PictureFile(
        path=entry.path,
        file=f"{inventory.folder}/{entry.path}",
        known=known.image_id if known else None,
        mask=f"{inventory.folder}/{entry.mask}" if entry.mask else None,
        size_bytes=seen.size_bytes,
    )


def _good(
    workspace: Workspace, inventory: Inventory, batch: Iterable[tuple[Seen, ReadPicture | str | Failure]]
) -> Iterator[tuple[Seen, str, Image | None]]:
    """Yields the pictures that could be read; None in place of their facts when they were known."""
    read = list(batch)
    gone = workspace.catalogue.forgotten.find(
        _id_of(result) for _, result in read if not isinstance(result, Failure)
    )
    for seen, result in read:
        path = seen.entry.path
        if isinstance(result, Failure):
            inventory.refuse(path, refusal_of(result.error, path), seen.size_bytes, seen.mtime_ns)
            continue
        image_id = _id_of(result)
        if image_id in gone:
            inventory.refuse(path, forgotten_again(gone[image_id]), seen.size_bytes, seen.mtime_ns)
            continue
        if inventory.source.mode == "copy" and not _copied(workspace, inventory, path, image_id):
            continue
        if isinstance(result, str):
            yield seen, image_id, None
        else:
            _take_mask(workspace, inventory, seen.entry, result)
            yield seen, image_id, result.image


def _id_of(result: ReadPicture | str) -> str:
    return result if isinstance(result, str) else result.image.id


def _store(
    workspace: Workspace,
    inventory: Inventory,
    found: list[tuple[Seen, str, Image | None]],
    facts: Mapping[str, str],
) -> set[str]:
    images: dict[str, Image] = {}
    places: list[Location] = []
    for seen, image_id, image in found:
        known = inventory.known.get(seen.entry.path)
        place = Location(
            image_id=image_id,
            source_id=inventory.source.id,
            path=seen.entry.path,
            size_bytes=seen.size_bytes,
            mtime_ns=seen.mtime_ns,
        )
        inventory.holds[place.path] = image_id
        same = known is not None and known.image_id == image_id
        inventory.counts["unchanged" if same else "new" if known is None else "changed"] += 1
        if place != known:
            places.append(place)
        if image is not None and not same:
            more = {"group": seen.entry.group, "metadata": seen.entry.metadata, "collected_at": now()}
            images.setdefault(image_id, image.model_copy(update={**facts, **more}))
    first_seen = images.keys() - workspace.catalogue.images.many(images).keys()
    if images or places:
        workspace.catalogue.images.add(images.values(), places)
    return first_seen


def _take_mask(workspace: Workspace, inventory: Inventory, entry: Entry, result: ReadPicture) -> None:
    if entry.mask is None:
        return
    facts = inventory.facts_of(entry.mask) or (0, 0)
    if result.mask_error is not None:
        inventory.refuse(entry.mask, result.mask_error, *facts)
    elif result.mask is not None:
        blob = workspace.blobs.put(result.mask)
        inventory.masks[entry.path] = blob
        inventory.notes.note(entry.mask, *facts, blob)


def _copied(workspace: Workspace, inventory: Inventory, path: str, image_id: str) -> bool:
    """Copies a picture into the blobs; False when its file changed since it was read."""
    if workspace.blobs.has(image_id):
        return True
    try:
        data = (inventory.folder / path).read_bytes()
    except OSError as error:
        inventory.refuse(path, refusal_of(error, path))
        return False
    if workspace.blobs.put(data) == image_id:
        return True
    changing = Invalid("file.changing", "{path} changed while it was read.", do="Scan it again.", path=path)
    inventory.refuse(path, changing)
    return False
