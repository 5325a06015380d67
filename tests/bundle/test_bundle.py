"""Bundles: written whole or not at all, read only when every file is what was written."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from darkroom.bundle import ExtraFile, read_bundle
from darkroom.errors import Damaged, Invalid, NotFound, StorageFailed, Unsupported
from darkroom.records import Contract
from tests.bundle import made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made.bundle(tmp_path / "bundle")
    return tmp_path / "bundle"


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    card = made.card()
    manifest = made.bundle(tmp_path / "bundle", card=card)
    bundle = read_bundle(tmp_path / "bundle")
    assert (bundle.manifest, bundle.card, bundle.contract) == (manifest, card, made.CONTRACT)
    assert bundle.golden.probabilities is not None
    assert (bundle.golden.probabilities == made.golden().probabilities).all()
    assert (bundle.golden.tensors == made.golden().tensors).all()
    assert bundle.model_path("litert").read_bytes() == bytes(range(256)) * 4
    assert {file.role for file in manifest.files} == {
        "card", "contract", "golden", "model", "readme", "report", "script", "snippet",
    }  # fmt: skip


def test_the_id_follows_the_content(tmp_path: Path) -> None:
    card = made.card()
    ids = {made.bundle(tmp_path / f"b{i}", card=card).id for i in range(2)}
    other = made.bundle(tmp_path / "b3", card=card, name="boots").id
    assert other not in ids
    assert all(len(found) == 64 for found in ids)


def test_the_folder_can_be_moved(folder: Path, tmp_path: Path) -> None:
    shutil.move(folder, tmp_path / "elsewhere")
    assert read_bundle(tmp_path / "elsewhere").manifest.name == "shoes"


def test_a_missing_model_is_said_with_what_there_is(folder: Path) -> None:
    with pytest.raises(NotFound, match="no coreml .*onnx float32, litert float32"):
        read_bundle(folder).model_path("coreml")


def listed(folder: Path) -> list[str]:
    return [file["path"] for file in json.loads((folder / "bundle.json").read_text("utf-8"))["files"]]


def test_one_changed_byte_in_any_file_is_found_and_the_file_named(folder: Path) -> None:
    places = listed(folder)
    assert len(places) > 15
    for place in places:
        path = folder / place
        data = path.read_bytes()
        for at in (0, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(Damaged) as refused:
                read_bundle(folder)
            assert refused.value.message.startswith(f"{place} in the bundle")
        path.write_bytes(data)
    read_bundle(folder)


def test_one_changed_byte_in_the_manifest_is_found_wherever_it_is(folder: Path) -> None:
    path = folder / "bundle.json"
    data = path.read_bytes()
    for at in range(0, len(data) - 1, 5):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(Damaged, match=r"bundle\.json in the bundle"):
            read_bundle(folder)


@pytest.mark.parametrize("place", ["models/shoes.onnx", "golden/odd-size.bin", "contract.json"])
def test_a_file_that_is_gone_or_cut_is_named(folder: Path, place: str) -> None:
    data = (folder / place).read_bytes()
    (folder / place).write_bytes(data[:-1])
    with pytest.raises(Damaged, match=f"{place} .*bytes instead of {len(data)}"):
        read_bundle(folder)
    (folder / place).unlink()
    with pytest.raises(Damaged, match=f"{place} .*missing"):
        read_bundle(folder)


def test_a_folder_without_a_manifest_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is no bundle"):
        read_bundle(tmp_path)


@pytest.mark.parametrize("place", ["../outside.txt", "/etc/hostname"])
def test_a_path_out_of_the_bundle_is_never_opened(folder: Path, place: str) -> None:
    (folder.parent / "outside.txt").write_bytes(b"secret")

    def lead_out(manifest: dict[str, Any]) -> None:
        manifest["files"][0]["path"] = place

    made.rewrite(folder, "bundle.json", lead_out)
    with pytest.raises(Damaged, match="leads out of the bundle"):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("place", "change", "says"),
    [
        ("bundle.json", {"schema_version": 2}, "version 2"),
        ("model-card.json", {"schema_version": 3}, "version 3"),
        ("golden/golden.json", {"schema_version": 2}, "version 2"),
        ("contract.json", {"schema_version": 9}, "version 9"),
        ("contract.json", {"contract_version": 2}, "version 2"),
    ],
)
def test_what_a_newer_darkroom_wrote_is_refused_with_the_way_out(
    folder: Path, place: str, change: dict[str, int], says: str
) -> None:
    made.rewrite(folder, place, lambda content: content.update(change))
    with pytest.raises(Unsupported, match=says) as refused:
        read_bundle(folder)
    assert "pip install --upgrade darkroom" in refused.value.hint


def test_keys_that_a_newer_version_added_do_not_disturb(folder: Path) -> None:
    for place in ("bundle.json", "model-card.json", "contract.json", "golden/golden.json"):
        made.rewrite(folder, place, lambda content: content.update(added_later=[1, 2]))
    assert read_bundle(folder).card.network == "lenet"


def test_a_contract_other_than_the_cards_is_refused(folder: Path) -> None:
    made.rewrite(folder, "contract.json", lambda content: content["contract"].update(resize="crop"))
    with pytest.raises(Damaged, match=r"contract\.json .*not the card's contract"):
        read_bundle(folder)


def test_labels_that_do_not_fit_the_answers_are_refused_when_read(folder: Path) -> None:
    made.rewrite(folder, "model-card.json", lambda card: card["labels"].pop())
    with pytest.raises(Invalid, match="answer with 3 probabilities; the card has 2 labels"):
        read_bundle(folder)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"card": made.card(labels=("a", "b"))}, "3 probabilities, but the card has 2 labels"),
        ({"golden": made.golden(classes=4)}, "4 probabilities, but the card has 3 labels"),
        ({"card": made.card(labels=("a", "b", "a"))}, "stands twice"),
        ({"card": made.card(contract=Contract(width_px=12, height_px=10))}, "another contract"),
        ({"extra": [ExtraFile("bundle.json", b"", "x")]}, "taken"),
        ({"extra": [ExtraFile("golden/more.bin", b"", "x")]}, "taken"),
        ({"extra": [ExtraFile("../x", b"", "x")]}, "taken"),
    ],
)
def test_what_does_not_fit_together_is_not_bundled(
    tmp_path: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(Invalid, match=says):
        made.bundle(tmp_path / "bundle", **changes)
    assert not (tmp_path / "bundle").exists()


def test_a_model_with_another_number_of_outputs_is_not_bundled(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match=r"shoes\.onnx answers with 1000 probabilities"):
        made.bundle(tmp_path / "bundle", models=[made.model(tmp_path, outputs=1000)])


def test_two_models_of_one_name_are_not_bundled(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="taken"):
        made.bundle(tmp_path / "bundle", models=[made.model(tmp_path)] * 2)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    gone = made.model(tmp_path)
    gone.path.unlink()
    with pytest.raises(NotFound, match=r"shoes\.onnx"):
        made.bundle(tmp_path / "bundle", models=[gone])


@pytest.mark.parametrize(
    "writer", ["shutil.copyfile", "pathlib.Path.write_bytes", "pathlib.Path.write_text"]
)
def test_a_full_disk_leaves_the_old_bundle_and_nothing_else(
    folder: Path, writer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = read_bundle(folder).manifest
    around = sorted(folder.parent.iterdir())
    model = made.model(folder.parent)

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writer, full)
        with pytest.raises(StorageFailed, match="no room left"):
            made.bundle(folder, models=[model])
    assert read_bundle(folder).manifest == before
    assert sorted(folder.parent.iterdir()) == around


def test_a_bundle_takes_the_place_of_the_old_one(folder: Path) -> None:
    made.bundle(folder, name="boots", extra=[])
    assert read_bundle(folder).manifest.name == "boots"
    assert not (folder / "reports").exists()


def test_the_readme_tells_a_person_input_output_and_check(folder: Path) -> None:
    text = (folder / "README.txt").read_text("utf-8")
    for said in (
        "(1, 10, 12, 3)",
        "models/shoes.onnx",
        *made.LABELS,
        "golden.json",
        "sorting shoes",
        "r-1",
    ):
        assert said in text
    assert max(map(len, text.splitlines())) <= 96
