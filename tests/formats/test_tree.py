"""Folders are walked in one order, without loops, and what is hidden is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from darkroom.formats import Tree, is_picture
from darkroom.formats.format import Problem


def walked(folder: Path) -> tuple[list[str], list[Problem]]:
    problems: list[Problem] = []
    return list(Tree(folder, problems)), problems


def touch(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).touch()


def test_files_come_sorted_folder_by_folder(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.jpg", "b/1.jpg", "a/x/3.jpg", "a/4.jpg", "z.jpg")
    assert walked(tmp_path) == (["z.jpg", "a/4.jpg", "a/x/3.jpg", "b/1.jpg", "b/2.jpg"], [])


def test_hidden_files_and_thumbnails_are_left_alone(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", ".hidden.jpg", ".git/x.jpg", "Thumbs.db", "__MACOSX/._a.jpg", "@eaDir/t.jpg")
    assert walked(tmp_path) == (["a.jpg"], [])


@pytest.mark.timeout(20)
def test_a_loop_of_links_ends_and_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.jpg")
    (tmp_path / "a" / "again").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b").symlink_to(tmp_path / "a", target_is_directory=True)
    found, problems = walked(tmp_path)
    assert found == ["a/1.jpg"]
    assert {(problem.path, problem.error.id) for problem in problems} == {
        ("a/again", "folder.link-inside"),
        ("b", "folder.link-inside"),
    }


@pytest.mark.timeout(20)
def test_a_link_to_a_folder_above_ends(tmp_path: Path) -> None:
    touch(tmp_path, "outside/o.jpg", "root/r.jpg", "root/deep/d.jpg")
    (tmp_path / "root" / "up").symlink_to(tmp_path, target_is_directory=True)
    found, _ = walked(tmp_path / "root")
    assert found == ["r.jpg", "deep/d.jpg", "up/outside/o.jpg"]


def test_a_folder_outside_is_entered_once(tmp_path: Path) -> None:
    touch(tmp_path, "outside/o.jpg", "root/r.jpg")
    for name in ("one", "two"):
        (tmp_path / "root" / name).symlink_to(tmp_path / "outside", target_is_directory=True)
    found, problems = walked(tmp_path / "root")
    assert found == ["r.jpg", "one/o.jpg"]
    assert [problem.path for problem in problems] == ["two"]


def test_a_link_to_nothing_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere.jpg")
    found, problems = walked(tmp_path)
    assert (found, [problem.error.id for problem in problems]) == ([], ["file.not-a-file"])


@pytest.mark.timeout(20)
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    found, problems = walked(tmp_path)
    assert (found, [problem.path for problem in problems]) == ([], ["pipe.jpg"])


def test_a_name_that_is_not_text_is_a_problem_and_the_rest_goes_on(tmp_path: Path) -> None:
    touch(tmp_path, "good.jpg")
    try:
        (tmp_path / os.fsdecode(b"bad\xff.jpg")).touch()
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    found, problems = walked(tmp_path)
    assert found == ["good.jpg"]
    assert [(problem.path, problem.error.id) for problem in problems] == [
        ("bad\\udcff.jpg", "file.name-not-text")
    ]


@pytest.mark.parametrize("name", ["a.jpg", "A.JPEG", "x/y.PNG", "b.webp", "c.tiff"])
def test_pictures_are_known_by_their_ending(name: str) -> None:
    assert is_picture(name)


@pytest.mark.parametrize("name", ["a.txt", "jpg", "a.jpg.part", "annotations.csv"])
def test_other_endings_are_no_pictures(name: str) -> None:
    assert not is_picture(name)
