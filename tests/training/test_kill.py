"""After kill -9 at any moment the same call ends with the same weights to the last bit."""

import json
import random
import signal
import subprocess
import sys
import time
import tomllib

import pytest
import torch

from darkroom.networks.saved import unpack
from darkroom.training.run_folder import read_metrics
from tests.training import child
from tests.tree import ROOT


def weights(folder, name):
    return unpack(folder / "checkpoints" / f"{name}.safetensors")[0]


def start(folder):
    return subprocess.Popen([sys.executable, "-m", "tests.training.child", str(folder)], cwd=ROOT)


def size(path):
    return path.stat().st_size if path.exists() else 0


def wait_for_start(folder, process, size_before):
    deadline = time.monotonic() + 60
    while size(folder / "events.jsonl") <= size_before:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)


def check_readable(folder):
    """Asserts that everything a kill left behind is whole."""
    tomllib.loads((folder / "config.toml").read_text())
    for path in [*folder.glob("*.safetensors"), *(folder / "checkpoints").glob("*.safetensors")]:
        unpack(path)
    read_metrics(folder)


def kill_at(folder, delay_s):
    """Kills a training that long after it began; returns whether it was still running."""
    size_before = size(folder / "events.jsonl")
    process = start(folder)
    wait_for_start(folder, process, size_before)
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    killed = process.wait() == -signal.SIGKILL
    check_readable(folder)
    return killed


def kill_once_saved(folder):
    """Kills a training as soon as there is a state to go on from."""
    process = start(folder)
    deadline = time.monotonic() + 60
    while not (folder / "resume.safetensors").exists():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    check_readable(folder)


def check_equal(folder, whole):
    for name in ("last", "best", "epoch-005", "epoch-010"):
        got, expected = weights(folder, name), weights(whole, name)
        assert got.keys() == expected.keys()
        assert all(torch.equal(got[key], expected[key]) for key in expected), name
    timeless = {"images_per_second", "duration_s", "time_left_s"}
    assert [point.model_dump(exclude=timeless) for point in read_metrics(folder)] == [
        point.model_dump(exclude=timeless) for point in read_metrics(whole)
    ]
    card, expected = (json.loads((f / "model-card.json").read_text()) for f in (folder, whole))
    assert card["epoch"] == expected["epoch"]
    assert not list(folder.rglob(".aside-*"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    child.main(folder)
    return folder


def test_killed_again_and_again_it_ends_in_the_same_bits(tmp_path, whole):
    chance = random.Random(7)
    killed = sum(kill_at(tmp_path, chance.uniform(0.0, 0.2)) for _ in range(3))
    assert killed >= 1
    kill_once_saved(tmp_path)
    child.main(tmp_path)
    check_equal(tmp_path, whole)
    assert "resumed" in (tmp_path / "events.jsonl").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_twenty_random_moments_it_ends_in_the_same_bits(tmp_path, whole, seed):
    kill_at(tmp_path, random.Random(seed).uniform(0.0, 0.6))
    child.main(tmp_path)
    check_equal(tmp_path, whole)
