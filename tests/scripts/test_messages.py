"""The message table is made of literals, one text per id, each field with a value."""

from __future__ import annotations

import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.tree import PACKAGE, ROOT

MESSAGES: dict[str, Any] = runpy.run_path(str(ROOT / "scripts" / "messages.py"))


def collected(tmp_path: Path, code: str) -> tuple[list[Any], list[str]]:
    source = tmp_path / "src" / "darkroom"
    source.mkdir(parents=True)
    (source / "shelf.py").write_text(code, encoding="utf-8")
    messages, problems = MESSAGES["collect"](source)
    return messages, problems + MESSAGES["contradictions"](messages)


def test_the_table_holds_what_a_translator_needs(tmp_path: Path) -> None:
    code = (
        'raise NotFound("b.lost", "No {name!r} in {places[0]} «ß».", do="See: darkroom {name} list", '
        'name=1, places=2)\nraise errors.Invalid("a.bad", "A \\"bad\\" one.")\n'
    )
    messages, problems = collected(tmp_path, code)
    assert problems == []
    read = tomllib.loads(MESSAGES["table"](messages))
    assert list(read) == ["a.bad", "b.lost"]
    assert read["a.bad"] == {"kind": "Invalid", "text": 'A "bad" one.'}
    assert read["b.lost"] == {
        "kind": "NotFound",
        "text": "No {name!r} in {places[0]} «ß».",
        "do": "See: darkroom {name} list",
    }


def test_errors_of_a_room_of_its_own_count_too(tmp_path: Path) -> None:
    code = (
        "class Burnt(Invalid): pass\nclass Charred(Burnt): pass\n"
        'raise Charred("toast.black", "Too late.")\n'
    )
    messages, problems = collected(tmp_path, code)
    assert problems == []
    assert [(message.id, message.kind) for message in messages] == [("toast.black", "Charred")]


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ('raise Invalid("a.b", f"No {name}.")', "the text is not a literal"),
        ('raise Invalid(key, "No.")', "the id is not a literal"),
        ('raise Invalid("a.b", "No.", do=hint)', "the hint is not a literal"),
        ('raise Invalid("No.")', "expected an id and a text, received 1"),
        ('raise Invalid("a.b", "No {name}.", do="See {place}.", name=1)', "a.b gives no value for place"),
        ('raise Invalid("a.b", "No.")\nraise Invalid("a.b", "Yes.")', "a.b says something else than at"),
        ('raise Invalid("a.b", "No.")\nraise Frozen("a.b", "No.")', "a.b says something else than at"),
    ],
)
def test_what_cannot_be_translated_is_refused(tmp_path: Path, code: str, complaint: str) -> None:
    _, problems = collected(tmp_path, code)
    assert len(problems) == 1
    assert complaint in problems[0]
    assert problems[0].startswith("src/darkroom/shelf.py:")


def test_values_given_as_a_whole_are_trusted(tmp_path: Path) -> None:
    assert collected(tmp_path, 'raise Invalid("a.b", "No {name}.", **facts)')[1] == []


FOR_PROGRAMMERS = (
    "blob.not-a-hash blob.unknown bundle.contract bundle.label-twice bundle.no-such-file bundle.place "
    "dataset.unknown-member engine.item-failed engine.item-not-sendable engine.result-not-sendable "
    "evaluation.ids-do-not-fit evaluation.label-unknown evaluation.mask-value evaluation.masks-do-not-fit "
    "evaluation.no-clones evaluation.sets-do-not-fit evaluation.shapes-do-not-fit features.shape "
    "format.picture-name golden.count golden.name mask.shape rendering.buffer rendering.index "
    "rendering.no-masks split.key split.unknown statistics.groups-do-not-fit statistics.no-clones "
    "statistics.no-values statistics.not-paired suspects.do-not-fit tensor.shape"
)
"""A caller's mistake, which no command mends."""

SAID_IN_FULL = (
    "annotation.id-taken ask.not-there catalogue.empty catalogue.missing catalogue.no-folder "
    "csv.cell-not-text dataset.mask-broken dataset.mask-kind engine.stopped predict.no-picture "
    "request.malformed request.not-json request.parameter request.refused"
)
"""What they tell on has a next step of its own, or the text says all."""


def test_every_other_error_says_what_to_do_next() -> None:
    messages, _ = MESSAGES["collect"](PACKAGE)
    known = {*FOR_PROGRAMMERS.split(), *SAID_IN_FULL.split()}
    assert {message.id for message in messages if not message.do} <= known
