"""The space of a search: what a person types, the recipe's own bounds, and what is refused by name."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from darkroom.errors import InvalidConfig
from darkroom.records import Contract
from darkroom.training import Recipe
from darkroom.training.task_options import check_task_options
from darkroom.tuning.bounds import recipe_bounds
from darkroom.tuning.recipes import base_values, contract_of, network_of, propose, recipe_of
from darkroom.tuning.space import Given, read_space, refuse_empty, sides_of
from darkroom.tuning.span import Span
from tests.tuning.studies import CONTRACT, TRAIN_COUNT, plan_of


def read(space: dict[str, object], recipe: Recipe | None = None):
    spans = {name: Span.model_validate(given) for name, given in space.items()}
    return {one.name: one for one in read_space(spans, Given(recipe or Recipe(), CONTRACT, TRAIN_COUNT))}


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("1e-4..0.1:log", {"low": 1e-4, "high": 0.1, "log": True}),
        ("1e-4..0.1 linear", {"low": 1e-4, "high": 0.1, "log": False}),
        ("0.1 .. 0.5", {"low": 0.1, "high": 0.5}),
        ("adamw|sgd", {"choices": ["adamw", "sgd"]}),
        ("16|32", {"choices": [16, 32]}),
        ("0.35|1.0", {"choices": [0.35, 1.0]}),
        ("", {}),
    ],
)
def test_what_is_typed_in_the_shell_and_in_toml_is_one_span(text: str, table: dict) -> None:
    assert Span.model_validate(text) == Span.model_validate(table)


@pytest.mark.parametrize(
    "given",
    [{"low": 1}, {"low": 2, "high": 1}, {"low": 0, "high": 1, "log": True}, "1..", "1..2..3", "1..2:cubic"],
)
def test_half_a_span_is_refused(given: object) -> None:
    with pytest.raises(ValidationError):
        Span.model_validate(given)


def test_bounds_are_those_of_the_recipe_itself() -> None:
    bounds = recipe_bounds()
    assert (bounds["recipe.learning_rate"].low, bounds["recipe.learning_rate"].high) == (0, 100)
    assert bounds["recipe.learning_rate"].low_open
    assert not bounds["recipe.learning_rate"].holds(0)
    assert bounds["recipe.optimiser.name"].choices[:2] == ("sgd", "nag")
    assert bounds["recipe.epochs"].kind == "int"
    assert "recipe.device" not in bounds


def test_the_usual_set_suits_the_network_and_the_data() -> None:
    usual = read({})
    assert set(usual) == {
        "recipe.learning_rate",
        "recipe.weight_decay",
        "recipe.batch_size",
        "recipe.dropout",
        "recipe.loss.label_smoothing",
    }
    assert usual["recipe.learning_rate"].log
    assert usual["recipe.batch_size"].high == TRAIN_COUNT
    assert read({}, Recipe(batch_size=512))["recipe.batch_size"].high == 512  # the recipe's own is inside
    assert "recipe.loss.label_smoothing" not in read({}, Recipe(loss={"name": "focal"}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"learning_rate": "0.1..1"}, 'Did you mean "recipe.learning_rate"?'),
        ({"recipe.learning_rat": "0.1..1"}, 'Did you mean "recipe.learning_rate"?'),
        ({"recipe.learning_rate": "0..1"}, "0 (not included) to 100"),
        ({"recipe.dropout": "0..1"}, "0 to 0.9"),
        ({"recipe.epochs": "1..2.5"}, "whole numbers"),
        ({"recipe.batch_size": "16|many"}, "Received: many"),
        ({"recipe.optimiser.name": "adamw|sdg"}, 'Did you mean "sgd"?'),
        ({"recipe.optimiser.name": "1..2"}, "chosen from words"),
        ({"width": "0.5|1.0"}, "comes in one width"),
        ({"input_px": "16..32"}, "shorter side"),
        ({"input_px": "0"}, "from 1 to 8192"),
        ({"recipe.network": "lenet5", "width": ""}, "cannot both vary"),
        ({"recipe.device": "cpu|cuda"}, "can be varied"),
    ],
)
def test_what_cannot_be_searched_is_refused_by_name(space: dict[str, object], words: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        read(space)
    assert words in str(refused.value)


def test_a_space_in_which_nothing_varies_is_refused() -> None:
    for space in ({"recipe.epochs": "5"}, {"recipe.optimiser.name": "sgd", "recipe.epochs": "3"}):
        with pytest.raises(InvalidConfig, match="nothing to search"):
            refuse_empty(tuple(read(space).values()))


def test_the_width_of_a_family_is_a_variable() -> None:
    found = read({"width": ""}, Recipe(network="mobilenetv2_100"))["width"]
    assert found.choices == (0.35, 0.5, 1.0, 1.4)
    plan = plan_of({"width": "0.35|1.0"}, Recipe(network="mobilenetv2_100"))
    assert network_of(plan, {"width": 0.35}) == "mobilenetv2_035"
    with pytest.raises(InvalidConfig, match=r"no width 0\.7"):
        read({"width": "0.7"}, Recipe(network="mobilenetv2_100"))


def test_an_input_size_keeps_the_proportions() -> None:
    wide = Contract(width_px=96, height_px=64)
    found = contract_of(wide, {"input_px": 32})
    assert (found.width_px, found.height_px) == (48, 32)
    variables = tuple(read({"input_px": "32|16"}).values())
    assert sides_of(CONTRACT, variables) == ((16, 16), (32, 32))


def test_a_variable_is_asked_for_only_where_it_has_an_effect() -> None:
    plan = plan_of({"recipe.optimiser.name": "adamw|sgd", "recipe.optimiser.momentum": "0.5..0.9"})

    def take(name: str):
        return propose(plan, lambda one: name if one.kind == "choice" else 0.7)

    assert take("adamw") == {"recipe.optimiser.name": "adamw"}
    assert take("sgd")["recipe.optimiser.momentum"] == 0.7


def test_options_that_no_longer_belong_go_back_to_their_default() -> None:
    recipe = Recipe.model_validate({"optimiser": {"name": "sgd", "momentum": 0.5}, "dropout": 0.3})
    plan = plan_of({"recipe.optimiser.name": "adamw|sgd", "recipe.network": "lenet5|resnet18"}, recipe)
    found = recipe_of(plan, {"recipe.optimiser.name": "adamw", "recipe.network": "lenet5"})
    assert (found.optimiser.momentum, found.dropout) == (0.9, 0.3)
    assert recipe_of(plan, {"recipe.optimiser.name": "sgd"}).optimiser.momentum == 0.5


def test_views_follow_the_head_that_is_trained() -> None:
    changed = Recipe.model_validate({"augment": {"flip": "horizontal"}})
    plan = plan_of({"recipe.train_layers": "all|last"}, changed, weights={"lenet5": "some"})
    last = recipe_of(plan, {"recipe.train_layers": "last"})
    assert (last.feature_views, last.weights) == (4, "some")
    assert recipe_of(plan, {"recipe.train_layers": "all"}).feature_views == 1


def test_masks_have_no_views_whatever_is_trained() -> None:
    changed = {"network": "lraspp/mobilenetv2_035", "augment": {"flip": "horizontal"}}
    recipe = Recipe.model_validate(changed)
    plan = plan_of({"recipe.train_layers": "all|last"}, recipe, weights={recipe.network: "some"})
    for layers in ("all", "last"):
        found = recipe_of(plan, {"recipe.train_layers": layers})
        assert (found.train_layers, found.feature_views) == (layers, 1)
        check_task_options(found, "segmentation")


def test_the_recipe_as_it_stands_is_a_trial_where_the_space_holds_it() -> None:
    recipe = Recipe(learning_rate=0.01)
    inside = plan_of({"recipe.learning_rate": "0.001..0.1", "input_px": "16|24"}, recipe)
    assert base_values(inside, CONTRACT) == {"recipe.learning_rate": 0.01, "input_px": 16}
    assert base_values(plan_of({"recipe.learning_rate": "0.02..0.1"}, recipe), CONTRACT) is None
