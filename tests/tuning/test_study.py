"""A study proposes by a seed, ends what falls behind, goes on after a kill, proposes nothing twice."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from darkroom.errors import Damaged, MissingExtra
from darkroom.records import now
from darkroom.tuning.budget import Budget, spent_s
from darkroom.tuning.study import MOST_ATTEMPTS, Asked, Study
from darkroom.tuning.trial import Trial
from tests.tuning.studies import child_environment, plan_of, study_in, trials

RATES = {"recipe.learning_rate": "0.001..0.1:log"}


def finish(study: Study, asked: Asked) -> None:
    """Tells a figure that is best at a rate of 0.01."""
    rate = float(asked.trial.values["recipe.learning_rate"])
    study.finish(asked, {"val.accuracy": 1 - abs(rate - 0.01), "val.loss": rate})


def worked(study: Study, count: int) -> list[dict]:
    """Finishes trials; returns the values of all so far."""
    while (asked := study.ask(trials(count))) is not None:
        finish(study, asked)
    return [dict(one.values) for one in study.trials()]


def test_the_same_seed_proposes_the_same_and_another_one_does_not(tmp_path: Path) -> None:
    one, other, third = (
        worked(study_in(tmp_path / name, plan_of(RATES, seed=seed)), 12)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert one == other
    assert one[0] == third[0] == {"recipe.learning_rate": 0.002}  # the recipe as it stands comes first
    assert one[1:] != third[1:]


def test_a_study_that_goes_on_proposes_what_it_would_have_proposed(tmp_path: Path) -> None:
    whole = worked(study_in(tmp_path / "whole", plan_of(RATES)), 12)
    parted = study_in(tmp_path / "parted", plan_of(RATES))
    worked(parted, 5)
    assert worked(Study(parted.folder, "second"), 12) == whole


def test_a_proposal_that_a_kill_cut_short_ends_as_it_would_have(tmp_path: Path) -> None:
    whole = worked(study_in(tmp_path / "whole", plan_of(RATES)), 4)
    parted = study_in(tmp_path / "parted", plan_of(RATES))
    worked(parted, 3)
    parted._optuna.ask()  # and nothing more: no value, no session
    assert worked(Study(parted.folder, "second"), 4) == whole


def test_a_trial_without_its_process_is_taken_up_again_and_none_is_lost(tmp_path: Path) -> None:
    study = study_in(tmp_path, plan_of(RATES))
    begun = study.ask(trials(3))
    assert begun is not None
    study.begin(begun, run="r-1", dataset="digits@1")
    again = Study(study.folder, "second").ask(trials(3))
    assert again is not None
    assert (again.trial.number, again.trial.run, again.trial.attempts) == (0, "r-1", 2)
    assert again.trial.values == begun.trial.values


def test_a_trial_whose_process_ends_every_time_is_given_up_and_the_study_goes_on(tmp_path: Path) -> None:
    folder = study_in(tmp_path, plan_of(RATES)).folder
    for attempt in range(MOST_ATTEMPTS):
        asked = Study(folder, f"call {attempt}").ask(trials(3))
        assert asked is not None
        assert asked.trial.number == 0
    last = Study(folder, "last")
    following = last.ask(trials(3))
    assert following is not None
    assert following.trial.number == 1
    assert last.trials()[0].state == "failed"
    assert "without a word" in last.trials()[0].reason


def test_a_trial_that_a_person_stopped_was_no_attempt(tmp_path: Path) -> None:
    folder = study_in(tmp_path, plan_of(RATES)).folder
    for attempt in range(2 * MOST_ATTEMPTS):
        study = Study(folder, f"call {attempt}")
        asked = study.ask(trials(3))
        assert asked is not None
        assert asked.trial.number == 0
        study.let_go(asked)


def test_nothing_is_proposed_twice_and_a_space_that_is_used_up_ends_the_search(tmp_path: Path) -> None:
    study = study_in(tmp_path, plan_of({"recipe.batch_size": "16|32|64"}))
    count = 0
    while (asked := study.ask(trials(10))) is not None:
        study.finish(asked, {"val.accuracy": 0.5})
        count += 1
    assert count == 3
    done = [one.values["recipe.batch_size"] for one in study.trials() if one.state == "finished"]
    assert sorted(done) == [16, 32, 64]
    assert {one.state for one in study.trials()} == {"finished", "repeated"}


@pytest.mark.parametrize("prune", ["median", "hyperband"])
def test_a_trial_that_falls_behind_is_ended(tmp_path: Path, prune: str) -> None:
    study = study_in(tmp_path, plan_of(RATES, prune=prune))
    ended: set[str] = set()
    for number in range(30):
        asked = study.ask(trials(30))
        assert asked is not None
        good = 0.9 if number < 6 else 0.1
        for epoch in range(1, 9):
            if study.report(asked, epoch, good):
                study.prune(asked, "behind")
                ended.add("good" if good > 0.5 else "bad")
                break
        else:
            study.finish(asked, {"val.accuracy": good})
    assert "bad" in ended


def test_an_epoch_that_was_reported_before_a_kill_is_not_reported_twice(tmp_path: Path) -> None:
    study = study_in(tmp_path, plan_of(RATES, prune="median"))
    asked = study.ask(trials(2))
    assert asked is not None
    study.report(asked, 1, 0.5)
    again = Study(study.folder, "second").ask(trials(2))
    assert again is not None
    assert again.reported == {1}
    assert not study.report(again, 1, 0.6)
    assert not study.report(again, 2, float("nan"))


def test_anyone_can_read_the_trials(tmp_path: Path) -> None:
    study = study_in(tmp_path, plan_of(RATES))
    asked = study.ask(trials(2))
    assert asked is not None
    study.fail(asked, "the loss is no longer a number")
    [line] = (study.folder / "trials.jsonl").read_text().splitlines()
    assert json.loads(line)["reason"] == "the loss is no longer a number"
    assert study.trials()[0].state == "failed"


def test_what_decides_is_found_important(tmp_path: Path) -> None:
    study = study_in(tmp_path, plan_of({**RATES, "recipe.weight_decay": ""}))
    assert study.importance() == {}  # nothing is known yet
    worked(study, 25)
    found = study.importance()
    assert sum(found.values()) == pytest.approx(1)
    assert found["recipe.learning_rate"] > found["recipe.weight_decay"]


def test_a_line_that_a_kill_left_half_written_is_cut_off(tmp_path: Path) -> None:
    study = study_in(tmp_path, plan_of(RATES))
    worked(study, 2)
    with (study.folder / "optuna.jsonl").open("a") as journal:
        journal.write('{"op_code": 4, "wor')
    again = Study(study.folder, "second")
    assert len(again.trials()) == 2
    assert len(worked(again, 3)) == 3
    assert len(Study(study.folder, "third").trials()) == 3


@pytest.mark.parametrize("file", ["study.json", "optuna.jsonl"])
@pytest.mark.parametrize("damage", ["gone", "cut", "rubbish"])
def test_a_damaged_folder_is_named_with_what_to_do(tmp_path: Path, file: str, damage: str) -> None:
    study = study_in(tmp_path, plan_of(RATES))
    worked(study, 2)
    path = study.folder / file
    whole = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(b"rubbish\n" + whole if damage == "rubbish" else whole[200:])
    with pytest.raises(Damaged, match="Set the folder aside"):
        Study(study.folder, "second").trials()


def test_the_time_of_pauses_does_not_count(tmp_path: Path) -> None:
    start = now()

    def trial(number: int, began: float, ended: float) -> Trial:
        moments = (start + timedelta(seconds=at) for at in (began, ended))
        began_at, ended_at = moments
        return Trial(number=number, state="finished", values={}, began_at=began_at, ended_at=ended_at)

    ended = [trial(0, 0, 10), trial(1, 5, 15), trial(2, 100, 110)]
    assert spent_s(ended) == pytest.approx(25)
    assert Budget.of(9, 25 / 60, until_brief=False, before=ended).time_is_up
    assert not Budget.of(9, 1, until_brief=False, before=ended).time_is_up


def test_a_search_in_which_everything_fails_gives_up(tmp_path: Path) -> None:
    study = study_in(tmp_path, plan_of(RATES))
    count = 0
    while (asked := study.ask(trials(50))) is not None:
        study.fail(asked, "no memory")
        count += 1
    assert count == 5


def test_without_optuna_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from darkroom.tuning.journal import load_optuna

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtra, match=r"pip install 'darkroom\[tune\]'"):
        load_optuna()


def test_the_operation_is_listed_without_loading_optuna() -> None:
    code = "import sys, darkroom.operations.tune; assert 'optuna' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env=child_environment())
