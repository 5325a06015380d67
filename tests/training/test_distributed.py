"""Two processes that share every batch train as one does, and a lone one notices nothing of all this."""

from pathlib import Path
from typing import NamedTuple

import pytest
import torch

from darkroom.engines import Task
from darkroom.engines.local import LocalEngine
from darkroom.networks.saved import unpack
from darkroom.settings import Settings
from darkroom.training.distributed import ALONE, lost_another
from darkroom.training.run_folder import read_metrics
from tests.training import parts

FIGURES = ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "val_miou")
CLOSE = {"plain": 1e-4, "drawn": 1e-4, "masks": 2e-3}
"""Largest difference of a weight or a figure. Sums are rounded in another order, AdamW divides by roots of
small numbers, and batch normalisation divides by small deviations."""


def weights(folder, name="last"):
    return unpack(folder / "checkpoints" / f"{name}.safetensors")[0]


def in_processes(function, folder, **arguments):
    tasks = [
        Task(f"process {rank}", function, {"folder": str(folder), "rank": rank, **arguments})
        for rank in range(parts.SIZE)
    ]
    return LocalEngine(Settings()).run(tasks, workers=parts.SIZE)


class Together(NamedTuple):
    """What two processes did: the folder in which they trained, and single steps of the first."""

    folder: Path
    steps: dict


def trained(folder, cases, networks):
    (folder / "second").mkdir()
    asked = {"cases": cases, "networks": networks}
    (first, steps), (second, _) = in_processes(parts.train_part, folder, **asked)
    assert first == second  # each of them saw the same figures, to the last bit
    return Together(folder, steps)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("together"), ["plain", "drawn"], ["small"])


@pytest.fixture(scope="module")
def together_for_long(tmp_path_factory):
    return trained(tmp_path_factory.mktemp("together"), ["masks"], ["mobilenetv2_035"])


@pytest.mark.parametrize("case", ["plain", "drawn"])
def test_two_processes_train_as_one(case, together, tmp_path):
    compare(case, together, tmp_path)


@pytest.mark.slow
def test_two_processes_train_masks_as_one(together_for_long, tmp_path):
    compare("masks", together_for_long, tmp_path)


def compare(case, together, tmp_path):
    parts.train_case(case, tmp_path)
    alone, shared = weights(tmp_path), weights(together.folder / case)
    assert alone.keys() == shared.keys()
    learnt = [name for name in alone if "running" not in name]
    apart = {name: (alone[name].float() - shared[name].float()).abs().max().item() for name in learnt}
    assert max(apart.values()) < CLOSE[case], apart
    for one, other in zip(read_metrics(tmp_path), read_metrics(together.folder / case), strict=True):
        for name in FIGURES:
            assert getattr(one, name) == pytest.approx(getattr(other, name), abs=CLOSE[case]), name


def test_batch_normalisation_and_dropout_see_the_whole_batch(together):
    compare_steps("small", together)


@pytest.mark.slow
def test_batch_normalisation_of_timm_sees_the_whole_batch(together_for_long):
    compare_steps("mobilenetv2_035", together_for_long)


def compare_steps(network, together):
    loss, found = parts.step_of(network, ALONE)
    shared_loss, shared = together.steps[network]
    assert shared_loss == pytest.approx(loss, rel=1e-12)
    assert shared.keys() == found.keys()
    largest = max(abs(value).max() for value in found.values())
    assert max(abs(found[name] - shared[name]).max() for name in found) < 1e-9 * largest


def test_both_processes_end_with_the_same_weights_to_the_last_bit(together):
    for case in ("plain", "drawn"):
        first, second = weights(together.folder / case), weights(together.folder / "second" / case)
        assert all(torch.equal(first[name], second[name]) for name in first), case


def test_two_processes_are_one_that_accumulates_two_halves_to_the_last_bit(together, tmp_path):
    halves = parts.CASES["plain"].model_copy(update={"batch_size": 16, "accumulate_batches": 2})
    # 224 pictures: every batch has two whole halves, which are the batches of the one that accumulates
    parts.train_case("plain", tmp_path, halves)
    alone, shared = weights(tmp_path), weights(together.folder / "plain")
    assert all(torch.equal(alone[name], shared[name]) for name in alone)


def test_the_environment_says_how_many_processes_there_were(together, tmp_path):
    parts.train_case("plain", tmp_path)
    assert '"processes": 2' in (together.folder / "plain" / "environment.json").read_text()
    assert "processes" not in (tmp_path / "environment.json").read_text()


@pytest.mark.slow
def test_what_was_stopped_goes_on_to_the_same_weights_to_the_last_bit(together, tmp_path):
    assert in_processes(parts.stop_and_go_on, tmp_path) == [1, 1]
    whole, gone_on = weights(together.folder / "drawn"), weights(tmp_path / "went-on-0")
    assert all(torch.equal(whole[name], gone_on[name]) for name in whole)


def test_a_lone_process_calls_the_network_and_nothing_else():
    network = torch.nn.Linear(3, 2)
    x = torch.ones(4, 3)
    assert torch.equal(ALONE.answers(network, x), network(x))
    assert ALONE.decided("mine") == "mine"
    assert ALONE.in_turn(lambda: 3) == 3


def test_what_torch_says_of_a_lost_process_is_understood():
    said = "[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer"
    assert lost_another(RuntimeError(said))
    assert not lost_another(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert not lost_another(ValueError(said))
