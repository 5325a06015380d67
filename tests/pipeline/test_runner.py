"""Stages run in file order, are skipped when nothing changed, and say why they are not."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from darkroom.errors import Cancelled, InvalidConfig, Locked, NotFound
from darkroom.operation import LocalPath, Produced, operation
from darkroom.operation.table import _TABLE, NOUNS
from darkroom.operations.holding import hold_project
from darkroom.pipeline.board import read_board
from darkroom.pipeline.runner import run_stages
from darkroom.records import Result
from darkroom.workspace import Workspace


class Counted(Result):
    path: Produced
    value: int


class Judged(Result):
    passed: bool

    @property
    def exit_code(self) -> int:
        return 0 if self.passed else 7


@pytest.fixture
def ran(monkeypatch):
    """Registers two operations for the test and returns the list of what they did."""
    done: list[tuple[str, int]] = []
    monkeypatch.setitem(NOUNS, "trial", ((), "for this test"))

    def reading(workspace, *, file, **_):
        return {"file": file.read_text()}

    @operation("trial.count", inputs=reading, indifferent=("loud",))
    def count(workspace: Workspace, *, file: LocalPath, times: int = 1, loud: bool = False) -> Counted:
        """Count what is in a file.

        Args:
            file: the file
            times: how often
            loud: whether it shouts
        """
        value = int(Path(file).read_text()) * times
        done.append(("count", value))
        (workspace.root / f"out-{times}.txt").write_text(str(value))
        return Counted(path=f"out-{times}.txt", value=value)

    @operation("trial.judge")
    def judge(workspace: Workspace, *, passes: bool = True) -> Judged:
        """Judge.

        Args:
            passes: whether it passes
        """
        done.append(("judge", int(passes)))
        return Judged(passed=passes)

    yield done
    for name in ("trial.count", "trial.judge"):
        del _TABLE[name]


def project(folder: Path, stages: str) -> Workspace:
    (folder / "number.txt").write_text("3")
    (folder / "darkroom.toml").write_text(f'[project]\nname = "trial"\n{stages}')
    return Workspace(folder)


COUNT = '[[stage]]\nname = "a"\noperation = "trial.count"\nfile = "number.txt"\n'
JUDGE = '[[stage]]\nname = "b"\noperation = "trial.judge"\n'


def states(report):
    return [(stage.name, stage.state) for stage in report.stages]


def test_a_second_run_skips_everything(tmp_path, ran):
    with project(tmp_path, COUNT + JUDGE) as workspace:
        assert states(run_stages(workspace)) == [("a", "done"), ("b", "done")]
        assert states(run_stages(workspace)) == [("a", "skipped"), ("b", "skipped")]
    assert ran == [("count", 3), ("judge", 1)]


def test_a_changed_option_runs_its_stage_again_and_says_why(tmp_path, ran):
    with project(tmp_path, COUNT + JUDGE) as workspace:
        run_stages(workspace)
    with project(tmp_path, COUNT + "times = 2\n" + JUDGE) as workspace:
        explained = run_stages(workspace, explain=True)
        assert states(explained) == [("a", "to do"), ("b", "skipped")]
        assert explained.stages[0].why == ("times: 1 → 2",)
        assert states(run_stages(workspace)) == [("a", "done"), ("b", "skipped")]
    assert ran == [("count", 3), ("judge", 1), ("count", 6)]


def test_a_changed_input_makes_its_stage_stale(tmp_path, ran):
    with project(tmp_path, COUNT) as workspace:
        run_stages(workspace)
        (tmp_path / "number.txt").write_text("4")
        report = run_stages(workspace)
    assert report.stages[0].why == ("file: 3 → 4",)
    assert ran[-1] == ("count", 4)


def test_an_option_that_does_not_decide_does_not_make_stale(tmp_path, ran):
    with project(tmp_path, COUNT) as workspace:
        run_stages(workspace)
    with project(tmp_path, COUNT + "loud = true\n") as workspace:
        assert states(run_stages(workspace)) == [("a", "skipped")]


def test_a_raised_version_makes_stale(tmp_path, ran, monkeypatch):
    with project(tmp_path, COUNT) as workspace:
        run_stages(workspace)
        newer = replace(_TABLE["trial.count"], version=2)
        monkeypatch.setitem(_TABLE, "trial.count", newer)
        assert run_stages(workspace).stages[0].why == ("version: 1 → 2",)


def test_a_removed_deliverable_is_made_again(tmp_path, ran):
    with project(tmp_path, COUNT) as workspace:
        run_stages(workspace)
        (tmp_path / "out-1.txt").unlink()
        assert run_stages(workspace).stages[0].why == ("out-1.txt was removed",)
    assert (tmp_path / "out-1.txt").read_text() == "3"


def test_a_sweep_runs_each_combination_once(tmp_path, ran):
    with project(tmp_path, COUNT + "sweep = { times = [1, 2, 3] }\n") as workspace:
        assert states(run_stages(workspace)) == [("a", "done")]
        assert states(run_stages(workspace)) == [("a", "skipped")]
    assert ran == [("count", 3), ("count", 6), ("count", 9)]


def test_a_moved_project_is_still_done(tmp_path, ran):
    here = tmp_path / "here"
    here.mkdir()
    with project(here, COUNT) as workspace:
        run_stages(workspace)
    moved = here.rename(tmp_path / "there")
    with Workspace(moved) as workspace:
        assert states(run_stages(workspace)) == [("a", "skipped")]


def test_a_missed_limit_stops_the_run_and_is_not_remembered_as_done(tmp_path, ran):
    with project(tmp_path, JUDGE + "passes = false\n" + COUNT) as workspace:
        report = run_stages(workspace)
        assert (states(report), report.exit_code) == ([("b", "missed")], 7)
        assert "b missed a limit, so these did not run: a. See: darkroom brief check" in report.summary
        assert run_stages(workspace).exit_code == 7
    assert ran == [("judge", 0), ("judge", 0)]


def test_stages_that_were_asked_for_run_again(tmp_path, ran):
    with project(tmp_path, COUNT + JUDGE) as workspace:
        run_stages(workspace)
        assert states(run_stages(workspace, again=("b",))) == [("a", "skipped"), ("b", "done")]


def test_until_ends_after_a_stage(tmp_path, ran):
    with project(tmp_path, COUNT + JUDGE) as workspace:
        assert states(run_stages(workspace, until="a")) == [("a", "done")]


def test_a_misspelt_stage_is_refused_with_the_nearest_name(tmp_path, ran):
    stages = COUNT.replace('name = "a"', 'name = "train"')
    with project(tmp_path, stages) as workspace, pytest.raises(InvalidConfig, match='Did you mean "train"'):
        run_stages(workspace, until="trian")
    assert ran == []


@pytest.mark.parametrize(
    ("stages", "error", "said"),
    [
        ('[[stage]]\nname = "a"\noperation = "trial.cuont"\n', NotFound, "No operation"),
        (COUNT + "tiems = 2\n", InvalidConfig, 'unknown key "tiems". Did you mean "times"?'),
        (COUNT + 'times = "many"\n', InvalidConfig, '"times"'),
        ('[[stage]]\nname = "x"\noperation = "model.select"\nruns = ["@train"]\n', NotFound, '"train"'),
        (
            COUNT + '[[stage]]\nname = "x"\noperation = "model.select"\nruns = ["@a"]\n',
            InvalidConfig,
            "gives no run",
        ),
    ],
)
def test_a_wrong_stage_says_what_is_wrong(tmp_path, ran, stages, error, said):
    with project(tmp_path, stages) as workspace, pytest.raises(error) as refused:
        run_stages(workspace)
    assert said in str(refused.value)


def test_an_unknown_stage_name_is_refused(tmp_path, ran):
    with project(tmp_path, COUNT) as workspace, pytest.raises(InvalidConfig, match="Stages: a"):
        run_stages(workspace, until="z")


def test_a_stop_between_stages_keeps_what_is_done(tmp_path, ran):
    with project(tmp_path, COUNT + JUDGE) as workspace:
        run_stages(workspace, until="a")
        workspace.stop_requested.set()
        with pytest.raises(Cancelled, match="stage b"):
            run_stages(workspace)
        workspace.stop_requested.clear()
        assert states(run_stages(workspace)) == [("a", "skipped"), ("b", "done")]


def test_two_runs_at_once_are_kept_apart(tmp_path, ran):
    code = (
        "import sys, time; from pathlib import Path; from filelock import FileLock\n"
        "with FileLock(sys.argv[1]): print('held', flush=True); time.sleep(60)\n"
    )
    with project(tmp_path, COUNT) as workspace:
        workspace.hidden.mkdir()
        command = [sys.executable, "-c", code, str(workspace.hidden / "run.lock")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            assert other.stdout.readline()
            with pytest.raises(Locked, match="A `darkroom run`, or somebody who deletes, works on"):
                run_stages(workspace)
            other.kill()
        assert states(run_stages(workspace)) == [("a", "done")]  # a dead process holds nothing


def test_a_verb_on_the_whole_project_is_no_stage(tmp_path, ran):
    stage = '[[stage]]\nname = "x"\noperation = "run"\n'
    with project(tmp_path, stage) as workspace, pytest.raises(InvalidConfig, match="cannot be a stage"):
        run_stages(workspace)


def test_a_refused_request_names_the_file_and_the_stage(tmp_path, ran):
    with project(tmp_path, COUNT + "tiems = 2\n") as workspace, pytest.raises(InvalidConfig) as refused:
        run_stages(workspace)
    assert str(refused.value).startswith('darkroom.toml, stage "a" (trial.count): unknown key "tiems"')


def test_a_file_without_stages_says_so(tmp_path, ran):
    with project(tmp_path, "") as workspace:
        assert "names no stage" in next(iter(run_stages(workspace).display()))


def test_the_board_says_what_is_wrong_with_a_stage_and_who_is_at_work(tmp_path, ran):
    stages = COUNT + "tiems = 2\n" + JUDGE
    with project(tmp_path, stages) as workspace:
        board = read_board(workspace)
        assert any('unknown key "tiems"' in problem for problem in board.problems)
        assert board.at_work == ""
        with hold_project(workspace):
            assert read_board(workspace).at_work == "A `darkroom run`, or somebody who deletes, is at work."
