"""Projects with masks for tests: drawn shapes, or photos of people, through the main job."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import darkroom
from darkroom.cli import main
from tests.operations.test_main_job import write

__all__ = ["draw_shapes", "made_project", "without_stage"]


def draw_shapes(folder: Path, count: int = 30, width: int = 64, height: int = 48) -> Path:
    """Writes pictures of an orange disc or a blue box, with masks; of the first rows nothing is said."""
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(1)
    y, x = np.mgrid[:height, :width]
    for number in range(count):
        pixels, mask = draw.integers(0, 70, (height, width, 3)), np.zeros((height, width), np.uint8)
        top, left, half = draw.integers(14, 34), draw.integers(14, 50), draw.integers(8, 13)
        disc = (y - top) ** 2 + (x - left) ** 2 < half**2
        box = (abs(y - top) < half) & (abs(x - left) < half)
        for shape, kind, colour in ((disc, 1, (150, 60, 20)), (box, 2, (20, 120, 160))):
            if number % 2 == kind - 1:
                pixels[shape] += np.array(colour)
                mask[shape] = kind
        mask[:2] = 255
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{number:03}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number:03}.png")
    (folder / "classes.txt").write_text("ground\ndisc\nbox\n")
    return folder


def without_stage(file: Path, name: str) -> None:
    """Takes a stage out of a darkroom.toml."""
    text = file.read_text("utf-8")
    pattern = rf'(?ms)^(#[^\n]*\n)*\[\[stage\]\]\nname = "{name}".*?(?=^(#[^\n]*\n)*\[\[stage\]\]|\Z)'
    text, count = re.subn(pattern, "", text, count=1)
    assert count == 1, name
    file.write_text(text, "utf-8")


def made_project(root: Path, pictures: Path, *, clones: int, domain: bool = False, **changes: str):
    """Makes a project of a folder of masks and runs it; returns its folder and the report."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_THREADS", "1")
        patch.setenv("DARKROOM_WORKERS", "1")
        patch.chdir(root)
        assert main(["init", "p", "--images", str(pictures), "--clones", str(clones)]) == 0
        write(root / "p" / "darkroom.toml", **changes)
        if not domain:
            without_stage(root / "p" / "darkroom.toml", "domain")
        with darkroom.open(root / "p") as project:
            report = project.run()
    return root / "p", report
