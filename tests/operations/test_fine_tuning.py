"""Fine-tuning in one call, and the learning rate in another: from the request to the deliverable."""

from __future__ import annotations

from pathlib import Path

import pytest
import tomlkit

from darkroom.cli import main
from darkroom.errors import InvalidConfig
from darkroom.operation import find_operation
from darkroom.operations.varying import same_recipe
from darkroom.training import Recipe
from darkroom.workspace import Workspace
from tests.operations.clone_projects import DATASET, call, digits_project
from tests.training import last_child

DEEPER = {
    "network": "lenet5",
    "epochs": 3,
    "layers": {"open_every": 1, "head_epochs": 4, "head_rate": 0.05},
    "device": "cpu",
    "threads": 1,
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights")
    last_child.make_weights(folder)
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Workspace:
    made = digits_project(tmp_path_factory.mktemp("tuned"), 240)
    (made.root / "weights").mkdir()
    (weights / "five.safetensors").rename(made.root / "weights" / "five.safetensors")
    return made


@pytest.fixture(scope="module")
def report(workspace: Workspace):
    return call(workspace, "model.fine_tune", dataset=DATASET, recipe=DEEPER)


def test_it_takes_the_weights_at_hand_and_trains_the_last_layer_and_then_deeper(
    workspace: Workspace, report
) -> None:
    assert (report.network, report.weights) == ("lenet5", "five")
    assert [row[0] for row in report.rows] == ["last layer alone", "group after group"]
    last, deeper = (workspace.catalogue.runs.get(run) for run in report.runs)
    assert (last.parent, deeper.parent) == (None, last.id)
    assert "val pictures" in report.comparison
    assert any(verdict in report.comparison for verdict in ("better", "worse", "no difference shown"))


def test_the_better_run_goes_on(workspace: Workspace, report) -> None:
    figures = {run: workspace.catalogue.runs.get(run).metrics["val.accuracy"] for run in report.runs}
    assert figures[report.run] == max(figures.values())
    assert report.run in report.path
    assert (workspace.root / report.path).is_file()
    assert any("Goes on" in line for line in report.display() if isinstance(line, str))


def test_the_same_request_takes_the_runs_that_are_there(workspace: Workspace, report) -> None:
    again = call(workspace, "model.fine_tune", dataset=DATASET, recipe=DEEPER)
    assert again.runs == report.runs


def test_an_earlier_run_can_be_fine_tuned(workspace: Workspace, report) -> None:
    again = call(
        workspace,
        "model.fine_tune",
        dataset=DATASET,
        recipe={**DEEPER, "network": "", "train_layers": "all", "epochs": 1},
        start_from=report.run,
    )
    assert (again.network, again.weights) == ("lenet5", report.run)
    assert [row[0] for row in again.rows] == ["last layer alone", "all layers at once"]


def test_another_seed_and_training_anew_are_other_runs(workspace: Workspace, report) -> None:
    asked = {"dataset": DATASET, "recipe": {**DEEPER, "train_layers": "all", "epochs": 1}}
    first = call(workspace, "model.fine_tune", **asked)
    other = call(workspace, "model.fine_tune", **asked, seed=5)
    anew = call(workspace, "model.fine_tune", **asked, again=True)
    assert not {*first.runs} & {*other.runs, *anew.runs}
    losses = [
        workspace.catalogue.runs.get(one.runs[-1]).metrics["train.loss"] for one in (first, other, anew)
    ]
    assert losses[0] == losses[2] != losses[1]


def test_the_rate_may_be_measured_before_the_layers_open(workspace: Workspace, report) -> None:
    recipe = {**DEEPER, "train_layers": "all", "epochs": 1, "find_learning_rate": True}
    found = call(workspace, "model.fine_tune", dataset=DATASET, recipe=recipe)
    deeper = workspace.catalogue.runs.get(found.runs[-1])
    assert deeper.metrics["found.learning_rate"] > 0
    assert "found.learning_rate" not in workspace.catalogue.runs.get(found.runs[0]).metrics


def test_a_rate_is_found_for_what_a_run_has_learnt(workspace: Workspace, report) -> None:
    recipe = {"network": "lenet5", "device": "cpu", "threads": 1, "batch_size": 32}
    fresh, learnt = (
        call(workspace, "model.find_rate", dataset=DATASET, recipe=recipe, **more)
        for more in ({}, {"start_from": report.run})
    )
    assert learnt.losses[0] < fresh.losses[0]


def test_without_anything_that_was_learnt_it_says_where_weights_come_from(workspace: Workspace) -> None:
    with pytest.raises(InvalidConfig, match="no pretrained weights at hand for alexnet. Put NAME"):
        call(workspace, "model.fine_tune", dataset=DATASET, recipe={**DEEPER, "network": "alexnet"})


def test_a_recipe_in_darkroom_toml_can_do_it_in_one_run(workspace: Workspace, report) -> None:
    recipe = {**DEEPER, "weights": "five", "train_layers": "gradual"}
    found = call(workspace, "model.train", dataset=DATASET, recipe=recipe)
    assert found.val_accuracy is not None
    assert found.run not in report.runs


def test_a_rate_is_found_with_its_reason_and_a_curve(workspace: Workspace) -> None:
    recipe = {"device": "cpu", "threads": 1, "batch_size": 32}
    found = call(workspace, "model.find_rate", dataset=DATASET, recipe=recipe)
    assert 1e-5 < found.learning_rate < 1
    assert "A tenth of the rate" in found.why
    page = (workspace.root / found.path).read_text()
    assert "<svg" in page
    assert f"learning_rate = {found.learning_rate:g}" in page
    taken = call(
        workspace,
        "model.train",
        dataset=DATASET,
        recipe={**recipe, "epochs": 1, "find_learning_rate": True},
        seed=3,
    )
    run = workspace.catalogue.runs.get(taken.run)
    assert run.metrics["found.learning_rate"] == found.learning_rate
    assert any(f"learning rate {found.learning_rate:g}" in said for said in taken.remarks)


@pytest.mark.parametrize("verb", ["fine-tune", "find-rate"])
def test_the_shell_has_a_hyphen_where_python_has_an_underscore(
    verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    operation = find_operation(f"model.{verb.replace('-', '_')}")
    assert operation.help_command == f"darkroom model {verb} --help"
    assert main(["model", verb, "--help"]) == 0
    assert "--dataset" in capsys.readouterr().out


def test_a_run_of_before_an_option_existed_is_a_clone_of_todays(workspace: Workspace) -> None:
    recipe = {"epochs": 1, "device": "cpu", "threads": 1}
    runs = [
        call(workspace, "model.train", dataset=DATASET, recipe=recipe, seed=seed).run for seed in (1, 2)
    ]
    config = workspace.runs_folder / runs[0] / "config.toml"
    kept = tomlkit.parse(config.read_text("utf-8"))
    for later in Recipe.LATER:
        del kept["recipe"][later]  # type: ignore[union-attr]
    config.write_text(tomlkit.dumps(kept), "utf-8")
    assert same_recipe(workspace, runs)
