"""From the values of a trial to its recipe: what is asked for, and what has to follow from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from darkroom.networks import find
from darkroom.operation import put
from darkroom.records import Contract
from darkroom.training import Augment, Recipe
from darkroom.training.combinations import BELONGS
from darkroom.tuning.candidates import family_of
from darkroom.tuning.space import HEAD, INPUT, NETWORK, WIDTH, resized
from darkroom.tuning.trial import StudyPlan, Value, Variable

__all__ = ["base_values", "contract_of", "network_of", "propose", "recipe_of"]

VIEWS = 4
"""Views of each picture where only the last layer is trained on changed pictures; as `init` picks."""


def propose(plan: StudyPlan, suggest: Callable[[Variable], Value]) -> dict[str, Value]:
    """Returns the values of a trial: of each variable that matters with those that were proposed before it.

    Args:
        plan: the study.
        suggest: proposes a value of one variable.
    """
    values: dict[str, Value] = {}
    for variable in plan.variables:
        if _matters(variable.name, plan, values):
            values[variable.name] = suggest(variable)
    return values


def recipe_of(plan: StudyPlan, values: Mapping[str, Value]) -> Recipe:
    """Returns the recipe of a trial.

    Raises:
        ValidationError: the values do not make a recipe.
    """
    found: dict[str, Any] = dict(plan.recipe)
    for name, value in values.items():
        if name.startswith("recipe."):
            found = put(found, name.removeprefix("recipe."), value)
    found["network"] = network_of(plan, values)
    if plan.weights:
        found["weights"] = plan.weights[found["network"]]
    return Recipe.model_validate(_settled(found))


def network_of(plan: StudyPlan, values: Mapping[str, Value]) -> str:
    """Returns the network of a trial."""
    if WIDTH in values:
        return family_of(str(plan.recipe["network"]))[float(values[WIDTH])]
    return str(values.get(NETWORK, plan.recipe["network"]))


def contract_of(contract: Contract, values: Mapping[str, Value]) -> Contract:
    """Returns the contract of a trial: the dataset's, in another size where that varies."""
    if INPUT not in values:
        return contract
    height, width = resized(contract, int(values[INPUT]))
    return contract.model_copy(update={"height_px": height, "width_px": width})


def base_values(plan: StudyPlan, contract: Contract) -> dict[str, Value] | None:
    """Returns the values that give the recipe as it stands; None where the space does not hold them."""
    recipe = Recipe.model_validate(dict(plan.recipe))
    widths = {name: width for width, name in family_of(recipe.network).items()}
    special: dict[str, Value | None] = {
        WIDTH: widths.get(recipe.network),
        INPUT: min(contract.height_px, contract.width_px),
    }

    def own(variable: Variable) -> Value:
        if variable.name in special:
            found = special[variable.name]
        else:
            found = recipe
            for part in variable.name.split(".")[1:]:
                found = getattr(found, part)
        if not variable.holds(found):
            raise LookupError(variable.name)
        return found  # type: ignore[return-value]

    try:
        return propose(plan, own)
    except LookupError:
        return None


def _matters(name: str, plan: StudyPlan, values: Mapping[str, Value]) -> bool:
    """Says whether a variable has an effect beside the values that are proposed already."""
    _, _, rest = name.partition(".")
    part, _, option = rest.partition(".")
    if option and option in BELONGS.get(part, {}):
        chosen = values.get(f"recipe.{part}.name", plan.recipe[part]["name"])
        return chosen in BELONGS[part][option]
    if rest == "dropout":
        return "dropout" in find(network_of(plan, values)).options
    if rest == "feature_views":
        return values.get(HEAD, plan.recipe["train_layers"]) == "last"
    return True


def _settled(found: dict[str, Any]) -> dict[str, Any]:
    """Returns a recipe whose options go together, where another one was varied away from under them."""
    defaults = Recipe().model_dump()
    for part, options in BELONGS.items():
        kept = dict(found[part])
        for option, names in options.items():
            if kept["name"] not in names:
                kept[option] = defaults[part][option]
        found[part] = kept
    if found["schedule"]["name"] != "one-cycle":
        warm = min(found["schedule"]["warmup_epochs"], float(found["epochs"]))
        found["schedule"] = {**found["schedule"], "warmup_epochs": warm}
    if "dropout" not in find(found["network"]).options:
        found["dropout"] = 0.0
    changes = Augment.model_validate(found["augment"]) != Augment()
    # Maps of masks are not kept as features are: their pictures change anew in each epoch.
    anew = "segmentation" in find(found["network"]).tasks
    found = _with_layers(found, defaults)
    if found["train_layers"] != "last" or not changes or anew:
        found["feature_views"] = 1
    elif found["feature_views"] == 1:
        found["feature_views"] = VIEWS
    return found


def _with_layers(found: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a recipe whose options of layers, mixing and the measured rate go with the rest of it."""
    usual = defaults["layers"]  # a study of before has no such options
    layers = dict(found.get("layers", usual))
    if found["train_layers"] == "last":
        layers = dict(usual)
    elif found["train_layers"] == "all":
        gradual = ("open_every", "head_epochs", "head_rate")
        idle = (*gradual, "groups") if layers["rate_decay"] == 1 else gradual
        layers |= {name: usual[name] for name in idle}
    mixing = (
        defaults["mixing"] if found["train_layers"] == "last" else found.get("mixing", defaults["mixing"])
    )
    found = {**found, "layers": layers, "mixing": mixing}
    if found.get("find_learning_rate"):
        found["learning_rate"] = defaults["learning_rate"]
    if found.get("sampling") == "balanced":
        found["loss"] = {**found["loss"], "class_weights": "none", "weight_by_class": {}}
    return found
