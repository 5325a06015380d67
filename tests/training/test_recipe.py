"""The recipe: bounds hold, unknown keys are refused, every field says what it is."""

import pytest
from pydantic import BaseModel, ValidationError

from darkroom.errors import Invalid, InvalidConfig, NotFound
from darkroom.records import field_sentences
from darkroom.training import Augment, EarlyStopping, Optimiser, Recipe, Schedule
from darkroom.training.recipe import check_fits, network_options
from tests.training.digits import FACTS

SHAPE = FACTS.contract.shape

BEYOND = [
    (Recipe, {"epochs": 0}),
    (Recipe, {"epochs": 10_001}),
    (Recipe, {"batch_size": 0}),
    (Recipe, {"learning_rate": 0.0}),
    (Recipe, {"learning_rate": -0.1}),
    (Recipe, {"learning_rate": 101.0}),
    (Recipe, {"learning_rate": float("nan")}),
    (Recipe, {"weight_decay": -1e-9}),
    (Recipe, {"weight_decay": 1.1}),
    (Recipe, {"dropout": 1.0}),
    (Recipe, {"snapshot_every": -1}),
    (Recipe, {"device": "tpu"}),
    (Recipe, {"threads": -1}),
    (Recipe, {"precision": "float8"}),
    (Recipe, {"select_by": "test_accuracy"}),
    (Optimiser, {"name": "sdg"}),
    (Optimiser, {"momentum": 1.0}),
    (Optimiser, {"beta2": 1.0}),
    (Optimiser, {"epsilon": 0.0}),
    (Schedule, {"name": "linear"}),
    (Schedule, {"warmup_epochs": -1.0}),
    (Schedule, {"step_epochs": 0}),
    (Schedule, {"step_factor": 0.0}),
    (Schedule, {"rise_share": 1.0}),
    (Schedule, {"final_share": 1.5}),
    (Augment, {"rotate_deg": 181.0}),
    (Augment, {"zoom": -0.1}),
    (Augment, {"shift": 0.6}),
    (Augment, {"crop": 0.95}),
    (Augment, {"flip": "diagonal"}),
    (Augment, {"edge": "wrap"}),
    (Augment, {"brightness": 2.0}),
    (Augment, {"contrast": 1.0}),
    (Augment, {"hue_deg": -1.0}),
    (Augment, {"invert": 1.1}),
    (Augment, {"noise": 0.6}),
    (EarlyStopping, {"patience_epochs": -1}),
    (EarlyStopping, {"least_gain": -0.1}),
]


@pytest.mark.parametrize(("kind", "values"), BEYOND, ids=[f"{k.__name__}-{v}" for k, v in BEYOND])
def test_a_value_out_of_bounds_is_refused_by_its_name(kind, values):
    with pytest.raises(ValidationError, match=next(iter(values))):
        kind(**values)


def test_a_misspelt_key_is_refused():
    with pytest.raises(ValidationError, match="learning_rat"):
        Recipe.model_validate({"learning_rat": 0.1})
    with pytest.raises(ValidationError, match="rotate"):
        Recipe.model_validate({"augment": {"rotate": 10}})


@pytest.mark.parametrize("kind", [Recipe, Optimiser, Schedule, Augment, EarlyStopping])
def test_every_field_says_what_it_is_and_has_a_default(kind: type[BaseModel]):
    sentences = field_sentences(kind)
    for name, field in kind.model_fields.items():
        assert sentences[name], name
        assert not field.is_required(), name


def test_dropout_is_an_option_of_networks_that_have_it():
    assert network_options(Recipe(dropout=0.25)) == {"dropout": 0.25}


def test_an_unknown_network_is_not_found():
    with pytest.raises(NotFound, match="lenet5"):
        check_fits(Recipe(network="lenet"), FACTS, SHAPE, 10, 10)


def test_no_pictures_or_one_class_is_nothing_to_learn():
    with pytest.raises(Invalid, match="0 pictures"):
        check_fits(Recipe(), FACTS, SHAPE, 0, 10)
    with pytest.raises(Invalid, match="1 class"):
        check_fits(Recipe(), FACTS.model_copy(update={"labels": ("only",)}), SHAPE, 10, 10)


def test_a_task_that_the_network_cannot_do_is_refused():
    facts = FACTS.model_copy(update={"task": "segmentation"})
    with pytest.raises(
        InvalidConfig, match="lenet5 is for classification, multi-label; the dataset is for segmentation"
    ):
        check_fits(Recipe(), facts, SHAPE, 10, 10)


def test_pictures_of_another_shape_than_the_contract_are_refused():
    with pytest.raises(InvalidConfig, match="Render the dataset again"):
        check_fits(Recipe(), FACTS, (28, 28, 3), 10, 10)


def test_early_stopping_without_validation_pictures_is_refused():
    recipe = Recipe(early_stopping=EarlyStopping(patience_epochs=3))
    check_fits(recipe, FACTS, SHAPE, 10, 10)
    with pytest.raises(InvalidConfig, match="there are none"):
        check_fits(recipe, FACTS, SHAPE, 10, 0)
