"""What `init` picks for a folder of pictures, and what it says about it."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import darkroom
from darkroom.cli import main
from darkroom.errors import Invalid, InvalidConfig, NotFound
from darkroom.networks import NETWORKS
from darkroom.networks.favourite import FAVOURITE
from darkroom.pipeline.defaults import choose
from tests.networks import pretrained


def put(folder: Path, name: str, *, side: int, mode: str = "RGB", number: int = 0) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 255, (side, side * 4 // 3, 3), np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for number, label in enumerate(("cat", "dog") * 3):
        put(tmp_path / "photos", f"{label}/{number}.png", side=90, number=number)
    return tmp_path / "photos"


def weights_of(folder: Path, *networks: str) -> Path:
    """Writes facts beside files that hold no tensors: enough to be listed."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    for network in networks:
        save_file({"none": torch.zeros(1)}, folder / f"{network}.safetensors")
        notes = pretrained.NOTES.format(network=network, classes=0)
        (folder / f"{network}.toml").write_text(notes, encoding="utf-8")
    return folder


def test_photos_with_weights_train_the_last_layer_at_the_size_of_the_weights(
    photos: Path, tmp_path: Path
) -> None:
    place = weights_of(tmp_path / "weights", FAVOURITE, "mobilenetv1_025")
    choice = choose(photos, [place])
    assert choice.contract.shape == (224, 224, 3)
    assert choice.contract.resize == "crop"
    assert choice.recipe["network"] == choice.recipe["weights"] == FAVOURITE
    assert choice.recipe["train_layers"] == "last"
    assert choice.recipe["feature_views"] > 1
    assert any(FAVOURITE in sentence for sentence in choice.why)
    assert "Also at hand, for --weights: mobilenetv1_025." in choice.why


def test_without_the_favourite_it_is_the_largest_that_costs_no_more(photos: Path, tmp_path: Path) -> None:
    place = weights_of(tmp_path / "weights", "mobilenetv1_025", "mobilenetv2_035", "resnet50")
    flops = {name: NETWORKS[name].flops for name in ("mobilenetv1_025", "mobilenetv2_035")}
    assert choose(photos, [place]).recipe["network"] == max(flops, key=lambda name: flops[name])
    heavy = weights_of(tmp_path / "heavy", "resnet50", "resnet18")
    assert choose(photos, [heavy]).recipe["network"] == "resnet18"


def test_a_network_or_weights_that_are_named_are_taken(photos: Path, tmp_path: Path) -> None:
    place = weights_of(tmp_path / "weights", FAVOURITE, "mobilenetv2_035")
    assert choose(photos, [place], network="mobilenetv2_035").recipe["weights"] == "mobilenetv2_035"
    assert choose(photos, [place], weights="mobilenetv2_035").recipe["network"] == "mobilenetv2_035"
    scratch = choose(photos, [place], network="lenet5")
    assert scratch.recipe["network"] == "lenet5"
    assert "weights" not in scratch.recipe
    with pytest.raises(InvalidConfig, match="mobilenetv2_035"):
        choose(photos, [place], network=FAVOURITE, weights="mobilenetv2_035")
    with pytest.raises(NotFound, match="mobilenetv2_100"):
        choose(photos, [place], network="mobilnetv2_100")
    with pytest.raises(NotFound):
        choose(photos, [place], weights="mobilenetv3")


def test_photos_without_weights_say_what_would_be_better(photos: Path) -> None:
    choice = choose(photos, [])
    assert "weights" not in choice.recipe
    assert "train_layers" not in choice.recipe
    assert any("DARKROOM_WEIGHTS" in sentence for sentence in choice.why)


def test_small_pictures_stay_with_lenet_even_where_weights_are(tmp_path: Path) -> None:
    for number in range(4):
        put(tmp_path / "small", f"{number % 2}/{number}.png", side=28, mode="L", number=number)
    place = weights_of(tmp_path / "weights", FAVOURITE)
    choice = choose(tmp_path / "small", [place])
    assert choice.contract.shape == (28, 28, 1)
    assert choice.recipe == {}


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="No picture"):
        choose(tmp_path, [])


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DARKROOM_WORKERS", "1")


@pytest.mark.usefixtures("shell")
class TestUnlabelledPictures:
    """A folder of pictures without sub-folders."""

    @pytest.fixture
    def heap(self, tmp_path: Path) -> Path:
        for number in range(6):
            put(tmp_path / "heap", f"{number}.png", side=30, number=number)
        return tmp_path / "heap"

    def test_are_collected_and_what_comes_next_is_said(
        self, heap: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["init", "later", "--images", str(heap)]) == 0
        said = capsys.readouterr().out
        assert "labels.csv" in said
        assert "sub-folder per class" in said
        with darkroom.open("later") as project:
            report = project.run(until="collect")
            assert [stage.state for stage in report.stages] == ["done"]
            assert project.source.list().rows

    def test_can_be_sorted_into_class_folders_later(self, heap: Path) -> None:
        assert main(["init", "later", "--images", str(heap)]) == 0
        with darkroom.open("later") as project:
            project.run(until="collect")
            for number in range(6):
                place = heap / ("a" if number % 2 else "b")
                place.mkdir(exist_ok=True)
                shutil.move(heap / f"{number}.png", place)
            report = project.run(until="prepare")
        assert report.stages[-1].state == "done"

    def test_can_get_a_table_of_labels_later(self, heap: Path) -> None:
        assert main(["init", "later", "--images", str(heap)]) == 0
        with darkroom.open("later") as project:
            project.run(until="collect")
        rows = "".join(f"{number}.png,{'ab'[number % 2]}\n" for number in range(6))
        (heap / "labels.csv").write_text(f"image,label\n{rows}", encoding="utf-8")
        file = Path("later/darkroom.toml")
        file.write_text(file.read_text("utf-8").replace('"class-folders"', '"csv"'), "utf-8")
        with darkroom.open("later") as project:
            report = project.run(until="prepare")
        assert report.stages[-1].state == "done"


@pytest.mark.usefixtures("shell")
def test_the_file_of_a_project_spells_out_what_was_picked(photos: Path, tmp_path: Path) -> None:
    weights_of(tmp_path / "pets" / "weights", FAVOURITE)
    assert main(["init", "pets", "--images", str(photos)]) == 0
    stages = {one["name"]: one for one in tomllib.loads(Path("pets/darkroom.toml").read_text())["stage"]}
    assert stages["network"]["weights"] == stages["train"]["recipe"]["weights"] == FAVOURITE
    assert stages["train"]["recipe"]["train_layers"] == "last"
    assert stages["prepare"]["contract"]["width_px"] == 224
