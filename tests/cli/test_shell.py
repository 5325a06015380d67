"""The shell says what went wrong in words, exits with the error's code, and prints JSON on request."""

import json
import subprocess
import sys

import pytest

import darkroom
from darkroom import errors
from darkroom.cli import main
from darkroom.operation import operations
from darkroom.workspace import Workspace


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "darkroom.toml").write_text('[project]\nname = "trial"\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(capsys):
    return capsys.readouterr()


def test_an_unknown_command_names_the_known_ones(capsys):
    assert main(["frobnicate"]) == 2
    assert 'Unknown command "frobnicate"' in said(capsys).err


def test_a_misspelt_option_names_the_one_that_was_meant(project, capsys):
    assert main(["model", "train", "--dataset", "x@1", "--recipe.epoch", "3"]) == 2
    error = said(capsys).err
    assert "--recipe.epochs" in error
    assert "darkroom model train --help" in error


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["dataset", "show", "nothing"], 3, "nothing"),
        (["model", "train", "--dataset", "x@1"], 3, "x"),
        (["model", "train", "--dataset", "x@1", "--recipe.epochs", "0"], 2, "recipe.epochs"),
        (["model", "train"], 2, "dataset"),
        (["predict", "photo.jpg"], 3, "no trained model"),
        (["run", "--until", "nowhere"], 2, "nowhere"),
        (["init", "again", "--images", "absent"], 3, "absent"),
        (["export", "inspect", "absent"], 3, "absent"),
    ],
)
def test_an_error_is_one_sentence_and_its_code(project, capsys, words, code, text):
    assert main(words) == code
    error = said(capsys).err
    assert text in error
    assert "Traceback" not in error


def test_an_error_as_json_has_the_one_error_shape(project, capsys):
    assert main(["dataset", "show", "nothing", "--json"]) == 3
    error = json.loads(said(capsys).err)
    assert set(error) == {"error", "kind", "id", "hint"}
    assert error["kind"] == "NotFound"


def test_debug_shows_the_traceback(project):
    done = subprocess.run(
        [sys.executable, "-m", "darkroom", "dataset", "show", "nothing", "--debug"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" in done.stderr


def test_a_project_is_found_from_a_folder_inside_it(project, monkeypatch, capsys):
    inside = project / "deep" / "er"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert main(["status"]) == 0
    assert "trial" in said(capsys).out


def test_outside_a_project_the_shell_says_how_to_make_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["status"]) == 3
    assert "darkroom init" in said(capsys).err


def test_networks_and_weights_need_no_project(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DARKROOM_WEIGHTS", str(tmp_path / "kept"))
    outside = darkroom.outside()
    for words, answer in {
        "model networks": outside.model.networks(),
        "model weights": outside.model.weights(),
    }.items():
        assert main([*words.split(), "--json"]) == 0
        assert json.loads(said(capsys).out) == json.loads(answer.model_dump_json())
    assert answer.places == (f"{tmp_path / 'kept'} (not there)",)
    monkeypatch.delenv("DARKROOM_WEIGHTS")
    assert main(["model", "weights"]) == 0
    assert "Nowhere to look: there is no project here" in " ".join(said(capsys).out.split())
    assert list(tmp_path.iterdir()) == []


def test_weights_are_looked_for_in_the_project_from_a_folder_inside_it(project, monkeypatch, capsys):
    inside = project / "deep"
    inside.mkdir()
    monkeypatch.chdir(inside)
    assert main(["model", "weights", "--json"]) == 0
    assert json.loads(said(capsys).out)["places"] == [f"{project / 'weights'} (not there)"]


def test_a_folder_that_was_named_must_be_a_project(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["model", "networks", "--project", str(tmp_path)]) == 3
    assert "No darkroom.toml" in said(capsys).err


def test_python_outside_a_project_refuses_what_needs_one(tmp_path):
    with pytest.raises(errors.NotFound, match=r"No darkroom\.toml"):
        darkroom.outside(tmp_path).model.list()
    assert list(tmp_path.iterdir()) == []


def test_python_and_the_shell_give_the_same_answer(project, capsys):
    with darkroom.open(project) as opened:
        answers = {
            "model networks": opened.model.networks(),
            "source list": opened.source.list(),
            "dataset list": opened.dataset.list(),
            "model list": opened.model.list(),
            "status": opened.status(),
        }
    for words, answer in answers.items():
        assert main([*words.split(), "--json"]) == 0
        assert json.loads(said(capsys).out) == json.loads(answer.model_dump_json())


def test_python_refuses_what_the_shell_refuses(project):
    with darkroom.open(project) as opened:
        with pytest.raises(errors.InvalidConfig, match='unknown key "datset"'):
            opened.model.train(datset="x@1")
        with pytest.raises(errors.NotFound, match="modle"):
            opened.modle  # noqa: B018


def test_each_operation_has_help_in_the_shell(capsys):
    for operation in operations().values():
        assert main([*operation.words.split(), "--help"]) == 0
        shown = said(capsys).out
        assert operation.summary.split(",")[0][:40] in " ".join(shown.split())
        for parameter in operation.parameters:
            assert "--" + parameter.name.replace("_", "-") in shown


def test_a_sweep_in_the_shell_runs_each_value(project, capsys):
    assert main(["model", "train", "--dataset", "x@1", "--sweep", "seed=0,1"]) == 3
    assert main(["model", "train", "--dataset", "x@1", "--sweep", "seed"]) == 2
    assert "name=value" in said(capsys).err


def test_the_catalogue_is_closed_after_a_command(project):
    with Workspace.open(project) as workspace:
        assert workspace.catalogue.images.count() == 0
    assert "catalogue" not in workspace.__dict__


def test_a_stop_by_the_keyboard_is_said_in_a_sentence(project, monkeypatch, capsys):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Workspace, "open", interrupted)
    assert main(["status"]) == 130
    assert "Stopped by you." in said(capsys).err


def test_a_disk_that_refuses_is_said_in_a_sentence(project, monkeypatch, capsys):
    def refused(*_, **__):
        raise PermissionError(13, "Permission denied", "/there/run.lock")

    monkeypatch.setattr(Workspace, "open", refused)
    assert main(["status"]) == 9
    assert "The disk refused /there/run.lock: Permission denied." in said(capsys).err
