"""What clones vary, what they keep, and which runs are clones of each other at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import ValidationError

from darkroom.errors import InvalidConfig
from darkroom.operations.kept import kept_json, kept_toml
from darkroom.operations.run_pictures import recipe_kept
from darkroom.records import content_id, plain
from darkroom.training import Augment, Chance, Recipe
from darkroom.training.chance import SOURCES, Source
from darkroom.workspace import Workspace

__all__ = [
    "Distinct",
    "all_but_chance",
    "distinct_clones",
    "recipe_of_clone",
    "refuse_idle",
    "same_recipe",
    "spoken_kept",
]


def recipe_of_clone(recipe: Recipe, vary: Sequence[Source] | None, first: int, seed: int) -> Recipe:
    """Returns the recipe of one clone of a series.

    Args:
        recipe: of the series.
        vary: what chance may decide anew; None for all but the split.
        first: seed of the first clone, which decides what does not vary.
        seed: of this clone.

    Raises:
        InvalidConfig: the recipe holds fast what is to vary.
    """
    if vary is None:
        return recipe
    held = [one for one in vary if getattr(recipe.chance, one) is not None]
    if held:
        raise InvalidConfig(
            "clone.varies-what-is-held",
            "The recipe gives recipe.chance.{held} a seed of its own, and the clones are to vary it.",
            do="Leave it out of the recipe, or out of vary.",
            held=held[0],
        )
    stays = {one: first for one in SOURCES if one not in (*vary, "split")}
    own = {name: value for name, value in recipe.chance.model_dump().items() if value is not None}
    split = {"split": seed} if "split" in vary else {}
    return recipe.model_copy(update={"chance": Chance(**{**stays, **own, **split})})


def refuse_idle(recipe: Recipe, vary: Sequence[Source], times: int) -> tuple[str, ...]:
    """Returns in words what is varied and has no effect with a recipe; refuses where nothing else varies.

    Raises:
        InvalidConfig: the clones would be one training, several times.
    """
    idle = [one for one in dict.fromkeys(vary) if one in _idle(recipe)]
    if times > 1 and len(idle) == len(set(vary)):
        raise InvalidConfig(
            "clone.nothing-varies",
            "Nothing varies: {idle} decides nothing with this recipe, so {times} clones would be one "
            "training, {times} times.",
            do="Vary something else too, for example: --vary initialisation,order",
            idle=" and ".join(idle) or "an empty list",
            times=times,
        )
    return tuple(f"{one} varies, and decides nothing with this recipe." for one in idle)


def spoken_kept(vary: Sequence[Source] | None) -> str:
    """Returns in words what clones have in common beside the recipe."""
    if vary is None:
        return "What varies: initialisation, order, augmentation, dropout. The split is the same."
    stays = [one for one in SOURCES if one not in vary]
    kept = f" The same for all: {', '.join(stays)}." if stays else ""
    return f"What varies: {', '.join(one for one in SOURCES if one in vary)}.{kept}"


class Distinct(NamedTuple):
    """Runs without those that repeat another one."""

    runs: tuple[str, ...]
    repeats: dict[str, str]
    """Run → the run that it repeats."""

    def notes(self) -> tuple[str, ...]:
        """Returns in words what was left out."""
        return tuple(
            f"{run} repeats {first}: the same recipe, data and seed. It counts once."
            for run, first in self.repeats.items()
        )


def distinct_clones(workspace: Workspace, runs: Sequence[str]) -> Distinct:
    """Returns the runs that differ by recipe, data or chance; a repeated one says nothing of chance.

    Raises:
        Damaged: what a run keeps is not what was written.
    """
    if len(runs) < 2:
        return Distinct(tuple(runs), {})
    first: dict[str, str] = {}
    repeats: dict[str, str] = {}
    for run in dict.fromkeys(runs):
        recipe = recipe_kept(workspace, run)
        chance = Chance.model_validate(recipe.get("chance", {}))
        seeds = chance.seeds(workspace.catalogue.runs.get(run).seed)
        idle = _idle_as_kept(recipe)
        deciding = {name: seed for name, seed in seeds.items() if name not in idle}
        kept = first.setdefault(content_id({"what": all_but_chance(workspace, run), **deciding}), run)
        if kept != run:
            repeats[run] = kept
    return Distinct(tuple(first.values()), repeats)


def same_recipe(workspace: Workspace, runs: Sequence[str]) -> bool:
    """Returns whether runs are clones: of one recipe, dataset and beginning, unlike by chance alone."""
    return len(runs) < 2 or len({all_but_chance(workspace, run) for run in runs}) == 1


def all_but_chance(workspace: Workspace, run: str) -> str:
    """Returns the content of what decides a run, beside its seeds."""
    folder = workspace.runs_folder / run
    config, card = kept_toml(folder / "config.toml"), kept_json(folder / "model-card.json")
    found = {
        "recipe": _without_chance(config.get("recipe")),
        "dataset": config.get("dataset_id"),
        "began": card.get("weights"),
    }
    return content_id(found)


def _without_chance(recipe: Any) -> Any:
    """Returns a recipe as ids are made of it: a run of before an option existed is of the same recipe."""
    if not isinstance(recipe, dict):
        return recipe
    try:
        kept = plain(Recipe.model_validate(recipe))
    except ValidationError:
        kept = recipe  # of another version
    return {name: value for name, value in kept.items() if name != "chance"}


def _idle_as_kept(recipe: dict[str, Any]) -> tuple[Source, ...]:
    try:
        return _idle(Recipe.model_validate(recipe)) if recipe else ()
    except ValidationError:
        return ()  # of another version: then every seed counts


def _idle(recipe: Recipe) -> tuple[Source, ...]:
    """Returns the sources of chance that decide nothing with a recipe."""
    found: list[Source] = []
    mixes = getattr(recipe, "mixing", None)
    still = recipe.augment == Augment() and (mixes is None or mixes == type(mixes)())
    if still:
        found.append("augmentation")
    if recipe.dropout == 0 and recipe.network_file is None:
        found.append("dropout")
    return tuple(found)
