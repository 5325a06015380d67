"""Options of fine-tuning, sampling and mixing without an effect are refused by name."""

import pytest

from darkroom.errors import InvalidConfig
from darkroom.records import plain
from darkroom.training import Layers, Loss, Mixing, Recipe
from darkroom.training.combinations import check_combinations
from darkroom.training.fine_tuning import FineTuning, fine_recipes

CLASSES = ("cat", "dog")
GRADUAL = Recipe(train_layers="gradual", weights="w")


def with_layers(recipe=GRADUAL, **options):
    return recipe.model_copy(update={"layers": Layers(**options)})


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (with_layers(Recipe(), groups=4), "layers.groups = 4 has no effect with one rate"),
        (with_layers(Recipe(), open_every=4), "it is for train_layers = gradual"),
        (with_layers(Recipe(), head_epochs=0), "layers.head_epochs = 0 has no effect"),
        (
            with_layers(Recipe(train_layers="last", weights="w"), rate_decay=0.5),
            "layers.rate_decay = 0.5 has no effect with train_layers = last",
        ),
        (Recipe(train_layers="gradual"), "have learnt nothing"),
        (
            with_layers(open_every=20),
            "would open with epoch 41, and the training ends after 30. Set layers.open_every = 14",
        ),
        (
            with_layers(Recipe(train_layers="gradual", weights="w", epochs=2), groups=4),
            "Set epochs = 7 or more",
        ),
        (Recipe(train_layers="gradual", weights="w", feature_views=3), "train_layers = gradual"),
        (Recipe(train_layers="last", weights="w", mixing=Mixing(mixup=0.2)), "features that are computed"),
        (Recipe(sampling="balanced", loss=Loss(class_weights="balanced")), "together they do so twice"),
        (Recipe(find_learning_rate=True, learning_rate=0.1), "learning_rate = 0.1 says it"),
    ],
    ids=str,
)
def test_what_has_no_effect_is_refused(recipe, says):
    with pytest.raises(InvalidConfig, match=says):
        check_combinations(recipe, CLASSES)


@pytest.mark.parametrize("recipe", [Recipe(sampling="balanced"), Recipe(mixing=Mixing(cutmix=1))], ids=str)
@pytest.mark.parametrize("task", ["segmentation", "multi-label"])
def test_balance_and_mixing_are_for_one_class_each(recipe, task):
    with pytest.raises(InvalidConfig, match=f"one class each; the dataset is for {task}"):
        check_combinations(recipe, CLASSES, task=task)


def test_for_masks_a_head_start_is_refused_and_gradual_is_not():
    check_combinations(GRADUAL, CLASSES, task="segmentation")
    with pytest.raises(InvalidConfig, match="head_epochs = 3 has no effect with masks"):
        check_combinations(with_layers(head_epochs=3), CLASSES, task="segmentation")


@pytest.mark.parametrize(
    "recipe",
    [
        GRADUAL,
        with_layers(Recipe(), rate_decay=0.5, groups=5),
        with_layers(Recipe(), batch_statistics="keep"),
        Recipe(sampling="balanced", mixing=Mixing(mixup=0.2, cutmix=1)),
        Recipe(find_learning_rate=True, allow_smaller_batch=True),
    ],
    ids=str,
)
def test_what_has_an_effect_is_taken(recipe):
    check_combinations(recipe, CLASSES)


def test_a_recipe_that_leaves_the_new_options_out_is_known_by_its_old_id():
    later = {"allow_smaller_batch", "find_learning_rate", "layers", "mixing", "sampling"}
    assert not later & plain(Recipe()).keys()
    assert plain(with_layers(rate_decay=0.5, groups=3))["layers"]["rate_decay"] == 0.5


@pytest.mark.parametrize("task", ["classification", "multi-label", "segmentation"])
@pytest.mark.parametrize("chosen", ["gradual", "all"])
def test_the_recipes_of_a_fine_tuning_make_sense_by_themselves(task, chosen):
    recipes = fine_recipes(FineTuning(train_layers=chosen), "lenet5", "w", task)
    assert all(type(one) is Recipe for one in recipes)
    for place, one in enumerate(recipes):
        assert one.weights == ("w" if place == 0 else "")
        check_combinations(one, CLASSES, goes_on=place > 0, task=task)
    assert recipes[-1].train_layers == chosen
    assert len(recipes) == (1 if task == "segmentation" else 2)


def test_a_fine_tuning_may_measure_its_rate():
    measured = FineTuning(find_learning_rate=True)
    for place, one in enumerate(fine_recipes(measured, "lenet5", "w", "classification")):
        check_combinations(one, CLASSES, goes_on=place > 0)
        assert one.find_learning_rate == (place > 0)
    said = fine_recipes(
        FineTuning(find_learning_rate=True, learning_rate=0.1), "lenet5", "w", "classification"
    )
    with pytest.raises(InvalidConfig, match="learning_rate = 0.1 says it"):
        check_combinations(said[1], CLASSES, goes_on=True)
