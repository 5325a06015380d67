"""Options without an effect are refused by name, before anything is trained."""

import pytest

from darkroom.errors import InvalidConfig
from darkroom.training import Augment, EarlyStopping, Loss, Optimiser, Recipe, Schedule
from darkroom.training.combinations import BELONGS, check_accumulation, check_combinations

CLASSES = ("cat", "dog")
PARTS = {"optimiser": Optimiser, "schedule": Schedule, "loss": Loss}


@pytest.mark.parametrize("name", PARTS["optimiser"].model_fields["name"].annotation.__args__)
def test_each_optimiser_goes_with_the_defaults(name):
    check_combinations(Recipe(optimiser=Optimiser(name=name)), CLASSES)


def test_every_option_of_a_part_belongs_to_names_that_exist_or_to_all():
    for part, kind in PARTS.items():
        names = set(kind.model_fields["name"].annotation.__args__)
        assert {one for known in BELONGS[part].values() for one in known} <= names
        assert BELONGS[part].keys() <= kind.model_fields.keys()
    assert BELONGS["optimiser"].keys() == Optimiser.model_fields.keys() - {"name"}
    assert BELONGS["schedule"].keys() == Schedule.model_fields.keys() - {"name"}


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (
            Recipe(optimiser=Optimiser(rho=0.5)),
            r"optimiser.rho = 0.5 has no effect with .* adamw.* adadelta",
        ),
        (Recipe(optimiser=Optimiser(name="sgd", beta1=0.5)), "optimiser.beta1 = 0.5"),
        (Recipe(optimiser=Optimiser(name="nag", momentum=0.0)), "momentum above 0"),
        (Recipe(schedule=Schedule(step_factor=0.5)), "it is for step, multistep"),
        (Recipe(schedule=Schedule(name="one-cycle", warmup_epochs=2)), "schedule.warmup_epochs = 2"),
        (Recipe(loss=Loss(focal_gamma=1)), "it is for focal"),
        (Recipe(loss=Loss(name="focal", label_smoothing=0.1)), "it is for cross-entropy"),
        (Recipe(schedule=Schedule(name="multistep")), "milestones in rising order. Received: none"),
        (Recipe(schedule=Schedule(name="multistep", milestones=(5, 3))), "Received: 5, 3"),
        (Recipe(schedule=Schedule(name="multistep", milestones=(3, 3))), "Received: 3, 3"),
        (
            Recipe(schedule=Schedule(name="multistep", milestones=(3, 30))),
            "after epoch 30, .* ends after 30",
        ),
        (Recipe(schedule=Schedule(name="step"), epochs=10), "after epoch 10, .* ends after 10"),
        (Recipe(schedule=Schedule(warmup_epochs=5), epochs=4), "warm-up takes 5 epochs"),
        (
            Recipe(augment=Augment(edge="mirror", flip="both", crop=0.2)),
            "augment.edge = mirror has no effect",
        ),
        (Recipe(augment=Augment(edge="mean", shift=0.1), normalisation="none"), "needs a mean colour"),
        (Recipe(early_stopping=EarlyStopping(least_gain=0.01)), "least_gain = 0.01 has no effect"),
        (Recipe(loss=Loss(class_weights="by-name")), "go together. Received: by-name, no weights"),
        (Recipe(loss=Loss(weight_by_class={"cat": 2.0})), "go together. Received: none, cat"),
        (
            Recipe(loss=Loss(class_weights="by-name", weight_by_class={"dgo": 2.0})),
            "no class 'dgo'.* Known: cat, dog. Did you mean \"dog\"?",
        ),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(recipe, says):
    with pytest.raises(InvalidConfig, match=says):
        check_combinations(recipe, CLASSES)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(epochs=1),
        Recipe(schedule=Schedule(name="step", step_epochs=2), epochs=3),
        Recipe(schedule=Schedule(name="multistep", milestones=(1, 2, 29))),
        Recipe(loss=Loss(class_weights="by-name", weight_by_class={"dog": 2.0})),
        Recipe(augment=Augment(edge="mirror", rotate_deg=5)),
        Recipe(augment=Augment(edge="mean", zoom=0.1)),
        Recipe(early_stopping=EarlyStopping(patience_epochs=3, least_gain=0.01)),
    ],
    ids=str,
)
def test_what_makes_sense_is_let_through(recipe):
    check_combinations(recipe, CLASSES)


def test_more_batches_than_there_are_cannot_make_a_step():
    check_accumulation(Recipe(accumulate_batches=4), 4)
    with pytest.raises(InvalidConfig, match="accumulate_batches is 5, and an epoch has 4 batches of 64"):
        check_accumulation(Recipe(accumulate_batches=5), 4)
