"""What a blob store keeps, the same in a folder and on any file system of fsspec."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from darkroom.blobs import BlobStore
from darkroom.errors import Damaged, Invalid, NotFound


@pytest.fixture(params=["folder", "file-url", "fsspec"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BlobStore]:
    """An empty store; its folder is not there yet."""
    if request.param == "folder":
        yield BlobStore(tmp_path / "project 1" / "blobs")
    elif request.param == "file-url":
        yield BlobStore(f"file://{tmp_path}/blobs")
    else:
        place = f"/{tmp_path.name}"
        yield BlobStore(f"memory://{place}")
        files = fsspec.filesystem("memory")
        if files.exists(place):
            files.rm(place, recursive=True)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(data=st.binary(max_size=500))
def test_bytes_come_back_under_their_hash(blobs: BlobStore, data: bytes) -> None:
    blob = blobs.put(data)
    assert blob == hashlib.sha256(data).hexdigest()
    assert blobs.has(blob)
    assert blobs.get(blob) == data


def test_putting_the_same_bytes_again_keeps_one_blob(blobs: BlobStore) -> None:
    assert blobs.put(b"one") == blobs.put(b"one")
    blobs.put(b"two")
    assert list(blobs.list()) == sorted(hashlib.sha256(data).hexdigest() for data in (b"one", b"two"))


def test_an_empty_store_lists_nothing(blobs: BlobStore) -> None:
    assert list(blobs.list()) == []


def test_a_blob_lies_two_folders_deep_where_fsspec_can_open_it(blobs: BlobStore) -> None:
    blob = blobs.put(b"pixels")
    assert blobs.path(blob).endswith(f"/{blob[:2]}/{blob[2:4]}/{blob}")
    with fsspec.open(blobs.path(blob)) as file:
        assert file.read() == b"pixels"  # type: ignore[union-attr]


def test_a_blob_that_is_not_there_is_not_found(blobs: BlobStore) -> None:
    assert not blobs.has("0" * 64)
    with pytest.raises(NotFound, match="No blob"):
        blobs.get("0" * 64)


def test_a_deleted_blob_is_gone_and_can_be_put_again(blobs: BlobStore) -> None:
    blob = blobs.put(b"x")
    blobs.delete(blob)
    blobs.delete(blob)
    assert not blobs.has(blob)
    assert list(blobs.list()) == []
    assert blobs.put(b"x") == blob
    assert blobs.get(blob) == b"x"


@pytest.mark.parametrize("damage", [b"pixelz", b"pix", b"", b"pixels and more"])
def test_changed_bytes_are_damage_that_names_the_file(blobs: BlobStore, damage: bytes) -> None:
    blob = blobs.put(b"pixels")
    with fsspec.open(blobs.path(blob), "wb") as file:
        file.write(damage)  # type: ignore[union-attr]
    with pytest.raises(Damaged) as refused:
        blobs.get(blob)
    assert blobs.path(blob) in str(refused.value)
    if len(damage) != len(b"pixels"):
        blobs.put(b"pixels")  # a file cut short is written anew
        assert blobs.get(blob) == b"pixels"


@pytest.mark.parametrize("wrong", ["", "abc", "../../../etc/passwd", "A" * 64, "0" * 65, "0" * 63 + "/"])
def test_only_a_hash_names_a_blob(blobs: BlobStore, wrong: str) -> None:
    for act in (blobs.has, blobs.get, blobs.path, blobs.delete):
        with pytest.raises(Invalid, match="sha256"):
            act(wrong)
