"""Records cannot be changed, come back from JSON as they were, and forgive what a newer version wrote."""

import copy
import json
import math
import pickle

import pytest
from pydantic import ValidationError

from darkroom.errors import InvalidConfig
from darkroom.records import (
    AnnotationEvent,
    Author,
    Brief,
    ClassLabel,
    Contract,
    FrozenDict,
    Image,
    Limits,
    ModelCard,
    Normalisation,
    ProjectFile,
    Result,
    State,
    new_ulid,
    now,
    result_of,
    validated,
)


def an_event(value):
    return AnnotationEvent(
        id=new_ulid(),
        key="k",
        image_id="a" * 64,
        slot="class",
        value=value,
        author=Author(kind="person", name="ada"),
        at=now(),
    )


@pytest.mark.parametrize(
    "value",
    [ClassLabel(label="cat"), State(state="unusable", rule="blurred"), State(state="none_of_these")],
)
def test_an_event_comes_back_from_json_as_it_was(value):
    event = an_event(value)
    assert AnnotationEvent.model_validate_json(event.model_dump_json()) == event


def test_a_mapping_in_a_record_cannot_be_changed_but_travels():
    limits = Limits(recall={"cat": 0.9})
    with pytest.raises(TypeError, match="cannot be changed"):
        limits.recall["dog"] = 1.0  # type: ignore[index]
    assert copy.deepcopy(limits) == pickle.loads(pickle.dumps(limits)) == limits
    assert hash(limits) == hash(Limits(recall={"cat": 0.9}))


def test_a_record_forgives_keys_of_a_newer_version():
    image = Image(id="a", width_px=1, height_px=1, mode="L", format="PNG", size_bytes=1)
    assert Image.model_validate(image.model_dump() | {"invented_later": 1}) == image


def test_what_a_person_writes_does_not_forgive_unknown_keys():
    with pytest.raises(ValidationError):
        Contract.model_validate({"widht_px": 3})


def test_a_misspelt_key_in_the_project_file_names_the_key_that_was_meant():
    found = {"project": {"name": "x"}, "brief": {"limits": {"acuracy": 0.9}}}
    with pytest.raises(InvalidConfig, match='unknown key "brief.limits.acuracy". Did you mean "accuracy"'):
        validated(ProjectFile, found, where="darkroom.toml", explained="a page")


def test_two_stages_of_one_name_are_refused():
    stage = {"name": "train", "operation": "model.train"}
    with pytest.raises(InvalidConfig, match="two stages are called 'train'"):
        validated(
            ProjectFile,
            {"project": {"name": "x"}, "stage": [stage, stage]},
            where="darkroom.toml",
            explained="a page",
        )


def test_a_stage_keeps_its_own_keys_apart_from_the_request():
    file = validated(
        ProjectFile,
        {"project": {"name": "x"}, "stage": [{"name": "a", "operation": "o.v", "run": "@b", "seed": 1}]},
        where="darkroom.toml",
        explained="a page",
    )
    assert file.stage[0].request == {"run": "@b", "seed": 1}


def test_ids_sort_by_the_time_of_their_making(monkeypatch):
    moments = iter([1000.0, 1000.001, 2000.0])
    monkeypatch.setattr("darkroom.records.record.time.time", lambda: next(moments))
    ids = [new_ulid() for _ in range(3)]
    assert ids == sorted(ids)
    assert {len(one) for one in ids} == {26}


def test_a_brief_needs_nothing_and_holds_no_made_up_limits():
    limits = Brief().limits
    assert (limits.accuracy, limits.model_bytes, limits.expected_cost) == (None, None, None)
    assert limits.parity_agreement == 1.0


OLD_CARD = """{"schema_version": 1, "task": "classification", "labels": ["a", "b"], "network": "lenet5",
"options": {"dropout": 0.0}, "parameters": 61706,
"contract": {"width_px": 28, "height_px": 28, "colour": "grey"},
"normalisation": {"mean": [0.13], "std": [0.31], "source": "train split of digits@1"},
"run": "r-1", "epoch": 7,
"weights": {"source": "random", "licence": "", "sha256": ""}, "created_at": "2025-11-03T10:00:00Z"}"""


def test_a_card_of_before_there_were_kinds_of_normalisation_is_read_as_it_was_meant():
    card = ModelCard.model_validate_json(OLD_CARD)
    assert card.normalisation == Normalisation(
        kind="mean-std", mean=(0.13,), std=(0.31,), source="train split of digits@1"
    )
    assert ModelCard.model_validate_json(card.model_dump_json()) == card


class Measured(Result):
    name: str
    figures: dict[str, tuple[float, ...]] = {}
    best: float | None = None


def test_a_figure_that_is_no_number_comes_back_as_one():
    written = Measured(name="a", figures={"x": (1.0, math.nan)}, best=math.inf).model_dump_json()
    kept = FrozenDict(json.loads(written))
    found = result_of(Measured, kept)
    assert found.figures["x"][0] == 1.0
    assert math.isnan(found.figures["x"][1])
    assert found.best is None
    assert kept["figures"] == {"x": [1.0, None]}, "what was given stays as it is"
    with pytest.raises(ValidationError, match="name"):
        result_of(Measured, {"figures": {"x": [None]}})
