"""Every path inside a request is found wherever it stands, and an answer names it as it was asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from darkroom.errors import DarkroomError, NotFound
from darkroom.operation import (
    LocalPath,
    PictureName,
    UserCode,
    as_named,
    error_as_named,
    with_paths,
)
from darkroom.records import Config, FrozenMap


class Inner(Config):
    code: UserCode | None = None
    """Python."""
    depth: int = 3
    """How deep."""


class Outer(Config):
    one: LocalPath = Path("one")
    """A file."""
    maybe: LocalPath | None = None
    """A file, or none."""
    several: tuple[LocalPath, ...] = ()
    """Files."""
    by_name: FrozenMap[str, UserCode] = {}
    """Python by name."""
    inner: Inner = Inner()
    """What is inside."""
    inners: tuple[Inner, ...] = ()
    """More of it."""
    pair: tuple[str, LocalPath] | None = None
    """A text and a file."""
    plain: str = "plain"
    """No file."""


def test_every_path_is_found_with_its_kind_and_its_key() -> None:
    seen: list[tuple[str, str, str]] = []

    def change(kind: str, key: str, path: Path) -> Path:
        seen.append((kind, key, str(path)))
        return Path("/moved") / path

    outer = Outer(
        several=("a", "b"),  # type: ignore[arg-type]
        by_name={"x": "c"},  # type: ignore[dict-item]
        inner=Inner(code="d"),  # type: ignore[arg-type]
        inners=(Inner(), Inner(code="e")),  # type: ignore[arg-type]
        pair=("text", "f"),  # type: ignore[arg-type]
    )
    moved = with_paths(outer, change)
    assert seen == [
        ("path", "one", "one"),
        ("path", "several.0", "a"),
        ("path", "several.1", "b"),
        ("code", "by_name.x", "c"),
        ("code", "inner.code", "d"),
        ("code", "inners.1.code", "e"),
        ("path", "pair.1", "f"),
    ]
    assert moved.several == (Path("/moved/a"), Path("/moved/b"))
    assert (moved.by_name, moved.pair) == ({"x": Path("/moved/c")}, ("text", Path("/moved/f")))
    assert (moved.inner.code, moved.inners[1].code) == (Path("/moved/d"), Path("/moved/e"))
    assert outer.several == (Path("a"), Path("b"))


def test_what_was_left_to_its_default_stays_so_unless_it_is_a_path() -> None:
    moved = with_paths(Outer(plain="x"), lambda _kind, _key, path: Path("/moved") / path)
    assert moved.model_fields_set == {"plain", "one"}
    untouched = Outer(inner=Inner(depth=2))
    same = with_paths(untouched, lambda _kind, _key, path: path)
    assert same is untouched


class Named(Config):
    image: PictureName
    """A picture."""
    images: tuple[PictureName, ...] = ()
    """Pictures."""


def test_a_picture_named_by_its_file_is_found_and_an_id_stays_an_id() -> None:
    ids = ("0123abcd", "0123ABCD" * 8, "s-1/roses/a.jpg", "~/a.jpg", "")
    named = Named(image="roses/a.jpg", images=("cafe.jpg", "abc", "s-1", *ids))
    moved = with_paths(named, lambda kind, _key, path: Path("/moved") / kind / path)
    assert moved.image == "/moved/picture/roses/a.jpg"
    expected = ("/moved/picture/cafe.jpg", "/moved/picture/abc", "/moved/picture/s-1", *ids)
    assert moved.images == expected
    untouched = Named(image="0123abcd", images=("roses/a.jpg",))
    assert with_paths(untouched, lambda _kind, _key, path: path) is untouched


def test_an_answer_names_paths_as_they_were_asked() -> None:
    names = {"/home/me/photos": "../photos", "/home/me/a.png": "a.png"}
    answer = {
        "images": ["/home/me/photos/1.png", "/home/me/a.png", "/home/me/photos-beside/1.png"],
        "note": "see /home/me/a.png",
    }
    assert as_named(answer, names) == {
        "images": ["../photos/1.png", "a.png", "/home/me/photos-beside/1.png"],
        "note": "see /home/me/a.png",
    }
    error = error_as_named(NotFound("x.y", "No file {path}.", path="/home/me/a.png"), names)
    assert (type(error), error.message) == (NotFound, "No file a.png.")


def test_an_error_survives_its_own_shape() -> None:
    error = NotFound("x.y", "Braces {text} stay.", do="Try {text}", text="{as} they are")
    again = DarkroomError.from_dict(error.as_dict())
    assert (type(again), again.as_dict(), again.exit_code) == (NotFound, error.as_dict(), 3)
    assert type(DarkroomError.from_dict({"kind": "nearest"})) is DarkroomError


@pytest.mark.parametrize("path", ["a\0b", "x" * 256, "x/" * 2100, "\ud800"])
def test_a_path_that_no_disk_can_hold_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="a path that this machine can"):
        Outer(one=path)  # type: ignore[arg-type]


def test_a_home_that_nobody_has_stays_a_name() -> None:
    assert Outer(one="~nobody-of-that-name/x").one == Path("~nobody-of-that-name/x")  # type: ignore[arg-type]
