"""What `init` picks for a folder with masks, and that the job goes through to a chosen run."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import darkroom
from darkroom.cli import main
from darkroom.datasets import freeze
from darkroom.errors import InvalidConfig
from darkroom.networks import NETWORKS
from darkroom.pipeline.defaults import choose_masks
from darkroom.pipeline.mask_defaults import FAVOURITES
from darkroom.records import Contract
from tests.pipeline.test_defaults import weights_of


def street(folder: Path, count: int = 6, size: tuple[int, int] = (96, 64), seed: int = 0) -> Path:
    """Writes pictures (width, height) with masks of ground, road and what is not said."""
    draw = np.random.default_rng(seed)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    width, height = size
    for number in range(count):
        mask = np.zeros((height, width), np.uint8)
        mask[height // 2 + draw.integers(-9, 9) :] = 1
        mask[:3] = 7
        pixels = draw.integers(0, 90, (height, width, 3)) + 120 * (mask == 1)[..., None]
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / f"{number}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{number}.png")
    (folder / "classes.txt").write_text("0 ground\n1 road\n7 void\n")
    return folder


def test_the_smallest_network_whose_encoder_has_weights_is_taken(tmp_path: Path) -> None:
    place = weights_of(tmp_path / "weights", "mobilenetv2_100", "mobilenetv2_035", "mobilenetv1_025")
    choice = choose_masks(street(tmp_path / "street"), [place])
    assert (choice.recipe["network"], choice.recipe["weights"]) == (FAVOURITES[0], "mobilenetv2_035")
    assert choice.recipe["loss"] == {"dice_weight": 1.0}
    assert "train_layers" not in choice.recipe
    assert all(name in NETWORKS and "segmentation" in NETWORKS[name].tasks for name in FAVOURITES)


@pytest.mark.parametrize(
    ("size", "expected", "resize"),
    [
        ((96, 64), (288, 192), "squash"),
        ((64, 96), (192, 288), "squash"),
        ((64, 64), (224, 224), "squash"),
        ((341, 256), (256, 192), "squash"),
        ((100, 93), (224, 224), "fill"),
    ],
)
def test_the_tensor_has_the_proportions_of_the_pictures(tmp_path: Path, size, expected, resize) -> None:
    contract = choose_masks(street(tmp_path / "street", 3, size), []).contract
    assert (contract.width_px, contract.height_px) == expected
    assert contract.resize == resize


def test_pictures_of_many_proportions_are_padded_and_that_is_said(tmp_path: Path) -> None:
    street(tmp_path / "street", 3, (96, 64))
    Image.new("RGB", (64, 96)).save(tmp_path / "street" / "images" / "high.png")
    choice = choose_masks(tmp_path / "street", [])
    assert choice.contract.resize == "fill"
    assert "padded and not learnt" in choice.why[0]
    assert "no pretrained weights" in choice.why[0]


def test_what_is_asked_for_is_taken_or_refused(tmp_path: Path) -> None:
    folder, place = street(tmp_path / "street"), weights_of(tmp_path / "weights", "resnet18")
    assert choose_masks(folder, [place], network="unet/resnet18").recipe["weights"] == "resnet18"
    with pytest.raises(InvalidConfig, match="answers for whole pictures") as caught:
        choose_masks(folder, [place], network="mobilenetv2_035")
    assert "lraspp/mobilenetv2_035" in caught.value.hint
    with pytest.raises(InvalidConfig, match="are for network resnet18"):
        choose_masks(folder, [place], network="lraspp/mobilenetv2_035", weights="resnet18")


def test_init_finds_masks_and_writes_a_job_for_them(tmp_path: Path, capsys) -> None:
    street(tmp_path / "street")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(["init", "job", "--images", "street"]) == 0
    said = capsys.readouterr().out
    assert "6 files" in said
    assert "2 classes: ground, road." in said
    stages = {
        stage["name"]: stage
        for stage in tomllib.loads((tmp_path / "job/darkroom.toml").read_text())["stage"]
    }
    assert stages["collect"]["format"] == "png-masks"
    assert stages["prepare"]["task"] == "segmentation"
    assert stages["choose"]["by"] == "val.miou"


def test_init_says_what_is_wrong_with_classes_before_anything_is_made(tmp_path: Path, capsys) -> None:
    street(tmp_path / "street")
    (tmp_path / "street" / "classes.txt").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert main(["init", "job", "--images", "street"]) != 0
    assert "No classes.txt" in capsys.readouterr().err
    assert not (tmp_path / "job").exists()


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project with masks, trained for two epochs."""
    root = tmp_path_factory.mktemp("masks")
    street(root / "street", 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        main(["init", "job", "--images", "street", "--clones", "2"])
    file = root / "job" / "darkroom.toml"
    text = (
        file.read_text()
        .replace("epochs = 90", "epochs = 2")
        .replace("warmup_epochs = 1.0", "warmup_epochs = 0.0")
    )
    file.write_text(
        text.replace("width_px = 288", "width_px = 96").replace("height_px = 192", "height_px = 64")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_THREADS", "1")
        with darkroom.open(root / "job") as opened:
            opened.run(until="train")
            yield opened


class TestTheJob:
    def test_the_dataset_says_pictures_and_pixels_of_each_class(self, project) -> None:
        report = project.dataset.show(dataset="job")
        assert report.counts == {"train": 6, "val": 2, "test": 2}
        assert [row[0] for row in report.pixels] == ["ground", "road"]
        page = (project.workspace.root / "deliverables/04-dataset/dataset.html").read_text()
        assert "Pixels per class" in page

    def test_clones_and_the_choice_go_by_mean_iou(self, project) -> None:
        assert len(project.model.list().rows) == 2
        chosen = project.model.select(runs=("r-1", "r-2"), by="val.miou")
        runs = project.workspace.catalogue.runs
        assert runs.get(chosen.run).metrics["val.miou"] == max(
            runs.get(name).metrics["val.miou"] for name in ("r-1", "r-2")
        )
        page = (project.workspace.root / "deliverables/06-training/r-1-r-2.html").read_text()
        assert "mean IoU" in page

    def test_the_network_is_described_for_masks(self, project) -> None:
        found = project.model.describe(dataset="job", network="lraspp/mobilenetv2_035")
        assert found.embedding_size == NETWORKS["lraspp/mobilenetv2_035"].embedding_size

    @pytest.mark.slow
    def test_a_training_is_estimated(self, project) -> None:
        recipe = {"network": "lraspp/mobilenetv2_035", "epochs": 3, "batch_size": 4}
        found = project.model.estimate(dataset="job", recipe=recipe, times=1)
        assert found.training_s.value > 0
        assert found.disk_bytes.value > 0

    def test_augmentation_is_previewed_with_masks(self, project) -> None:
        path = project.workspace.root / project.model.preview(dataset="job", augment={"flip": "both"}).path
        with Image.open(path) as sheet:
            assert sheet.mode == "RGB"

    def test_a_network_for_classes_is_refused(self, project) -> None:
        with pytest.raises(InvalidConfig, match="the dataset is for segmentation"):
            project.model.train(dataset="job", recipe={"network": "lenet5"})

    @pytest.mark.slow
    def test_estimating_before_rendering_takes_a_few_pictures(self, project) -> None:
        contract = Contract(width_px=64, height_px=64)
        freeze(project.workspace, name="other", task="segmentation", contract=contract)
        recipe = {"network": "lraspp/mobilenetv2_035", "epochs": 2, "batch_size": 4}
        found = project.model.estimate(dataset="other", recipe=recipe, times=1)
        assert found.prepare_s.value > 0
