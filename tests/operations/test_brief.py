"""The brief is the test: its limits at training, evaluation and by `brief check`, on real digits."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import darkroom
from darkroom.cli import main
from darkroom.errors import InvalidConfig, NotFound
from tests.operations.test_main_job import put_digits, stages, write

PAGES = ("06-training/r-1-r-2.html", "07-evaluation/r-1-r-2-test.html")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with two short clones, evaluated, without a limit on quality."""
    root = tmp_path_factory.mktemp("brief")
    put_digits(root / "pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_THREADS", "1")
        patch.setenv("DARKROOM_WORKERS", "1")
        patch.chdir(root)
        assert main(["init", "digits", "--images", "pictures", "--clones", "2"]) == 0
        write(root / "digits" / "darkroom.toml", epochs="2")
        assert main(["run", "--project", "digits", "--until", "choose"]) == 0
    return root / "digits"


@pytest.fixture
def copy(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made.parent, tmp_path / "moved", symlinks=True)
    monkeypatch.chdir(tmp_path / "moved" / "digits")
    return tmp_path / "moved" / "digits"


def limit(root: Path, **limits: str) -> None:
    write(root / "darkroom.toml", **limits)


def runs(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".darkroom/runs").iterdir() if path.is_dir())


def test_init_sets_parity_only_and_shows_the_others_as_examples(made: Path) -> None:
    with darkroom.open(made) as project:
        limits = project.workspace.project.brief.limits
    assert limits.model_dump(exclude_defaults=True) == {}
    text = (made / "darkroom.toml").read_text("utf-8")
    assert "\nparity_agreement = 1.0\n" in text
    examples = [line for line in text.splitlines() if line.startswith("# accuracy = 0.95")]
    assert examples == ["# accuracy = 0.95"]
    assert "# recall = {cat = 0.9}" in text


def test_a_new_limit_is_shown_by_training_without_training_again(copy: Path) -> None:
    weights = {
        run: (copy / ".darkroom/runs" / run / "checkpoints/best.safetensors") for run in ("r-1", "r-2")
    }
    before = {run: path.stat().st_mtime_ns for run, path in weights.items()}
    limit(copy, accuracy="0.2")
    with darkroom.open(copy) as project:
        assert stages(project.run(until="choose")) == {
            "collect": "skipped",
            "prepare": "skipped",
            "network": "skipped",
            "train": "done",
            "evaluate": "done",
            "choose": "skipped",
        }
    assert {run: path.stat().st_mtime_ns for run, path in weights.items()} == before
    assert runs(copy) == ["r-1", "r-2"]
    kept = json.loads((copy / ".darkroom/runs/r-1/gates-val.json").read_text("utf-8"))
    assert [gate["subject"] for gate in kept["gates"]] == ["r-1", "mean of 2 clones"]
    for page in PAGES:
        assert "The brief" in (copy / "deliverables" / page).read_text("utf-8")


def test_words_of_the_brief_and_limits_on_files_leave_training_and_evaluation_alone(copy: Path) -> None:
    write(copy / "darkroom.toml", statement='"Read digits."', model_bytes="100000", memory_bytes="1000000")
    with darkroom.open(copy) as project:
        assert set(stages(project.run(until="choose")).values()) == {"skipped"}


def test_evaluation_shows_costs_and_training_once_a_limit_is_set_on_them(copy: Path) -> None:
    write(copy / "darkroom.toml", mistakes='[{ truth = "*", answer = "*", cost = 3 }]')
    with darkroom.open(copy) as project:
        done = stages(project.run(until="choose"))
    assert (done["train"], done["evaluate"]) == ("skipped", "done")
    page = (copy / "deliverables" / PAGES[1]).read_text("utf-8")
    assert "Over all thresholds" in page
    assert "What mistakes cost" in page
    assert "The dearest come first" in page
    limit(copy, expected_cost="2.9")
    with darkroom.open(copy) as project:
        assert stages(project.run(until="choose"))["evaluate"] == "done"
    write(copy / "darkroom.toml", mistakes='[{ truth = "*", answer = "*", cost = 2 }]')
    with darkroom.open(copy) as project:
        explained = project.run(explain=True, until="train")
    (train,) = [stage for stage in explained.stages if stage.name == "train"]
    assert train.why == ("[[brief.mistakes]] changed",)


def test_a_missed_limit_ends_evaluation_with_7_after_everything_is_written(
    copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = copy / "deliverables/07-evaluation/r-3-test.html"
    limit(copy, accuracy="0.9", recall='{"digit 1" = 0.0}')
    asleep = ["--recipe.epochs", "1", "--recipe.learning-rate", "1e-9"]
    assert main(["model", "train", "--dataset", "digits", *asleep]) == 0
    assert "The brief: accuracy ≥ 0.9: fail, r-3 on val has 0." in capsys.readouterr().out
    assert main(["model", "evaluate", "--runs", "r-3", "--json"]) == 7
    said = json.loads(capsys.readouterr().out)
    verdicts = {gate["limit"]: (gate["verdict"], gate["split"]) for gate in said["gates"]}
    assert verdicts == {"accuracy": ("fail", "val"), "recall": ("pass", "val")}
    assert said["images"] == 48
    assert "missed by" in page.read_text("utf-8")
    assert main(["brief", "check", "r-3"]) == 7


def test_names_are_checked_before_anything_is_trained_or_looked_at(copy: Path) -> None:
    limit(copy, recall='{"digit 7" = 0.5}')
    with darkroom.open(copy) as project:
        for call in (
            lambda: project.model.train(dataset="digits", seed=99),
            lambda: project.model.evaluate(runs=("r-1",)),
            lambda: project.brief.check(),
        ):
            with pytest.raises(InvalidConfig, match='"digit 7", which is neither a class nor a rule'):
                call()
    assert runs(copy) == ["r-1", "r-2"]
    assert json.loads((copy / ".darkroom/runs/r-1/evaluation-test.json").read_text())["looks"] == 1


def test_looks_at_test_are_counted_over_all_runs(copy: Path) -> None:
    (copy / ".darkroom/runs/r-2/predictions-test.npy").unlink()  # so that it must be asked again
    with darkroom.open(copy) as project:
        assert "looked at 2 times, by 2 runs" in project.brief.check().looks
        assert "looked at 3 times, by 2 runs" in project.model.evaluate(runs=("r-2",)).looks
        assert project.status().looks == ("test of digits@1 was looked at 3 times, by 2 runs.",)
        assert (
            "val of digits@1 was looked at once" in project.model.evaluate(runs=("r-2",), split="val").looks
        )


@pytest.mark.slow
def test_verifying_the_files_of_a_run_that_was_never_evaluated_is_a_look(copy: Path) -> None:
    run = copy / ".darkroom/runs/r-2"
    with darkroom.open(copy) as project:
        project.export.convert(run="r-2", targets=("onnx",))
        assert project.export.verify().remarks == ()  # its own evaluation counts its look
        (run / "evaluation-test.json").unlink()
        assert project.status().looks == ("test of digits@1 was looked at once, by 1 run.",)
        assert "looked at 2 times, by 2 runs" in project.export.verify().remarks[-1]
        assert project.status().looks == ("test of digits@1 was looked at 2 times, by 2 runs.",)
        assert "looked at 3 times, by 2 runs" in project.model.evaluate(runs=("r-2",)).looks


def test_another_limit_is_held_against_the_kept_answers_and_is_no_look(copy: Path) -> None:
    kept = [copy / ".darkroom/runs" / run / "evaluation-test.json" for run in ("r-1", "r-2")]
    before = [path.read_bytes() for path in kept]
    limit(copy, accuracy="0.2")
    with darkroom.open(copy) as project:
        assert stages(project.run(until="choose"))["evaluate"] == "done"
        assert project.status().looks == ("test of digits@1 was looked at 2 times, by 2 runs.",)
        project.model.compare(first="r-1", second="r-2", split="test")
    assert [path.read_bytes() for path in kept] == before


@pytest.mark.parametrize("changed", ["weights_sha256", "libraries"])
def test_answers_of_other_weights_or_libraries_are_asked_for_again(copy: Path, changed: str) -> None:
    path = copy / ".darkroom/runs/r-1/evaluation-test.json"
    found = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({key: value for key, value in found.items() if key != changed}), "utf-8")
    with darkroom.open(copy) as project:
        assert "looked at 3 times" in project.model.evaluate(runs=("r-1",)).looks
    again = json.loads(path.read_text("utf-8"))
    assert (again["looks"], again[changed]) == (2, found[changed])


def test_check_measures_nothing_and_says_what_is_not_measured(copy: Path) -> None:
    limit(copy, accuracy="0.5", bundle_bytes="5")
    with darkroom.open(copy) as project:
        found = project.brief.check()
    assert (found.run, found.chosen_by, found.exit_code) == ("r-2", "the newest run", 0)
    assert {gate.verdict for gate in found.gates} == {"not measured"}
    assert {gate.limit for gate in found.gates} >= {"accuracy", "bundle_bytes", "parity_agreement"}
    assert "darkroom model evaluate --runs r-2 --split val" in found.gates[0].note
    assert not (copy / ".darkroom/runs/r-2/evaluation-val.json").exists()


def test_run_and_check_say_whose_figures_they_show(copy: Path) -> None:
    limit(copy, accuracy="0.2")
    with darkroom.open(copy) as project:
        assert any("on the mean of r-1, r-2." in line for line in project.run(until="evaluate").summary)
        shown = list(project.brief.check().display())
        alone = project.model.evaluate(runs=("r-1",))
    assert any("These are the figures of r-2 alone." in line for line in shown if isinstance(line, str))
    assert not any("on the mean" in line for line in alone.notes())


def test_check_wants_a_run(tmp_path: Path) -> None:
    put_digits(tmp_path / "pictures", count=12)
    assert main(["init", str(tmp_path / "new"), "--images", str(tmp_path / "pictures")]) == 0
    with darkroom.open(tmp_path / "new") as project, pytest.raises(NotFound, match="no finished run"):
        project.brief.check()
