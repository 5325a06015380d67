"""Quantisation-aware fine-tuning: a run goes on for a few epochs with its numbers rounded to eight bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from darkroom.errors import NotFound
from darkroom.operation import RunRef, operation
from darkroom.operations.gates import check_names, hold_quality, quality_content
from darkroom.operations.model import TrainReport
from darkroom.operations.run_costs import remarks, took
from darkroom.operations.run_making import run_for
from darkroom.operations.run_pictures import recipe_kept
from darkroom.operations.run_weights import LIBRARIES, refuse_lost_run
from darkroom.records import Run
from darkroom.training import Recipe
from darkroom.workspace import Workspace

__all__ = ["quantise"]


def _read_by_quantising(workspace: Workspace, **values: Any) -> Mapping[str, str]:
    return quality_content(workspace, **values)


@operation("model.quantise", version=1, slow=True, stage=6, inputs=_read_by_quantising, libraries=LIBRARIES)
def quantise(
    workspace: Workspace,
    *,
    run: RunRef,
    epochs: Annotated[int, Field(ge=1, le=1000)] = 3,
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.0001,
    seed: int = 0,
    again: bool = False,
) -> TrainReport:
    """Train a run on for a few epochs with its numbers rounded to eight bits, so that int8 loses less.

    The new run begins with the run's best weights and has its data, augmentation and loss; weights and
    activations are rounded in every pass as an int8 file rounds them. Its files are made as those of any
    run: export convert --precision int8. Worth trying where int8 misses the brief by every recipe.

    Args:
        run: the run whose int8 file loses too much.
        epochs: how often each training picture is seen.
        learning_rate: a small one: what was learnt shall stay.
        seed: decides order and augmentation.
        again: train anew although such a run is there.
    """
    from darkroom.operations.deliverables import deliver_training

    found = workspace.catalogue.runs.get(run)
    refuse_lost_run(workspace, found)
    check_names(workspace, found.dataset)
    recipe = rounding_recipe(_recipe_of(workspace, found), epochs, learning_rate)
    made, reused = run_for(
        workspace, found.dataset, recipe, seed, again=again, start_from=found.id, start_epoch=0
    )
    gates = hold_quality(workspace, (made.id,))
    return TrainReport(
        run=made.id,
        reused=reused,
        best_epoch=int(made.metrics["best_epoch"]),
        val_accuracy=made.metrics.get("val.accuracy"),
        val_mean_ap=made.metrics.get("val.mean_ap"),
        val_miou=made.metrics.get("val.miou"),
        val_loss=made.metrics.get("val.loss"),
        gates=gates,
        took=took([made]),
        remarks=(
            *remarks(recipe, [made]),
            "The figures are those of rounded numbers. Next: darkroom export convert "
            f"--run {made.id} --precision float32,int8",
        ),
        path=deliver_training(workspace, [made], gates),
    )


def rounding_recipe(earlier: Recipe, epochs: int, learning_rate: float) -> Recipe:
    """Returns how a run goes on with rounded numbers: as it was trained, but briefly and with small steps.

    Args:
        earlier: the recipe of the run.
        epochs: how long.
        learning_rate: at the start; it falls along a cosine.
    """
    usual = Recipe()
    changes: dict[str, Any] = {
        "weights": "",
        "epochs": epochs,
        "learning_rate": learning_rate,
        "find_learning_rate": False,
        "batch_size": min(earlier.batch_size, 32),
        "accumulate_batches": 1,
        "optimiser": {"name": "adamw"},
        "schedule": {"name": "cosine"},
        "train_layers": "all",
        "layers": {"batch_statistics": "keep"},
        "feature_views": 1,
        "early_stopping": usual.early_stopping.model_dump(),
        "snapshot_every": 0,
        "precision": "float32",
        "quantise": True,
    }
    return Recipe.model_validate({**earlier.model_dump(), **changes})


def _recipe_of(workspace: Workspace, run: Run) -> Recipe:
    kept = recipe_kept(workspace, run.id)
    if not kept:
        raise NotFound(
            "quantise.no-recipe",
            "Run {run} has no recipe in its folder: nobody knows how it was trained.",
            do="Train a run here first: darkroom run",
            run=run.id,
        )
    recipe = Recipe.model_validate(kept)
    if recipe.network_file is None:
        return recipe
    own = workspace.runs_folder / run.id / recipe.network_file.name
    return recipe.model_copy(update={"network_file": own})
