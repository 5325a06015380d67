"""Imports and people about one picture: nobody is overruled in silence, nothing is said twice."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from darkroom.datasets.conflict import CONFLICT, label_conflicts
from darkroom.records import AnnotationEvent, Author, ClassLabel, Source, Undo, new_ulid, now
from darkroom.sources import scan_folder
from darkroom.workspace import Workspace
from tests.datasets.projects import add, classes, project, scanned
from tests.formats.pictures import png, put

TWICE = hashlib.sha256(png(0)).hexdigest()


def say(workspace: Workspace, value: object, image_id: str = TWICE) -> AnnotationEvent:
    """Has a person say something about a picture."""
    event = AnnotationEvent(
        id=new_ulid(), key=new_ulid(), image_id=image_id, slot="class", value=value,  # type: ignore[arg-type]
        author=Author(kind="person", name="ada"), at=now(),
    )  # fmt: skip
    return workspace.catalogue.annotations.append([event])[0]


def holds(workspace: Workspace, image_id: str = TWICE) -> object:
    found = [current.value for current in workspace.catalogue.annotations.current("class", [image_id])]
    return found[0] if found else None


def said(workspace: Workspace, image_id: str = TWICE) -> list[object]:
    return [event.value for event in workspace.catalogue.annotations.history(image_id)]


def label(name: str) -> ClassLabel:
    return ClassLabel(label=name)


@pytest.fixture
def contradicting(tmp_path: Path) -> tuple[Workspace, Source]:
    """A project whose folder holds one picture in two classes."""
    workspace = project(tmp_path)
    classes(tmp_path / "pictures", {"cat": 3, "dog": 2})
    (tmp_path / "pictures" / "dog" / "same.png").write_bytes(png(0))
    return workspace, add(workspace, "pictures")


def test_a_picture_in_two_classes_keeps_both_answers_and_waits(contradicting) -> None:
    workspace, source = contradicting
    report = scan_folder(workspace, source)
    assert (report.new, report.conflicts, report.labelled) == (6, 1, 7)
    assert said(workspace) == [label("cat"), label("dog"), CONFLICT]
    (conflict,) = label_conflicts(workspace.catalogue, "class")
    assert conflict.image_id == TWICE
    assert [(one.file, one.value) for one in conflict.said] == [
        ("s-1/cat/0.png", label("cat")),
        ("s-1/dog/same.png", label("dog")),
    ]


def test_a_second_scan_says_the_conflict_again_and_adds_nothing(contradicting) -> None:
    workspace, source = contradicting
    scan_folder(workspace, source)
    report = scan_folder(workspace, source)
    assert (report.conflicts, report.labelled) == (1, 0)


def test_a_conflict_ends_when_one_of_the_files_goes(contradicting, tmp_path: Path) -> None:
    workspace, source = contradicting
    scan_folder(workspace, source)
    (tmp_path / "pictures" / "cat" / "0.png").unlink()
    assert scan_folder(workspace, source).conflicts == 0
    assert holds(workspace) == label("dog")


def test_a_person_decides_a_conflict_for_good(contradicting) -> None:
    workspace, source = contradicting
    scan_folder(workspace, source)
    say(workspace, label("dog"))
    report = scan_folder(workspace, source)
    assert (report.conflicts, report.contradicted, report.labelled) == (0, 1, 0)
    assert holds(workspace) == label("dog")


def test_sources_that_disagree_are_a_conflict_as_well(tmp_path: Path) -> None:
    workspace, first = scanned(tmp_path, {"cat": 2})
    put(tmp_path / "more", "dog/0.png")
    second = add(workspace, "more")
    assert scan_folder(workspace, second).conflicts == 1
    assert said(workspace) == [label("cat"), label("dog"), CONFLICT]
    assert scan_folder(workspace, first).conflicts == 1
    assert len(said(workspace)) == 3


def test_a_conflict_of_sources_ends_when_one_takes_its_file_away(tmp_path: Path) -> None:
    workspace, _ = scanned(tmp_path, {"cat": 2})
    put(tmp_path / "more", "dog/0.png", "dog/other.png")
    second = add(workspace, "more")
    scan_folder(workspace, second)
    (tmp_path / "more" / "dog" / "0.png").unlink()
    scan_folder(workspace, second)
    assert holds(workspace) == label("cat")


def test_sources_that_agree_are_both_heard(tmp_path: Path) -> None:
    workspace, first = scanned(tmp_path, {"cat": 2})
    put(tmp_path / "more", "cat/a.png")
    second = add(workspace, "more")
    assert scan_folder(workspace, second).conflicts == 0
    assert said(workspace) == [label("cat"), label("cat")]
    (tmp_path / "pictures" / "dog").mkdir()
    (tmp_path / "pictures" / "cat" / "0.png").rename(tmp_path / "pictures" / "dog" / "0.png")
    assert scan_folder(workspace, first).conflicts == 1
    assert holds(workspace) == CONFLICT


def test_a_persons_answer_is_never_overruled(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 2, "dog": 1})
    say(workspace, label("dog"))
    report = scan_folder(workspace, source)
    assert (report.contradicted, report.labelled) == (1, 0)
    (tmp_path / "pictures" / "cat" / "0.png").rename(tmp_path / "pictures" / "dog" / "9.png")
    assert scan_folder(workspace, source).contradicted == 0
    assert said(workspace) == [label("cat"), label("dog")]


def test_an_answer_that_a_person_took_back_is_not_said_again(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 2})
    (imported,) = workspace.catalogue.annotations.history(TWICE)
    say(workspace, Undo(event=imported.id))
    assert scan_folder(workspace, source).labelled == 0
    assert holds(workspace) is None


def test_a_label_may_go_there_and_back(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 2, "dog": 1})
    folder = tmp_path / "pictures"
    for there in ("dog", "cat", "dog"):
        here = next(folder.glob("*/0?.png"), folder / "cat" / "0.png")
        here.rename(folder / there / "0x.png")
        scan_folder(workspace, source)
        assert holds(workspace) == label(there)
    assert said(workspace) == [label("cat"), label("dog"), label("cat"), label("dog")]


def test_a_label_given_while_the_scan_runs_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace, source = scanned(tmp_path, {"cat": 3})
    folder = tmp_path / "pictures"
    (folder / "cat").rename(folder / "dog")
    annotations = workspace.catalogue.annotations
    append = annotations.append

    def late(events):
        if not any(event.author.kind == "person" for event in events):
            monkeypatch.setattr(annotations, "append", append)
            say(workspace, label("bird"))
        return append(events)

    monkeypatch.setattr(annotations, "append", late)
    assert scan_folder(workspace, source).labelled == 2
    assert holds(workspace) == label("bird")
    assert annotations.counts("class").labels == {"bird": 1, "dog": 2}


def test_a_vanished_picture_keeps_its_label(tmp_path: Path) -> None:
    workspace, source = scanned(tmp_path, {"cat": 2})
    (tmp_path / "pictures" / "cat" / "0.png").unlink()
    scan_folder(workspace, source)
    assert holds(workspace) == label("cat")


def test_a_table_that_names_a_file_twice_is_a_conflict(tmp_path: Path) -> None:
    workspace = project(tmp_path)
    folder = put(tmp_path / "pictures", "a.png")
    (folder / "annotations.csv").write_text("image,label\na.png,cat\na.png,dog\n")
    assert scan_folder(workspace, add(workspace, "pictures", format="csv")).conflicts == 1
    assert holds(workspace) == CONFLICT


def test_the_conflict_in_the_waste_photos_is_found(tmp_path: Path, shared_data: Path) -> None:
    workspace = project(tmp_path)
    assert scan_folder(workspace, add(workspace, shared_data / "trashnet")).conflicts == 1
    (conflict,) = label_conflicts(workspace.catalogue, "class")
    assert [one.file for one in conflict.said] == ["s-1/glass/glass389.jpg", "s-1/plastic/plastic332.jpg"]
