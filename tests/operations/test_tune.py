"""A search from the request to the evidence: trials that are runs, limits, resume, and test left alone."""

from __future__ import annotations

import json
import os
import threading
import tomllib
from pathlib import Path

import pytest

from darkroom.datasets.manifest import read_manifest
from darkroom.datasets.renderer import rendering_folder
from darkroom.errors import Cancelled, Damaged, Invalid, InvalidConfig, Locked, NotFound
from darkroom.operations import searching
from darkroom.operations.leftovers import find_leftovers
from darkroom.records import content_id
from darkroom.training import Recipe
from darkroom.training.run_folder import read_metrics
from darkroom.workspace import Progress, Workspace
from tests.operations.clone_projects import DATASET, call, digits_project

RECIPE = {"epochs": 2, "device": "cpu", "threads": 1, "batch_size": 32}
LOST = """
import torch


class Lost(torch.nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.head = torch.nn.Linear(256, classes)

    def forward(self, x):
        answers = self.head(x.flatten(1))
        return answers * float("nan") if self.training else answers


def build(*, channels, size, classes, **options):
    return Lost(classes)
"""
"""A network whose answers are no numbers while it trains."""

RATES = {"recipe.learning_rate": "0.0005..0.02:log"}
SMALL = {
    "dataset": DATASET,
    "recipe": RECIPE,
    "space": RATES,
    "trials": 3,
    "clones": 2,
    "side_by_side": "no",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    return digits_project(tmp_path_factory.mktemp("tuned"), 160, workers=1)


@pytest.fixture(scope="module")
def searched(workspace: Workspace):
    """One search, after which the tensors of test are rubbish of the same size and time."""
    seen: list[Progress] = []
    call(workspace, "model.train", dataset=DATASET, recipe={**RECIPE, "epochs": 1})  # renders
    spoil(workspace, "test")
    workspace.listener = seen.append
    report = call(workspace, "model.tune", **SMALL)
    workspace.listener = None
    return report, seen


def spoil(workspace: Workspace, split: str) -> None:
    version = workspace.catalogue.datasets.get(DATASET)
    folder = rendering_folder(workspace, version)
    given = {"contract": content_id(version.contract), "counts": version.counts}
    manifest = read_manifest(folder, dataset=version.content, **given)
    assert manifest is not None
    for shard in manifest.of_split(split):
        path = folder / shard.file
        facts = path.stat()
        path.write_bytes(bytes(facts.st_size))
        os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def tune(workspace: Workspace, **values):
    return call(workspace, "model.tune", **{**SMALL, **values})


def limited(workspace: Workspace, limits: str) -> Workspace:
    """Returns the same project with limits in its brief."""
    text = f'[project]\nname = "tried"\n[brief.limits]\n{limits}\n'
    (workspace.root / "darkroom.toml").write_text(text)
    return workspace.again()


@pytest.fixture
def unlimited(workspace: Workspace):
    yield
    (workspace.root / "darkroom.toml").write_text('[project]\nname = "tried"\n')


def test_a_search_ends_with_the_best_recipe_and_never_reads_test(workspace: Workspace, searched) -> None:
    report, _ = searched
    assert report.verdict in ("better", "worse", "no difference shown", "the recipe as it stood")
    assert "finished" in report.count
    assert report.verdict in report.comparison or "nothing to compare" in report.comparison
    with pytest.raises(Damaged):  # so whoever reads test notices
        call(workspace, "model.evaluate", runs=report.runs, split="test")


def test_every_trial_is_a_run_that_is_marked_as_the_studys(workspace: Workspace, searched) -> None:
    report, _ = searched
    lines = (workspace.studies_folder / report.study / "trials.jsonl").read_text().splitlines()
    trials = [json.loads(line) for line in lines]
    assert [one["number"] for one in trials] == [0, 1, 2]
    for one in trials:
        run = workspace.catalogue.runs.get(one["run"])
        assert f"study-{report.study}" in run.tags
        assert f"study-{report.study}-trial-{one['number']}" in run.tags
        assert read_metrics(workspace.runs_folder / run.id)
    for name in report.runs:
        assert f"study-{report.study}" in workspace.catalogue.runs.get(name).tags


def test_the_clones_have_seeds_that_no_trial_had(workspace: Workspace, searched) -> None:
    report, _ = searched
    for names in (report.runs, report.clones_before):
        assert [workspace.catalogue.runs.get(name).seed for name in names] == [1, 2]


def test_the_deliverable_is_a_page_its_trials_and_a_recipe_to_paste(workspace: Workspace, searched) -> None:
    report, _ = searched
    page = (workspace.root / report.path).read_text("utf-8")
    assert page.count("<svg") == 2  # best so far, parallel coordinates; too few trials for importance
    assert report.comparison in page
    found = tomllib.loads((workspace.root / report.recipe).read_text("utf-8"))
    chosen = Recipe.model_validate(found["stage"]["recipe"])
    config = workspace.runs_folder / report.runs[0] / "config.toml"
    assert chosen == Recipe.model_validate(tomllib.loads(config.read_text("utf-8"))["recipe"])
    assert (workspace.root / report.path).with_name("trials.jsonl").is_file()


def test_progress_says_which_trial_is_at_work(searched) -> None:
    _, seen = searched
    assert any(report.what.startswith("s-1, trial 2: training r-") for report in seen)
    assert seen[-1].total is not None
    last = [report for report in seen if report.what == "searching, study s-1"][-1]
    assert (last.done, last.total, last.unit) == (3, 3, "trials")
    assert "best val.accuracy" in last.metrics


def test_the_same_call_again_trains_nothing(workspace: Workspace, searched) -> None:
    report, _ = searched
    before = len(workspace.catalogue.runs.list())
    assert tune(workspace) == report
    assert len(workspace.catalogue.runs.list()) == before


def test_more_trials_go_on_with_the_same_study(workspace: Workspace, searched) -> None:
    report, _ = searched
    more = tune(workspace, trials=4)
    assert more.study == report.study
    assert len(more.rows) == len(report.rows) + 1


def test_select_and_convert_take_the_runs_of_the_search(workspace: Workspace, searched) -> None:
    report, _ = searched
    assert call(workspace, "model.select", runs=report.runs).run in report.runs


def test_what_a_pruned_trial_left_is_known_to_project_clean(workspace: Workspace, searched) -> None:
    report, _ = searched
    run = workspace.catalogue.runs.get(report.runs[0])
    tags = (f"study-{report.study}", f"study-{report.study}-trial-7")
    ended = run.model_copy(update={"key": "k", "state": "cancelled", "tags": tags})
    pruned = workspace.catalogue.runs.create(ended)
    (workspace.runs_folder / pruned.id).mkdir()
    found = {one.path.name: one for one in find_leftovers(workspace)}
    assert found[pruned.id].what == "runs"
    assert found[pruned.id].why == f"trial 7 of study {report.study} was cancelled"
    assert report.runs[0] not in found


def test_a_stop_lets_the_trial_go_and_the_same_call_goes_on_with_it(tmp_path: Path) -> None:
    workspace = digits_project(tmp_path, 160, workers=1)
    stops = threading.Event()

    def listen(report: Progress) -> None:
        if report.what.startswith("s-1, trial 1: training") and report.metrics.get("epoch", 0) >= 1:
            stops.set()

    workspace.listener, workspace.stop_requested = listen, stops
    with pytest.raises(Cancelled):
        tune(workspace)
    workspace.listener, workspace.stop_requested = None, threading.Event()
    begun = [run.id for run in workspace.catalogue.runs.list()]
    assert [run.state for run in workspace.catalogue.runs.list()] == ["finished", "cancelled"]
    report = tune(workspace)
    trials = read_trials(workspace, report.study)
    assert [one["run"] for one in trials][:2] == begun  # neither was trained twice
    assert [one["state"] for one in trials].count("running") == 0


def read_trials(workspace: Workspace, study: str) -> list[dict]:
    lines = (workspace.studies_folder / study / "trials.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


@pytest.mark.slow
def test_the_metric_the_seed_and_the_most_operations_that_were_asked_for_decide(
    workspace: Workspace,
) -> None:
    space = {"recipe.network": "lenet5|mobilenetv2_100", "input_px": "32", **RATES}
    recipe = {**RECIPE, "epochs": 1}
    report = tune(
        workspace, recipe=recipe, space=space, by="val.loss", most_flops=2_000_000, seed=7, trials=2
    )
    assert report.metric == "val.loss"
    losses = [float(row[3].split()[0]) for row in report.rows]
    assert losses == sorted(losses)
    assert "val.loss is" in report.comparison or "nothing to compare" in report.comparison
    ((network, why),) = report.filtered
    assert network == "mobilenetv2_100"
    assert "most_flops" in why
    trials = read_trials(workspace, report.study)
    assert {one["values"].get("recipe.network", "lenet5") for one in trials} == {"lenet5"}
    seeds = {workspace.catalogue.runs.get(one["run"]).seed for one in trials}
    assert seeds == {7}
    for runs in (report.runs, report.clones_before):
        assert [workspace.catalogue.runs.get(name).seed for name in runs] == [8, 9]


def test_a_trial_that_fails_is_noted_with_the_reason_and_the_study_goes_on(workspace: Workspace) -> None:
    space = {"recipe.accumulate_batches": "1|400", "recipe.learning_rate": "0.001|0.002"}
    report = tune(workspace, space=space, trials=4)
    trials = [one for one in read_trials(workspace, report.study) if one["state"] != "repeated"]
    states = {(one["values"]["recipe.accumulate_batches"], one["state"]) for one in trials}
    assert states == {(1, "finished"), (400, "failed")}
    assert all("an epoch has" in one["reason"] for one in trials if one["state"] == "failed")
    assert any("an epoch has" in row[-1] for row in report.rows)


def test_a_loss_that_is_no_number_is_a_reason_and_when_all_fail_the_search_says_so(
    workspace: Workspace,
) -> None:
    (workspace.root / "lost.py").write_text(LOST, encoding="utf-8")
    recipe = {**RECIPE, "network": "custom", "network_file": str(workspace.root / "lost.py")}
    with pytest.raises(Invalid, match="No trial of study .* was finished .5 failed.*no longer a number"):
        tune(workspace, recipe=recipe, trials=9)
    assert [run.state for run in workspace.catalogue.runs.list()][-5:] == ["failed"] * 5


def test_all_networks_left_out_is_said_before_any_trial(workspace: Workspace, unlimited: None) -> None:
    before = len(workspace.catalogue.runs.list())
    with pytest.raises(
        InvalidConfig, match="No network is left.*lenet5: about .* model_bytes allows 1,000"
    ):
        tune(limited(workspace, "model_bytes = 1000"), space={"recipe.network": "lenet5|vgg16"})
    with pytest.raises(NotFound, match="lenet4"):
        tune(workspace, space={"recipe.network": "lenet4|lenet5"})
    assert len(workspace.catalogue.runs.list()) == before


def test_a_search_until_the_brief_stops_as_soon_as_it_holds(workspace: Workspace, unlimited: None) -> None:
    report = tune(limited(workspace, "accuracy = 0.01"), until="brief", trials=9)
    assert (report.reached, report.exit_code) == (True, 0)
    assert report.answer.startswith("Reached: trial 0")
    assert len(report.rows) == 1
    assert "holds the brief" in report.ended


def test_a_brief_out_of_reach_is_answered_with_the_limit_the_figure_and_the_budget(
    workspace: Workspace, unlimited: None
) -> None:
    report = tune(limited(workspace, "accuracy = 0.9999\nmodel_bytes = 900000"), until="brief", trials=2)
    assert (report.reached, report.exit_code) == (False, 7)
    assert report.answer.startswith("Not reachable within 2 trials, because accuracy ≥ 0.9999: the best")
    assert "model_bytes" not in report.answer
    assert (workspace.root / report.path).is_file()


@pytest.mark.slow
def test_several_aims_give_a_front_and_the_smallest_that_is_not_shown_worse(workspace: Workspace) -> None:
    space = {"input_px": "12|16", **RATES}
    report = tune(workspace, space=space, aims=("metric", "model_bytes"), trials=4)
    assert report.front
    page = (workspace.root / report.path).read_text("utf-8")
    assert page.count("<svg") == 3  # the front as well
    assert report.choice.startswith("Chosen: trial ")
    others = [one.ref for one in workspace.catalogue.datasets.list()]
    assert "digits-12x12@1" in others
    assert workspace.catalogue.datasets.get("digits").ref == DATASET  # the plain name means what it meant


def test_no_val_no_limits_and_aims_that_do_not_go_together_are_refused(workspace: Workspace) -> None:
    version = workspace.catalogue.datasets.get(DATASET)
    blind = version.model_copy(update={"name": "blind", "id": "0" * 64, "counts": {"train": 9}})
    workspace.catalogue.datasets.freeze(blind, [])
    with pytest.raises(InvalidConfig, match="has none"):
        tune(workspace, dataset="blind@1")
    with pytest.raises(InvalidConfig, match="sets nothing to hold"):
        tune(workspace, until="brief")
    with pytest.raises(InvalidConfig, match="no trial is ended early"):
        tune(workspace, aims=("metric", "model_bytes"), prune="median")
    with pytest.raises(InvalidConfig, match="metric has to be among"):
        tune(workspace, aims=("model_bytes",))


def test_a_study_that_another_process_works_on_is_left_alone(workspace: Workspace, searched) -> None:
    report, _ = searched
    with (
        searching._owned(workspace.studies_folder / report.study),
        pytest.raises(Locked, match="Another process"),
    ):
        tune(workspace)


@pytest.mark.slow
def test_a_damaged_study_is_named_and_one_set_aside_costs_no_training(tmp_path: Path) -> None:
    workspace = digits_project(tmp_path, 160, workers=1)
    first = tune(workspace, trials=2)
    folder, count = workspace.studies_folder / first.study, len(workspace.catalogue.runs.list())
    (folder / "study.json").write_text("{")
    with pytest.raises(Damaged, match="Set the folder aside"):
        tune(workspace, trials=2)
    folder.rename(folder.with_name("s-1.left"))
    second = tune(workspace, trials=2)
    assert second.study == "s-2"
    assert [row[:4] for row in second.rows] == [row[:4] for row in first.rows]
    assert len(workspace.catalogue.runs.list()) == count
