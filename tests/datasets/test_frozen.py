"""Frozen versions: what goes in, what is left out and why, and that nothing changes afterwards."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from darkroom.datasets import SplitPlan, freeze, labels_of
from darkroom.errors import Invalid, InvalidLabel, NotFound
from darkroom.records import AnnotationEvent, Author, ClassLabel, Contract, Member, State, new_ulid, now
from darkroom.sources import scan_folder
from darkroom.workspace import Workspace
from tests.datasets.projects import add, classes, project, scanned
from tests.formats.pictures import mask_png, png, put


def members(workspace: Workspace, ref: str) -> dict[str, Member]:
    return {member.image_id: member for member in workspace.catalogue.datasets.members(ref)}


def say(workspace: Workspace, image_id: str, value: object) -> None:
    event = AnnotationEvent(
        id=new_ulid(), key=new_ulid(), image_id=image_id, slot="class", value=value,  # type: ignore[arg-type]
        author=Author(kind="person", name="ada"), at=now(),
    )  # fmt: skip
    workspace.catalogue.annotations.append([event])


def image_id(seed: int) -> str:
    return hashlib.sha256(png(seed)).hexdigest()


def test_a_version_holds_the_labelled_pictures(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path, {"cat": 10, "dog": 5})
    version = freeze(workspace, name="pets", contract=Contract(width_px=8, height_px=8))
    assert (version.ref, version.classes, dict(version.counts)) == (
        "pets@1", ("cat", "dog"), {"train": 9, "val": 3, "test": 3},
    )  # fmt: skip
    assert dict(version.histogram["train"]) == {"cat": 6, "dog": 3}
    assert (version.lineage.sources, version.lineage.parent) == (("s-1",), None)
    assert version.lineage.last_sequence == 15
    found = members(workspace, "pets@1")
    assert len(found) == 15
    assert found[image_id(0)].label == "cat"
    assert found[image_id(0)].sequence > 0


def test_members_come_split_by_split_in_an_order_that_mixes_classes(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path, {"cat": 20, "dog": 20})
    freeze(workspace, name="pets")
    found = list(workspace.catalogue.datasets.members("pets"))
    assert [member.split for member in found] == ["train"] * 24 + ["val"] * 8 + ["test"] * 8
    of_train = [member.image_id for member in found[:24]]
    assert of_train == sorted(of_train)


def test_the_same_content_gives_the_version_that_is_there(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 5, "dog": 5})
    first = freeze(workspace, name="pets")
    assert freeze(workspace, name="pets") == first
    (tmp_path / "pictures" / "cat" / "new.png").write_bytes(png(99))
    scan_folder(workspace, source)
    second = freeze(workspace, name="pets")
    assert (second.ref, second.lineage.parent, second.id != first.id) == ("pets@2", "pets@1", True)
    (tmp_path / "pictures" / "cat" / "new.png").unlink()
    scan_folder(workspace, source)
    assert freeze(workspace, name="pets") == first
    assert freeze(workspace, name="others").ref == "others@1"


def test_another_contract_or_order_of_classes_is_another_version(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path, {"cat": 5, "dog": 5})
    ids = {
        freeze(workspace, name="pets").id,
        freeze(workspace, name="pets", contract=Contract(width_px=8)).id,
        freeze(workspace, name="pets", classes=("dog", "cat")).id,
    }
    assert len(ids) == 3
    assert workspace.catalogue.datasets.get("pets").ref == "pets@3"


def test_pictures_keep_their_split_from_version_to_version(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 10, "dog": 10})
    freeze(workspace, name="pets")
    before = members(workspace, "pets@1")
    for number in range(30):
        (tmp_path / "pictures" / "cat" / f"more{number}.png").write_bytes(png(500 + number))
    scan_folder(workspace, source)
    freeze(workspace, name="pets", plan=SplitPlan(seed=5, test_share=0.5))
    after = members(workspace, "pets@2")
    assert len(after) == 50
    assert all(after[one].split == member.split for one, member in before.items())


def test_what_is_left_out_is_counted_by_reason(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = classes(tmp_path / "pictures", {"cat": 8, "dog": 6, "bird": 2})
    (folder / "dog" / "same.png").write_bytes(png(0))
    (folder / "loose.png").write_bytes(png(200))
    (folder / "cat" / "bad.png").write_text("no picture")
    source = add(workspace, "pictures")
    scan_folder(workspace, source)
    say(workspace, image_id(1), State(state="unusable", rule="blurred"))
    say(workspace, image_id(2), State(state="none_of_these"))
    (folder / "dog" / "0.png").unlink()
    scan_folder(workspace, source)
    version = freeze(workspace, name="pets", classes=("cat", "dog"), exclude=[image_id(3)])
    assert dict(version.lineage.left_out) == {
        "excluded": 1,
        "files in quarantine": 1,
        "label conflict": 1,
        "none of these": 1,
        "other class": 2,
        "unlabelled": 1,
        "unusable": 1,
        "vanished": 1,
    }
    assert sum(version.counts.values()) == 4 + 5


def test_only_the_sources_that_are_named_take_part(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path, {"cat": 5, "dog": 5})
    classes(tmp_path / "more", {"bird": 5, "fish": 5}, 100)
    second = add(workspace, "more")
    scan_folder(workspace, second)
    version = freeze(workspace, name="pets", sources=[second.id])
    assert (version.classes, version.lineage.sources) == (("bird", "fish"), ("s-2",))
    assert freeze(workspace, name="all").classes == ("bird", "cat", "dog", "fish")
    with pytest.raises(NotFound, match="No source 's-9'"):
        freeze(workspace, name="pets", sources=["s-9"])


def test_copied_pictures_whose_files_are_gone_still_take_part(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = classes(tmp_path / "pictures", {"cat": 5, "dog": 5})
    source = add(workspace, "pictures", mode="copy")
    scan_folder(workspace, source)
    (folder / "cat" / "0.png").unlink()
    scan_folder(workspace, source)
    assert sum(freeze(workspace, name="pets").counts.values()) == 10


def test_groups_of_a_table_lie_together(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    names = [f"{number}.png" for number in range(40)]
    folder = put(tmp_path / "pictures", *names)
    rows = [
        f"{name},{'cat' if number % 2 else 'dog'},scene {number // 4}" for number, name in enumerate(names)
    ]
    (folder / "annotations.csv").write_text("\n".join(["image,label,group", *rows]))
    scan_folder(workspace, add(workspace, "pictures", format="csv"))
    version = freeze(workspace, name="pets")
    found = members(workspace, version.ref).values()
    assert len({(member.group, member.split) for member in found}) == 10
    assert set(version.counts) == {"train", "val", "test"}


def test_split_folders_of_the_source_are_respected(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    for place, split in enumerate(("train", "val", "test")):
        classes(tmp_path / "pictures" / split, {"cat": 3, "dog": 3}, 50 * place)
    scan_folder(workspace, add(workspace, "pictures"))
    assert dict(freeze(workspace, name="pets").counts) == {"train": 6, "val": 6, "test": 6}


def test_one_class_is_refused(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path, {"cat": 5})
    with pytest.raises(Invalid, match="one class only, 'cat'"):
        freeze(workspace, name="pets")


def test_one_picture_per_class_is_refused(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path, {"cat": 1, "dog": 1, "bird": 1})
    with pytest.raises(Invalid, match="one picture per class"):
        freeze(workspace, name="pets")
    assert workspace.catalogue.splits.assigned([f"image:{image_id(0)}"]) == {}


def test_a_split_that_would_be_empty_is_refused_before_anything_is_decided(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path, {"cat": 2, "dog": 1})
    with pytest.raises(Invalid, match="nothing would lie in test"):
        freeze(workspace, name="pets")
    assert workspace.catalogue.splits.assigned([f"image:{image_id(0)}"]) == {}
    assert set(freeze(workspace, name="pets", plan=SplitPlan(test_share=0)).counts) == {"train", "val"}


def test_nothing_labelled_is_refused_with_what_was_found(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    put(tmp_path / "pictures", "1.png", "2.png")
    scan_folder(workspace, add(workspace, "pictures"))
    with pytest.raises(Invalid, match="no picture has a label. Left out: unlabelled: 2"):
        freeze(workspace, name="pets")


def test_a_class_without_pictures_is_refused(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path, {"cat": 5, "dog": 5})
    with pytest.raises(Invalid, match="No picture of 'dgo'"):
        freeze(workspace, name="pets", classes=("cat", "dog", "dgo"))
    with pytest.raises(Invalid, match="named twice"):
        freeze(workspace, name="pets", classes=("cat", "dog", "cat"))


@pytest.mark.parametrize("name", ["", "a@1", "a/b", " a"])
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="cannot be called"):
        freeze(project(tmp_path), name=name)


def test_several_classes_per_picture_can_be_frozen(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = put(tmp_path / "pictures", *(f"{number}.png" for number in range(9)))
    rows = [f"{number}.png,{'cat|dog' if number % 3 else '|'}" for number in range(9)]
    (folder / "annotations.csv").write_text("\n".join(["image,labels", *rows]))
    scan_folder(workspace, add(workspace, "pictures", format="csv"))
    version = freeze(workspace, name="pets", task="multi-label")
    assert version.classes == ("cat", "dog")
    found = members(workspace, version.ref)
    assert labels_of(found[image_id(0)], version.task) == ()
    assert labels_of(found[image_id(1)], version.task) == ("cat", "dog")
    assert sum(counts["cat"] for counts in version.histogram.values()) == 6


def test_masks_can_be_frozen_and_must_agree_about_their_classes(tmp_path: Path) -> None:
    import numpy as np

    workspace = project(tmp_path)
    for place, names in enumerate(("sky\nroad\n", "road\nsky\n")):
        folder = tmp_path / f"pictures{place}"
        for number in range(5):
            seed = 10 * place + number
            (folder / "images").mkdir(parents=True, exist_ok=True)
            (folder / "masks").mkdir(exist_ok=True)
            (folder / "images" / f"{seed}.png").write_bytes(png(seed))
            (folder / "masks" / f"{seed}.png").write_bytes(mask_png(np.full((4, 5), number % 2)))
        (folder / "classes.txt").write_text(names)
        scan_folder(workspace, add(workspace, folder.name, format="png-masks"))
    version = freeze(workspace, name="street", sources=["s-1"], task="segmentation")
    assert (version.classes, sum(version.counts.values())) == (("sky", "road"), 5)
    assert workspace.blobs.get(members(workspace, version.ref)[image_id(0)].label)
    with pytest.raises(InvalidLabel, match="do not agree"):
        freeze(workspace, name="street", task="segmentation")


def test_two_that_freeze_at_once_get_one_version(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path, {"cat": 20, "dog": 20})
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: freeze(workspace, name="pets"), range(8)))
    assert {(version.ref, version.id) for version in found} == {("pets@1", found[0].id)}
    assert len(members(workspace, "pets@1")) == 40


def test_a_label_that_changes_makes_a_new_version_and_leaves_the_old_one(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path, {"cat": 5, "dog": 5})
    freeze(workspace, name="pets")
    say(workspace, image_id(0), ClassLabel(label="dog"))
    assert freeze(workspace, name="pets").ref == "pets@2"
    assert members(workspace, "pets@1")[image_id(0)].label == "cat"
    assert members(workspace, "pets@2")[image_id(0)].label == "dog"


def test_the_conflict_in_the_waste_photos_is_left_out(tmp_path: Path, shared_data: Path) -> None:
    workspace = project(tmp_path)
    scan_folder(workspace, add(workspace, shared_data / "trashnet"))
    version = freeze(workspace, name="waste")
    assert version.lineage.left_out["label conflict"] == 1
    assert min(min(counts.values()) for counts in version.histogram.values()) >= 20
