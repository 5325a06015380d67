"""Every type of the vocabulary means the same through Python, the shell, TOML and JSON."""

import tomllib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Literal

import pytest
from cyclopts import App
from pydantic import AwareDatetime, Field

from darkroom.cli.commands import add_command
from darkroom.errors import InvalidConfig
from darkroom.operation import DatasetRef, LocalPath, PictureName, RunRef, UserCode, operation, operations
from darkroom.operation.table import _TABLE
from darkroom.operation.vocabulary import fence, is_known, nested_model, reference_kind, spoken_type
from darkroom.pipeline.project_file import project_text
from darkroom.records import Config, FrozenDict, FrozenMap, Result, StageEntry, field_sentences


class Inner(Config):
    depth: Annotated[int, Field(ge=1)] = 3
    """How deep."""
    rate: float = 0.1
    """How fast."""


class Outer(Config):
    inner: Inner = Inner()
    """What is inside."""
    mode: Literal["slow", "fast"] = "slow"
    """How."""
    names: tuple[str, ...] = ()
    """Whose."""
    colour: tuple[int, int, int] = (0, 0, 0)
    """Which."""


class Seen(Result):
    request: dict


@pytest.fixture
def everything():
    @operation("everything", positional=("text",))
    def function(
        workspace: object,
        *,
        text: str,
        flag: bool = False,
        count: int = 1,
        share: float = 0.5,
        word: Literal["a", "b"] = "a",
        day: date | None = None,
        moment: AwareDatetime | None = None,
        place: LocalPath | None = None,
        code: UserCode | None = None,
        dataset: DatasetRef = "x@1",
        pictures: tuple[PictureName, ...] = (),
        runs: tuple[RunRef, ...] = (),
        recall: FrozenMap[str, float] = FrozenDict(),
        outer: Outer = Outer(),
    ) -> Seen:
        """Take one of each.

        Args:
            text: text
            flag: flag
            count: count
            share: share
            word: word
            day: day
            moment: moment
            place: place
            code: code
            dataset: dataset
            pictures: pictures
            runs: runs
            recall: recall
            outer: outer
        """
        return Seen(request={})

    yield _TABLE["everything"]
    del _TABLE["everything"]


VALUES = {
    "text": "größer, \"quoted\" and 'so'",
    "flag": True,
    "count": 7,
    "share": 1e-3,
    "word": "b",
    "day": date(2026, 2, 28),
    "moment": datetime(2026, 2, 28, 12, 30, tzinfo=UTC),
    "place": Path("some where/photo.jpg"),
    "code": Path("net.py"),
    "dataset": "digits@2",
    "pictures": ("roses/a.jpg", "0123abcd"),
    "runs": ("r-1", "r-2"),
    "recall": {"cracked": 0.95},
    "outer": {
        "inner": {"depth": 5, "rate": 1e-4},
        "mode": "fast",
        "names": ["a", "b"],
        "colour": [1, 2, 3],
    },
}

WORDS = [
    "everything",
    VALUES["text"],
    *("--flag", "--count", "7", "--share", "1e-3", "--word", "b", "--day", "2026-02-28"),
    *("--moment", "2026-02-28T12:30:00Z", "--place", "some where/photo.jpg", "--code", "net.py"),
    *("--dataset", "digits@2", "--runs", "r-1,r-2", "--recall", "cracked=0.95"),
    *("--pictures", "roses/a.jpg,0123abcd"),
    *("--outer.inner.depth", "5", "--outer.inner.rate", "1e-4", "--outer.mode", "fast"),
    *("--outer.names", "a", "--outer.names", "b", "--outer.colour", "1,2,3"),
]


def from_shell(found_operation, words):
    app = App(result_action="return_value")
    seen = []
    add_command(app, found_operation, lambda found, values, common: seen.append(values) or 0)
    app(words, exit_on_error=False, print_error=False)
    return found_operation.validate(seen[0])


def test_each_type_round_trips_through_all_faces(everything):
    request = everything.validate(VALUES)
    assert from_shell(everything, WORDS) == request
    assert everything.request.model_validate_json(request.model_dump_json()) == request


def test_each_type_round_trips_through_toml(everything, monkeypatch):
    monkeypatch.setattr("darkroom.pipeline.project_file.find_operation", lambda name: everything)
    text = project_text("x", [StageEntry(name="one", operation="everything", request=VALUES)])
    stage = tomllib.loads(text)["stage"][0]
    assert everything.validate(StageEntry.model_validate(stage).request) == everything.validate(VALUES)


def test_defaults_round_trip_through_toml(everything, monkeypatch):
    monkeypatch.setattr("darkroom.pipeline.project_file.find_operation", lambda name: everything)
    text = project_text("x", [StageEntry(name="one", operation="everything", request={"text": "t"})])
    stage = tomllib.loads(text)["stage"][0]
    assert everything.validate(StageEntry.model_validate(stage).request) == everything.validate(
        {"text": "t"}
    )


def test_comments_of_a_project_file_break_at_blanks_alone():
    recipe = {"dataset": "a", "recipe": {"normalisation": "mean-std"}}
    text = project_text("x", [StageEntry(name="one", operation="model.train", request=recipe)])
    comments = [line for line in text.splitlines() if line.startswith("# ")]
    assert any("mean-std" in line for line in comments)
    assert not [line for line in comments if line.endswith("-")]


def test_a_project_file_says_which_keys_the_tables_of_the_brief_take():
    text = " ".join(line.removeprefix("# ") for line in project_text("x", []).splitlines())
    assert "Costs of mistakes. ({truth, answer, cost}, several) mistakes = []" in text


def test_none_in_the_shell_takes_an_option_back(everything):
    assert from_shell(everything, ["everything", "t", "--place", "none"]).place is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"text": "t", "cuont": 3}, 'unknown key "cuont". Did you mean "count"?'),
        (
            {"text": "t", "outer": {"inner": {"dept": 3}}},
            'unknown key "outer.inner.dept". Did you mean "depth"?',
        ),
        ({"text": "t", "outer": {"inner": {"depth": 0}}}, '"outer.inner.depth": expected greater than'),
        ({"text": "t", "moment": "2026-02-28T12:30:00"}, "timezone"),
        ({}, '"text" is missing'),
    ],
)
def test_a_refused_request_names_the_key_and_what_was_expected(everything, values, said):
    with pytest.raises(InvalidConfig, match="everything") as refused:
        everything.validate(values)
    assert said in str(refused.value)


def test_fences_and_references_are_known():
    assert (fence(LocalPath), fence(UserCode), fence(str)) == ("path", "code", None)
    assert fence(tuple[PictureName, ...]) == "picture"
    assert reference_kind(tuple[RunRef, ...]) == "run"
    assert reference_kind(DatasetRef | None) == "dataset"
    assert spoken_type(tuple[RunRef, ...]) == "run, several"


@pytest.mark.parametrize("annotation", [str | int, list[str], dict, object, str | list[str], set[str]])
def test_types_outside_the_vocabulary_are_refused(annotation):
    assert not is_known(annotation)


def test_registration_refuses_a_silent_parameter():
    with pytest.raises(TypeError, match="no line under Args"):

        @operation("silent")
        def silent(workspace: object, *, text: str) -> Seen:
            """Say nothing."""
            return Seen(request={})


@pytest.mark.parametrize("name", sorted(operations()))
def test_every_field_of_a_request_says_what_it_is(name):
    def silent(model):
        for field, sentence in field_sentences(model).items():
            inner = nested_model(model.model_fields[field].annotation)
            yield from [field] * (not sentence)
            yield from silent(inner) if inner else ()

    asked = [inner for one in operations()[name].parameters if (inner := nested_model(one.annotation))]
    assert [list(silent(model)) for model in asked] == [[] for _ in asked]


def test_registration_refuses_a_positional_parameter():
    with pytest.raises(TypeError, match="keyword-only"):

        @operation("placed")
        def placed(workspace: object, text: str) -> Seen:
            """Take a place.

            Args:
                text: text
            """
            return Seen(request={})


def test_registration_refuses_a_result_that_is_no_result():
    with pytest.raises(TypeError, match="result"):

        @operation("bare")
        def bare(workspace: object) -> int:
            """Give a number."""
            return 1


def test_registration_refuses_a_name_that_a_stage_uses_itself():
    with pytest.raises(TypeError, match="a stage uses the name name itself"):

        @operation("named")
        def named(workspace: object, *, name: str) -> Seen:
            """Take a name.

            Args:
                name: name
            """
            return Seen(request={})
