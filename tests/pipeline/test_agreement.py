"""Where two stages name the network differently, a person hears of it; nothing else is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from darkroom.pipeline.agreement import disagreements
from darkroom.pipeline.board import read_board
from darkroom.pipeline.defaults import main_job
from darkroom.pipeline.runner import run_stages
from darkroom.records import Contract, StageEntry
from darkroom.workspace import Workspace

SHAPE = Contract(width_px=28, height_px=28)


def describe(**request: Any) -> StageEntry:
    return StageEntry(
        name="network", operation="model.describe", request={"dataset": "@prepare", **request}
    )


def train(recipe: Any, **more: Any) -> StageEntry:
    request = {"dataset": "@prepare", "recipe": recipe}
    return StageEntry(name="train", operation="model.clone", request=request, **more)


@pytest.mark.parametrize("recipe", [{}, {"network": "alexnet", "weights": "alexnet.mine"}])
def test_the_stages_of_init_agree(recipe: dict[str, Any]) -> None:
    stages = main_job("p", "p", format="class-folders", contract=SHAPE, recipe=recipe, clones=1)
    assert list(disagreements(stages)) == []


@pytest.mark.parametrize(
    ("described", "recipe"),
    [
        ({}, {"network": "alexnet"}),
        ({"network": "alexnet"}, {}),
        ({"network": "alexnet"}, {"network": "alexnet", "weights": "alexnet.mine"}),
    ],
)
def test_another_network_or_other_weights_in_the_recipe_are_named(
    described: dict[str, Any], recipe: dict[str, Any]
) -> None:
    (said,) = disagreements([describe(**described), train(recipe)])
    assert said.startswith('Stage "network" describes ')
    assert "alexnet" in said
    assert '"train" trains' in said


def test_one_training_of_a_sweep_that_agrees_is_enough() -> None:
    swept = train({}, sweep={"recipe.network": ("alexnet", "lenet5")})
    assert list(disagreements([describe(), swept])) == []


def test_stages_on_other_datasets_or_with_a_wrong_sweep_are_let_be() -> None:
    other = StageEntry(name="t", operation="model.train", request={"dataset": "other@1"})
    wrong = train({"network": "alexnet"}, sweep={"recipe.epochs": ()})
    assert list(disagreements([describe(network="alexnet"), other, wrong])) == []


def test_run_and_status_say_it(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "darkroom.toml").write_text(
        '[project]\nname = "p"\n'
        '[[stage]]\nname = "collect"\noperation = "source.add"\nfolder = "pictures"\n'
        '[[stage]]\nname = "network"\noperation = "model.describe"\ndataset = "@collect"\n'
        '[[stage]]\nname = "train"\noperation = "model.train"\ndataset = "@collect"\n'
        'recipe.network = "alexnet"\n'
    )
    with Workspace(tmp_path) as workspace:
        (said,) = disagreements(workspace.project.stage)
        assert said in read_board(workspace).problems
        assert said in run_stages(workspace, explain=True).summary
