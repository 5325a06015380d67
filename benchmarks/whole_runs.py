"""Whole jobs as a person types them: `darkroom init` and `darkroom run`, with weights at hand, timed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

__all__ = ["WEIGHTS", "Took", "make_project", "run_project", "weights_folder"]

DARKROOM = [sys.executable, "-m", "darkroom"]
WEIGHTS = {
    "mobilenetv2_100": "mobilenetv2_100.tf2_ptq_dequant_in1k",
    "mobilenetv2_035": "mobilenetv2_035.keras_in1k_features",
}
"""Network → name of the file of its weights."""

NOTES = """\
network = "{network}"
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
input_px = 224
padding = "same"
"""
LIMIT_MISSED = 7
"""What `darkroom run` exits with when it came to its end and a limit is missed."""


class Took(NamedTuple):
    """What a run took."""

    wall_s: float
    cpu_s: float
    """Of all processors, its child processes among them."""
    missed: bool
    """Whether a limit was missed."""


def weights_folder(source: Path, folder: Path) -> Path:
    """Lays the weights out as `DARKROOM_WEIGHTS` wants them: each file with a note beside it."""
    folder.mkdir()
    for network, name in WEIGHTS.items():
        (folder / f"{name}.safetensors").symlink_to((source / f"{name}.safetensors").resolve())
        (folder / f"{name}.toml").write_text(NOTES.format(network=network), encoding="utf-8")
    return folder


def make_project(
    root: Path, photos: Path, weights: Path, *, network: str = "", clones: int = 3
) -> dict[str, str]:
    """Makes a project with what `init` picks; returns the environment in which it finds its weights.

    Args:
        root: its folder.
        photos: the pictures.
        weights: folder of weights.
        network: to take; empty leaves the choice to `init`.
        clones: how many trainings.
    """
    environment = {**os.environ, "DARKROOM_WEIGHTS": str(weights)}
    words = ["init", root.name, "--images", str(photos.resolve()), "--clones", str(clones)]
    words += ["--network", network] if network else []
    done = subprocess.run(
        [*DARKROOM, *words], cwd=root.parent, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stdout + done.stderr)
    return environment


def run_project(root: Path, environment: dict[str, str], *words: str) -> Took:
    """Runs a project; a missed limit is no reason to stop, any other failure is."""
    began, before = time.perf_counter(), os.times()
    done = subprocess.run(
        [*DARKROOM, "run", *words], cwd=root, env=environment, capture_output=True, text=True
    )
    wall_s, after = time.perf_counter() - began, os.times()
    if done.returncode not in (0, LIMIT_MISSED):
        raise SystemExit(done.stdout + done.stderr)
    sys.stderr.write(done.stdout)
    user_s = after.children_user - before.children_user
    system_s = after.children_system - before.children_system
    return Took(wall_s, user_s + system_s, done.returncode == LIMIT_MISSED)
