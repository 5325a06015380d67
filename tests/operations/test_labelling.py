"""Pictures are listed page by page, and labelled by people who cannot break anything by a slip."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from darkroom.errors import Conflict, Invalid, InvalidConfig, InvalidLabel, NotFound
from darkroom.operation import find_operation
from darkroom.workspace import Workspace
from tests.datasets.projects import classes, project


def call(workspace: Workspace, name: str, **values: object) -> Any:
    operation = find_operation(name)
    return operation.call(workspace, operation.validate(values))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    opened = project(tmp_path / "project", threads=1)
    classes(tmp_path / "pictures", {"cat": 4, "dog": 3})
    call(opened, "source.add", folder=tmp_path / "pictures")
    return opened


def first(workspace: Workspace, **where: object) -> Any:
    return call(workspace, "image.list", limit=1, **where).images[0]


def test_pages_go_on_where_the_one_before_ended(workspace: Workspace) -> None:
    one = call(workspace, "image.list", sort="-id", limit=4, source="s-1")
    two = call(workspace, "image.list", sort="-id", limit=4, source="s-1", after=one.next)
    ids = [found.id for found in (*one.images, *two.images)]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 7
    assert two.next is None
    assert f"--after {one.next}" in one.more
    assert "--sort=-id --limit 4 --source s-1" in one.more
    assert {found.path.split("/")[1] for found in one.images} <= {"cat", "dog"}


def test_filters_follow_what_is_said(workspace: Workspace) -> None:
    assert len(call(workspace, "image.list", label="cat").images) == 4
    assert call(workspace, "image.list", state="unlabelled").images == ()
    cat = first(workspace, label="cat")
    call(workspace, "label.add", image=cat.id, state="unusable", rule="blurred")
    assert len(call(workspace, "image.list", label="cat").images) == 3
    (found,) = call(workspace, "image.list", state="unusable").images
    assert (found.id, found.label, found.state) == (cat.id, "", "unusable")
    call(workspace, "label.add", image=cat.id, state="unlabelled")
    assert [one.id for one in call(workspace, "image.list", state="unlabelled").images] == [cat.id]


@pytest.mark.parametrize(
    "wrong", [{"sort": "name"}, {"limit": 0}, {"limit": 1001}, {"state": "lost"}, {"split": "x"}]
)
def test_what_is_not_allowed_is_refused(workspace: Workspace, wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidConfig):
        call(workspace, "image.list", **wrong)


def test_unknown_names_are_refused_with_the_nearest(workspace: Workspace) -> None:
    with pytest.raises(InvalidLabel, match='mean "cat"'):
        call(workspace, "image.list", label="cta")
    with pytest.raises(NotFound):
        call(workspace, "image.list", source="s-9")
    with pytest.raises(Invalid):
        call(workspace, "image.list", after="nonsense")


def test_a_slip_in_a_class_makes_no_new_one(workspace: Workspace) -> None:
    image = first(workspace).id
    with pytest.raises(InvalidLabel, match='mean "dog"'):
        call(workspace, "label.add", image=image, label="dgo")
    assert len(call(workspace, "label.log", image=image).entries) == 1
    call(workspace, "label.add", image=image, label="bird", new_class=True)
    assert call(workspace, "label.add", image=image, label="bird").holds == "bird"


def test_the_same_key_writes_once_and_never_something_else(workspace: Workspace) -> None:
    image = first(workspace, label="cat").id
    one = call(workspace, "label.add", image=image, label="dog", key="k", by="Ann")
    two = call(workspace, "label.add", image=image, label="dog", key="k", by="Ann")
    assert (one.event, one.repeated, two.repeated) == (two.event, False, True)
    with pytest.raises(Conflict, match="something else"):
        call(workspace, "label.add", image=image, label="cat", key="k")
    assert [entry.by for entry in call(workspace, "label.log", image=image).entries][1:] == ["person Ann"]


def test_an_answer_to_what_has_changed_is_a_conflict(workspace: Workspace) -> None:
    image = first(workspace, label="cat").id
    base = call(workspace, "label.log", image=image).entries[-1].sequence
    assert call(workspace, "label.add", image=image, label="dog", base=base).holds == "dog"
    with pytest.raises(Conflict, match="changed since"):
        call(workspace, "label.add", image=image, label="cat", base=base)


def test_undo_brings_back_what_held_and_undo_of_undo_too(workspace: Workspace) -> None:
    image = first(workspace, label="cat")
    call(workspace, "label.add", image=image.id[:10], state="none_of_these")
    undone = call(workspace, "label.undo", image=image.id, key="u")
    assert undone.holds == "cat"
    assert call(workspace, "label.undo", image=image.id, key="u").repeated
    assert call(workspace, "label.undo", image=image.id, event=undone.event).holds == "none of these"
    entries = call(workspace, "label.log", image=f"{image.path}").entries
    assert [entry.holds for entry in entries] == [False, True, False, False]


def test_who_takes_back_while_others_answer_succeeds_or_is_told_of_a_conflict(workspace: Workspace) -> None:
    image = first(workspace, label="cat").id
    over = threading.Event()

    def answer() -> None:
        while not over.is_set():
            call(workspace, "label.add", image=image, label="dog")

    others = threading.Thread(target=answer)
    others.start()
    try:
        for _ in range(60):
            with suppress(Conflict, NotFound):
                call(workspace, "label.undo", image=image)
    finally:
        over.set()
        others.join()


def test_nothing_is_undone_where_nothing_holds(workspace: Workspace) -> None:
    with pytest.raises(NotFound, match="nothing to take back"):
        call(workspace, "label.undo", image=first(workspace).id, slot="mask")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"label": "cat", "state": "skipped"},
        {"label": " "},
        {"label": "a\nb", "new_class": True},
        {"label": "cat", "rule": "blurred"},
        {"label": "cat", "slot": "mask"},
        {"label": "cat", "by": "a\x00b"},
    ],
)
def test_an_answer_that_is_none_is_refused(workspace: Workspace, wrong: dict[str, object]) -> None:
    image = first(workspace).id
    with pytest.raises(Invalid):
        call(workspace, "label.add", image=image, **wrong)
    assert len(call(workspace, "label.log", image=image).entries) == 1
