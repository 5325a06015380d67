"""A dump is somebody else's file: what is broken, too new, too large or odd is said, never believed."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from darkroom.bundle import dump_reader
from darkroom.bundle.dump import Dump, DumpSide
from darkroom.bundle.dump_reader import open_dump
from darkroom.bundle.dump_writer import DumpedPicture, write_dump
from darkroom.errors import Damaged, DarkroomError, Invalid, NotFound, StorageFailed, Unsupported
from darkroom.records import now
from tests.bad_input.full_disk import files_of_at_most

PIXELS = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
ANSWERS = np.array([0.25, 0.75], np.float32)


def whole(path: Path, **more: Any) -> Path:
    picture = DumpedPicture(
        name="one",
        data=b"the bytes",
        orientation=6,
        steps={"decode": PIXELS, "tensor": PIXELS[:4], "probabilities": ANSWERS},
        layers=[("conv", "Conv2d", np.ones((2, 3, 4), np.float32))],
        answer="b",
    )
    side = DumpSide(platform="a phone", versions={"litert": "2.3"})
    write_dump(
        path, Dump(side=side, created_at=now(), labels=("a", "b"), bundle="f" * 64), [picture], **more
    )
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path: Path, change: dict[str, Any], arrays: dict[str, bytes] | None = None) -> Path:
    """The same dump with other fields in its index, or other members."""
    kept = members(path)
    index = json.loads(kept["dump.json"]) | change
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (kept | (arrays or {})).items():
            archive.writestr(name, json.dumps(index) if name == "dump.json" else data)
    return path


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def read_all(path: Path) -> None:
    with open_dump(path) as file:
        for picture in file.dump.pictures:
            file.original(picture)
            for step in picture.steps:
                file.step(picture, step)
            for place in range(len(picture.layers)):
                file.layer(picture, place)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    with open_dump(whole(tmp_path / "d.zip")) as file:
        (picture,) = file.dump.pictures
        assert file.dump.labels == ("a", "b")
        assert file.dump.side.title == "a phone"
        assert (picture.orientation, picture.answer) == (6, "b")
        assert file.original(picture) == b"the bytes"
        found = file.step(picture, "decode")
        assert found is not None
        np.testing.assert_array_equal(found, PIXELS)
        assert file.step(picture, "orient") is None
        answers = file.step(picture, "probabilities")
        assert answers is not None
        assert answers.dtype == np.float32
        assert file.layer(picture, 0).shape == (2, 3, 4)


def test_the_same_dump_becomes_the_same_bytes(tmp_path: Path) -> None:
    first, again = (whole(tmp_path / name).read_bytes() for name in ("a.zip", "b.zip"))
    moment = json.loads(members(tmp_path / "a.zip")["dump.json"])["created_at"].encode()
    other = json.loads(members(tmp_path / "b.zip")["dump.json"])["created_at"].encode()
    assert len(first) == len(again)
    assert (
        members(tmp_path / "a.zip")["dump.json"].replace(moment, other)
        == members(tmp_path / "b.zip")["dump.json"]
    )


def test_originals_may_be_left_out_and_their_hash_stays(tmp_path: Path) -> None:
    with open_dump(whole(tmp_path / "d.zip", originals=False)) as file:
        (picture,) = file.dump.pictures
        assert (picture.original, file.original(picture)) == ("", None)
        assert len(picture.sha256) == 64


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 0.99])
def test_a_dump_that_is_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    path = whole(tmp_path / "d.zip")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(Damaged, match="cannot be read"):
        read_all(path)


CHANGES: dict[str, tuple[dict[str, Any], type[DarkroomError], str]] = {
    "a newer version": ({"schema_version": 2}, Unsupported, "version 2; this Darkroom reads up to 1"),
    "no version": ({"schema_version": "one"}, Damaged, "not that of a dump"),
    "another kind": ({"kind": "holiday"}, Damaged, "not that of a dump"),
    "no pictures": ({"pictures": []}, Invalid, "holds no picture"),
    "pictures that are none": ({"pictures": 7}, Damaged, "pictures"),
    "a label twice": ({"labels": ["a", "a"]}, Damaged, "label stands twice"),
    "two of one name": (
        {"pictures": [{"name": "x"}, {"name": "x"}]},
        Damaged,
        "two pictures have one name",
    ),
    "a member that is not there": (
        {"pictures": [{"name": "x", "steps": {"tensor": "gone.npy"}}]},
        Damaged,
        "names gone.npy, which it does not hold",
    ),
    "a contract of nothing": ({"contract": {"width_px": -3}}, Damaged, "contract"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_an_index_that_makes_no_sense_is_refused(tmp_path: Path, name: str) -> None:
    change, kind, words = CHANGES[name]
    with pytest.raises(kind, match=words):
        read_all(rewritten(whole(tmp_path / "d.zip"), change))


def huge_header() -> bytes:
    """An array of 4 TB in 200 bytes."""
    head = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1000000, 1000000, 4), }"
    head += b" " * (118 - len(head) - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(100)


ARRAYS: dict[str, tuple[bytes, str]] = {
    "floats for pixels": (npy(np.zeros((4, 4, 3), np.float32)), "holds float32"),
    "two axes": (npy(np.zeros((4, 4), np.uint8)), "expected uint8"),
    "five channels": (npy(np.zeros((4, 4, 5), np.uint8)), "expected uint8"),
    "no pixel": (npy(np.zeros((0, 4, 3), np.uint8)), "expected at least one pixel"),
    "objects": (
        b"\x93NUMPY\x01\x00\x76\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        "cannot",
    ),
    "a header that promises 4 TB": (huge_header(), "for an array of"),
    "half an array": (npy(PIXELS)[:-7], "bytes"),
    "no array": (b"not an array", "cannot be read"),
    "text": (npy(np.array(["a"])), "values of type"),
    "a header of code": (
        b"\x93NUMPY\x01\x00\x40\x00" + b"__import__('os').abort()".ljust(63) + b"\n",
        "cannot be read",
    ),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_that_is_none_of_its_step_is_refused(tmp_path: Path, name: str) -> None:
    data, words = ARRAYS[name]
    path = rewritten(whole(tmp_path / "d.zip"), {}, {"pictures/0/tensor.npy": data})
    with pytest.raises((Invalid, Damaged), match=words):
        read_all(path)


def test_a_picture_that_is_not_that_of_its_hash_is_refused(tmp_path: Path) -> None:
    path = rewritten(whole(tmp_path / "d.zip"), {}, {"pictures/0/original": b"other bytes"})
    with pytest.raises(Damaged, match="not the picture of its sha256"):
        read_all(path)


def test_numbers_that_are_none_are_read_as_such(tmp_path: Path) -> None:
    data = npy(np.array([np.nan, np.inf], np.float64))
    path = rewritten(whole(tmp_path / "d.zip"), {}, {"pictures/0/probabilities.npy": data})
    with open_dump(path) as file:
        found = file.step(file.dump.pictures[0], "probabilities")
        assert found is not None
        assert not np.isfinite(found).any()


def test_nan_in_the_index_is_no_json(tmp_path: Path) -> None:
    path = whole(tmp_path / "d.zip")
    kept = members(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data.replace(b'"labels"', b'"x": NaN, "labels"'))
    with pytest.raises(Damaged, match="NaN is no JSON"):
        read_all(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("dump.json", b" " * 3_000_000)
    for limit, words in (
        ("MOST_INDEX_BYTES", "bytes in dump.json"),
        ("MOST_MEMBER_BYTES", "in one file"),
        ("MOST_BYTES", "bytes, unpacked"),
    ):
        with monkeypatch.context() as context:
            context.setattr(dump_reader, limit, 1_000_000)
            with pytest.raises(Invalid, match=words):
                read_all(path)
    with monkeypatch.context() as context:
        context.setattr(dump_reader, "MOST_MEMBERS", 0)
        with pytest.raises(Invalid, match="holds 1 files"):
            read_all(path)


def test_a_member_that_is_longer_than_it_says_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = whole(tmp_path / "d.zip")
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo("pictures/0/decode.npy").file_size
    at = data.rindex(b"pictures/0/decode.npy") - 46  # its row in the central directory
    data[at + 24 : at + 28] = struct.pack("<I", size - 8)
    path.write_bytes(bytes(data))
    with pytest.raises(Damaged):
        read_all(path)


@pytest.mark.parametrize("how", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_other_compressions_are_refused(tmp_path: Path, how: int) -> None:
    path = tmp_path / "d.zip"
    with zipfile.ZipFile(path, "w", how) as archive:
        archive.writestr("dump.json", b"{}")
    with pytest.raises(Damaged, match="compressed in another way"):
        read_all(path)


def test_there_must_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_all(tmp_path / "none.zip")
    (tmp_path / "empty.zip").write_bytes(b"")
    with pytest.raises(Damaged):
        read_all(tmp_path / "empty.zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("holiday.txt", "sun")
    with pytest.raises(Damaged, match="holds no dump.json"):
        read_all(tmp_path / "other.zip")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "it holds no JSON object"),
        ('{"kind": "darkroom-dump"}', 'with "schema_version": 1 and "kind": "darkroom-dump"'),
        ('{"schema_version": 1}', 'with "schema_version": 1 and "kind": "darkroom-dump"'),
    ],
)
def test_an_index_without_its_two_fields_is_told_which(tmp_path: Path, text: str, words: str) -> None:
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        archive.writestr("dump.json", text)
    with pytest.raises(Damaged) as caught:
        read_all(tmp_path / "d.zip")
    assert words in caught.value.message
    assert caught.value.hint.endswith("darkroom export dump")


@pytest.fixture(scope="module")
def bytes_of_a_dump(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return whole(tmp_path_factory.mktemp("dump") / "d.zip").read_bytes()


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.lists(
        st.tuples(st.integers(0, 10**9), st.binary(min_size=1, max_size=6)), min_size=1, max_size=4
    )
)
@example(changes=[(0, b"\0\0\0\0")])
def test_any_changed_bytes_are_read_or_refused_in_words(
    tmp_path: Path, bytes_of_a_dump: bytes, changes: list[tuple[int, bytes]]
) -> None:
    data = bytearray(bytes_of_a_dump)
    for place, put in changes:
        at = place % len(data)
        data[at : at + len(put)] = put
    said(tmp_path / "changed.zip", [bytes(data)])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ("schema_version", "kind", "side", "created_at", "bundle", "contract", "labels", "pictures")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.sampled_from(FIELDS), value=JSON)
@example(field="schema_version", value=True)
@example(field="pictures", value=[{"name": "x", "layers": [{"name": "l", "array": "dump.json"}]}])
def test_any_field_may_hold_anything(
    tmp_path: Path, bytes_of_a_dump: bytes, field: str, value: Any
) -> None:
    path = tmp_path / "changed.zip"
    path.write_bytes(bytes_of_a_dump)
    said(path, [rewritten(path, {field: value}).read_bytes()])


def said(path: Path, contents: Iterable[bytes]) -> None:
    """Reads files; whatever is wrong with them is one of our errors, with words."""
    for content in contents:
        path.write_bytes(content)
        refusal: DarkroomError | None = None
        try:
            read_all(path)
        except DarkroomError as error:
            refusal = error
        assert refusal is None or (refusal.message and refusal.id.startswith("dump."))


def test_a_disk_that_fills_in_the_middle_leaves_nothing(tmp_path: Path) -> None:
    with files_of_at_most(600), pytest.raises(StorageFailed):
        whole(tmp_path / "d.zip")
    assert list(tmp_path.iterdir()) == []
    read_all(whole(tmp_path / "d.zip"))
