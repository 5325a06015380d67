"""precision = "auto": chosen by capability and timing, kept with the run, taken again when resumed."""

from __future__ import annotations

import json

import pytest
import torch

from darkroom.networks.saved import load, unpack
from darkroom.networks.start import NetworkStart
from darkroom.training import Recipe
from darkroom.training.checkpoint import read_progress
from darkroom.training.device import reproducible
from darkroom.training.loop import train
from darkroom.training.plan import Plan, PrecisionChoice
from darkroom.training.precision import FASTER, choose_precision, computes_bfloat16
from tests.training.digits import FACTS, digits

CPU = torch.device("cpu")
AUTO = Recipe(epochs=2, threads=1, device="cpu", precision="auto")
BRAIN = PrecisionChoice(precision="bfloat16", why="It was told so.")


def choose(recipe=AUTO):
    with reproducible(CPU, 1):
        return choose_precision(digits(100, 20), recipe, 0, FACTS, CPU, NetworkStart())


def run(folder, recipe=AUTO, **options):
    return train(folder, rendering=digits(100, 20), recipe=recipe, seed=0, facts=FACTS, **options)


def test_the_faster_by_a_fifth_is_chosen_and_both_times_are_said():
    chosen = choose()
    if not computes_bfloat16(CPU):
        assert (chosen.precision, chosen.float32_ms) == ("float32", None)
        return
    ratio = chosen.float32_ms / chosen.bfloat16_ms
    assert chosen.precision == ("bfloat16" if ratio >= FASTER else "float32")
    assert f"{ratio:.2f} times" in chosen.why


def test_a_last_layer_is_trained_in_float32_untimed():
    chosen = choose(AUTO.model_copy(update={"train_layers": "last"}))
    assert (chosen.precision, chosen.float32_ms) == ("float32", None)


def test_the_choice_is_kept_in_environment_events_card_and_state(tmp_path):
    run(tmp_path)
    environment = json.loads((tmp_path / "environment.json").read_text())
    chosen = PrecisionChoice.model_validate(environment["precision_choice"])
    assert environment["precision"] == chosen.precision
    started = json.loads((tmp_path / "events.jsonl").read_text().splitlines()[0])
    assert started["precision_choice"]["why"] == chosen.why
    assert load(tmp_path / "checkpoints/best.safetensors")[1].trained_in == chosen.precision
    assert read_progress(tmp_path / "resume.safetensors").precision == chosen
    assert 'precision = "auto"' in (tmp_path / "config.toml").read_text()


def test_clones_take_the_choice_of_their_series_and_compute_in_it(tmp_path):
    told = run(tmp_path / "told", plan=Plan(precision=BRAIN))
    asked = run(tmp_path / "asked", AUTO.model_copy(update={"precision": "bfloat16"}))
    plain = run(tmp_path / "plain", AUTO.model_copy(update={"precision": "float32"}))
    assert told.last.train_loss == asked.last.train_loss != plain.last.train_loss


class Stop(Exception):
    pass


def test_a_resumed_training_takes_the_same_choice_again(tmp_path):
    def stop_after_the_first_epoch(done, total, figures):
        if "val_loss" in figures and figures["epoch"] == 2:
            raise Stop

    recipe = AUTO.model_copy(update={"epochs": 4})
    whole = run(tmp_path / "whole", recipe, plan=Plan(precision=BRAIN))
    with pytest.raises(Stop):
        run(tmp_path / "cut", recipe, plan=Plan(precision=BRAIN), on_progress=stop_after_the_first_epoch)
    resumed = run(tmp_path / "cut", recipe)  # nobody tells it what was chosen
    assert resumed.resumed_from >= 1
    one, other = (unpack(tmp_path / name / "checkpoints/last.safetensors")[0] for name in ("whole", "cut"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert resumed.last.train_loss == whole.last.train_loss


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that cuda knows")
def test_on_cuda_bfloat16_is_taken_where_it_is_there():
    chosen = choose_precision(digits(100, 20), AUTO, 0, FACTS, torch.device("cuda"), NetworkStart())
    assert chosen.precision == ("bfloat16" if computes_bfloat16(torch.device("cuda")) else "float32")
