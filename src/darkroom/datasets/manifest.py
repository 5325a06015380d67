"""What a rendering consists of, so that one that is half written or damaged is never taken for whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from darkroom import atomic
from darkroom.errors import Damaged
from darkroom.records import Fact, FrozenMap, Record

__all__ = ["MANIFEST_FILE", "Manifest", "ShardFacts", "read_manifest", "write_manifest"]

MANIFEST_FILE = "manifest.json"


class ShardFacts(Fact):
    """One Arrow file of a rendering."""

    split: str
    """The split whose pictures it holds."""
    file: str
    """Its name."""
    rows: int
    """How many pictures."""
    size_bytes: int
    mtime_ns: int
    """Time of its last change; where it is another one now, the checksum decides."""
    checksum: int
    """Checksum of its texts and pixels; it finds damage, a dataset's hash says what should be there."""


class Manifest(Record):
    """A whole rendering."""

    dataset: str
    """Hash of what the dataset version holds, sha256."""
    contract: str
    """Id of the contract, sha256."""
    counts: FrozenMap[str, int]
    """Pictures per split."""
    shards: tuple[ShardFacts, ...]
    """Its files, in order."""
    start: str = ""
    """Start of the machine since which size and time of change vouch for the files: pixels are left to
    the system to write, and after a power cut only checksums know. Empty: the disk was waited for."""

    def of_split(self, split: str) -> list[ShardFacts]:
        """Returns the files of one split, in order."""
        return [shard for shard in self.shards if shard.split == split]


def read_manifest(
    folder: Path, *, dataset: str, contract: str, counts: Mapping[str, int]
) -> Manifest | None:
    """Returns the manifest of a rendering that is whole and the one that is wanted, else None.

    Args:
        folder: the rendering.
        dataset: id that it must have.
        contract: id that it must have.
        counts: pictures per split that it must have.
    """
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValidationError):
        return None
    right = (manifest.dataset, manifest.contract, dict(manifest.counts)) == (
        dataset,
        contract,
        dict(counts),
    )
    rows = {split: sum(shard.rows for shard in manifest.of_split(split)) for split in counts}
    known = manifest.start in ("", atomic.start_of_machine())
    if not right or rows != dict(counts):
        return None
    if not all(_is_whole(folder, shard, known=known) for shard in manifest.shards):
        return None
    return manifest if known else _vouched_for(folder, manifest)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Writes the manifest of a rendering, the last of its files."""
    atomic.write_text(folder / MANIFEST_FILE, manifest.model_dump_json(indent=1))


def _vouched_for(folder: Path, manifest: Manifest) -> Manifest:
    """Notes that the checksums were right since this start of the machine."""
    manifest = manifest.model_copy(update={"start": atomic.start_of_machine()})
    write_manifest(folder, manifest)
    return manifest


def _is_whole(folder: Path, shard: ShardFacts, *, known: bool) -> bool:
    path = folder / shard.file
    try:
        facts = path.stat()
    except OSError:
        return False
    if facts.st_size != shard.size_bytes:
        return False
    return (known and facts.st_mtime_ns == shard.mtime_ns) or _has_checksum(path, shard.checksum)


def _has_checksum(path: Path, wanted: int) -> bool:
    from darkroom.datasets.shards import checksum

    try:
        return checksum(path) == wanted
    except Damaged:
        return False
