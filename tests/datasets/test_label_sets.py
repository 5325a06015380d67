"""Datasets of label sets: spread label by label, empty is an answer and unknown is not."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from darkroom.datasets import freeze, render
from darkroom.datasets.plan import SplitPlan
from darkroom.datasets.split import Candidate, Placement, place
from darkroom.errors import Invalid
from darkroom.records import AnnotationEvent, Author, Split, State, new_ulid, now
from darkroom.sources import scan_folder
from tests.datasets.projects import add, project
from tests.label_sets import LABELS, put_mosaics

SHARES: dict[Split, float] = {"train": 0.6, "val": 0.2, "test": 0.2}


def candidates(count: int = 400, seed: int = 0) -> list[Candidate]:
    """Pictures of labels that are frequent, rare and very rare, so that most sets stand once or twice."""
    draw = np.random.default_rng(seed)
    chances = {"always": 0.95, "half": 0.5, "often": 0.7, "rare": 0.05, "seldom": 0.15, "third": 0.33}
    found = []
    for number in range(count):
        labels = [label for label, chance in chances.items() if draw.random() < chance]
        found.append(Candidate(f"{number:064x}", "|".join(labels)))
    return found


def split(found: list[Candidate], plan: SplitPlan = SplitPlan(), held=None, **how) -> Placement:
    return place(found, plan, held=held or {}, by_source=how.pop("by_source", {}), sets=True)


def shares(found: list[Candidate], placement: Placement) -> dict[str, Counter[str]]:
    """Returns for each label its pictures per split; "" for pictures without labels."""
    counts: dict[str, Counter[str]] = {}
    for one in found:
        for label in one.label.split("|"):
            counts.setdefault(label, Counter())[placement.splits[one.image_id]] += 1
    return counts


def test_each_label_is_shared_out_as_asked_rare_ones_too() -> None:
    found = candidates()
    placement = split(found)
    for label, counts in shares(found, placement).items():
        total = counts.total()
        for name, share in SHARES.items():
            assert abs(counts[name] - share * total) <= max(2, 0.03 * total), (label, counts)
    every = Counter(placement.splits.values())
    assert all(abs(every[name] - share * len(found)) <= 8 for name, share in SHARES.items()), every


def test_sets_as_classes_would_have_lost_the_rare_ones() -> None:
    found = candidates()
    as_classes = place(found, SplitPlan(), held={}, by_source={})
    counts = Counter(as_classes.splits.values())
    assert counts["test"] < 0.19 * len(found) or counts["val"] > 0.21 * len(found)


def test_pictures_of_nothing_are_spread_too() -> None:
    found = [Candidate(f"{n:064x}", "" if n % 4 == 0 else "a" if n % 2 else "a|b") for n in range(100)]
    assert shares(found, split(found))[""] == {"train": 15, "val": 5, "test": 5}


def test_the_order_of_the_pictures_does_not_matter() -> None:
    found = candidates(120)
    shuffled = found[:]
    random.Random(1).shuffle(shuffled)
    assert split(found).splits == split(shuffled).splits
    assert split(found).splits != split(found, SplitPlan(seed=1)).splits


def test_without_stratifying_labels_have_no_say() -> None:
    found = candidates(100)
    bare = [one._replace(label="") for one in found]
    plan = SplitPlan(stratify=False)
    assert split(found, plan).splits == split(bare, plan).splits


def test_what_was_given_stays_and_the_rest_makes_up_for_it() -> None:
    found = candidates(200)
    held = {f"image:{one.image_id}": "test" for one in found if "rare" in one.label.split("|")}
    placement = split(found, held=held)
    assert {placement.splits[key.removeprefix("image:")] for key in held} == {"test"}
    counts = Counter(placement.splits.values())
    assert abs(counts["test"] - 40) <= 4


def test_groups_lie_together_and_labels_are_still_spread() -> None:
    found = [one._replace(group=f"g{place // 4}") for place, one in enumerate(candidates(400))]
    placement = split(found)
    of_group: dict[str | None, set[str]] = {}
    for one in found:
        of_group.setdefault(one.group, set()).add(placement.splits[one.image_id])
    assert all(len(splits) == 1 for splits in of_group.values())
    for label, counts in shares(found, placement).items():
        total = counts.total()
        assert abs(counts["test"] - 0.2 * total) <= max(4, 0.06 * total), label


def frozen(tmp_path: Path, **how):
    workspace = project(tmp_path)
    put_mosaics(tmp_path / "pictures", 60)
    scan_folder(workspace, add(workspace, "pictures", format="csv"))
    return workspace, freeze(workspace, name="mosaics", task="multi-label", **how)


def test_empty_sets_are_members_and_counted_and_unknown_ones_are_left_out(tmp_path: Path) -> None:
    workspace, version = frozen(tmp_path)
    members = list(workspace.catalogue.datasets.members(version.ref))
    empty = Counter(one.split for one in members if not one.label)
    assert len(members) == 60
    assert dict(version.empty) == dict(empty)
    assert sum(empty.values()) > 0
    assert version.lineage.left_out == {"unlabelled": 4}
    assert version.classes == LABELS
    labels = render(workspace, version).split("train").labels
    assert labels.shape == (version.counts["train"], len(LABELS))
    assert labels.sum(axis=0).tolist() == [version.histogram["train"][label] for label in LABELS]


def test_none_of_these_is_an_empty_set(tmp_path: Path) -> None:
    workspace, version = frozen(tmp_path)
    unknown = next(
        image_id
        for image_id in workspace.catalogue.images.ids()
        if not list(workspace.catalogue.annotations.current("classes", [image_id]))
    )
    said = AnnotationEvent(
        id=new_ulid(),
        key="k",
        image_id=unknown,
        slot="classes",
        value=State(state="none_of_these"),
        author=Author(kind="person", name="ann"),
        at=now(),
    )
    workspace.catalogue.annotations.append([said])
    later = freeze(workspace, name="mosaics", task="multi-label")
    assert sum(later.empty.values()) == sum(version.empty.values()) + 1
    assert later.lineage.left_out == {"unlabelled": 3}


def test_only_the_labels_that_are_asked_for_are_a_question(tmp_path: Path) -> None:
    workspace, version = frozen(tmp_path, classes=("zero", "one"))
    assert version.classes == ("zero", "one")
    found = {
        label for one in workspace.catalogue.datasets.members(version.ref) for label in one.label.split("|")
    }
    assert found == {"zero", "one", ""}
    assert sum(version.counts.values()) == 60


def test_a_label_that_no_picture_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="None of the 60 pictures of dataset mosaics has 'nine'"):
        frozen(tmp_path, classes=("zero", "nine"))


def test_one_label_alone_is_enough(tmp_path: Path) -> None:
    _, version = frozen(tmp_path, classes=("zero",))
    assert version.classes == ("zero",)


def test_pictures_that_all_have_nothing_are_refused(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = put_mosaics(tmp_path / "pictures", 12)
    rows = ["image,labels", *(f"{number:03}.png,|" for number in range(12))]
    (folder / "annotations.csv").write_text("\n".join(rows))
    scan_folder(workspace, add(workspace, "pictures", format="csv"))
    with pytest.raises(Invalid, match="has a label"):
        freeze(workspace, name="mosaics", task="multi-label")


def test_a_label_that_every_training_picture_has_is_said(tmp_path: Path) -> None:
    from darkroom.datasets.exploration import balance_of

    workspace = project(tmp_path)
    folder = put_mosaics(tmp_path / "pictures", 40, unknown=0)
    rows = [
        "image,labels",
        *(f"{number:03}.png,sky{'|tree' if number % 2 else ''}" for number in range(40)),
    ]
    (folder / "annotations.csv").write_text("\n".join(rows))
    scan_folder(workspace, add(workspace, "pictures", format="csv"))
    version = freeze(workspace, name="mosaics", task="multi-label")
    assert "Every picture of train has sky" in " ".join(balance_of(version))


def test_forgetting_a_picture_of_nothing_counts_it_out(tmp_path: Path) -> None:
    workspace, version = frozen(tmp_path)
    members = list(workspace.catalogue.datasets.members(version.ref))
    gone = next(one for one in members if not one.label)
    workspace.catalogue.forgotten.erase([gone.image_id])
    later = workspace.catalogue.datasets.get(version.ref)
    assert sum(later.empty.values()) == sum(version.empty.values()) - 1
    assert later.histogram[gone.split] == version.histogram[gone.split]
