"""Devices and repeatability: what is set for a training is put back after it."""

import pytest
import torch

from darkroom.errors import Unsupported
from darkroom.settings import available_cores
from darkroom.training.device import (
    check_precision,
    choose_device,
    default_threads,
    derive_seed,
    exact_dtype,
    reproducible,
)


def test_auto_takes_the_best_device_there_is():
    if torch.cuda.is_available():
        assert choose_device("auto").type == "cuda"
    elif torch.backends.mps.is_available():
        assert choose_device("auto").type == "mps"
    else:
        assert choose_device("auto").type == "cpu"


def test_a_device_that_is_not_there_is_refused():
    absent = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(Unsupported, match=f"no device {absent}. Present: .*cpu"):
        choose_device(absent)


@pytest.mark.parametrize("device", ["cpu", "mps"])
def test_float16_is_refused_where_its_gradients_would_vanish(device):
    check_precision(torch.device("cuda"), "float16")
    check_precision(torch.device(device), "bfloat16")
    with pytest.raises(Unsupported, match=f"this training is on {device}. Set precision = bfloat16"):
        check_precision(torch.device(device), "float16")


def test_mps_is_not_asked_for_float64_which_it_lacks():
    assert exact_dtype(torch.device("mps")) == torch.float32
    assert exact_dtype(torch.device("cpu")) == exact_dtype(torch.device("cuda")) == torch.float64


def test_threads_are_at_most_the_cores():
    assert 1 <= default_threads() <= min(8, available_cores())


def test_settings_hold_inside_and_are_put_back():
    threads = torch.get_num_threads()
    with reproducible(torch.device("cpu"), 1):
        assert torch.get_num_threads() == 1
        assert torch.are_deterministic_algorithms_enabled()
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_settings_are_put_back_after_an_error():
    with pytest.raises(KeyError), reproducible(torch.device("cpu"), 1):
        raise KeyError
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_users_own_random_numbers_go_on_as_if_nothing_had_been():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    with reproducible(torch.device("cpu"), 1):
        torch.manual_seed(77)
        torch.rand(10)
    assert torch.equal(torch.rand(3), expected)


def test_each_purpose_has_a_seed_of_its_own():
    seeds = {
        derive_seed(seed, purpose, epoch)
        for seed in range(5)
        for purpose in ("order", "augmentation", "dropout")
        for epoch in range(5)
    }
    assert len(seeds) == 75
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(0, "order", 1) == derive_seed(0, "order", 1)
