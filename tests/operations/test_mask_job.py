"""The main job on drawn shapes with masks, from the folder to the bundle, and masks laid on photos."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import darkroom
from darkroom.cli import main
from darkroom.errors import InvalidConfig
from darkroom.export.pooled import packed
from darkroom.export.report import PixelFlips
from darkroom.operations.bundling import parity_path
from darkroom.operations.compared_pictures import drawn_flips
from darkroom.operations.kept import kept_parity
from darkroom.serving import Predictor
from darkroom.workspace import Workspace
from tests.operations.mask_projects import draw_shapes, made_project
from tests.operations.test_main_job import stages, write
from tests.server.apps import client, desk


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project of shapes through all stages but the domain check, with an .onnx file."""
    root = tmp_path_factory.mktemp("masks")
    draw_shapes(root / "shapes")
    return made_project(
        root,
        Path("shapes"),
        clones=2,
        width_px="64",
        height_px="48",
        epochs="12",
        batch_size="6",
        learning_rate="0.01",
        threads="1",
        miou="0.05",
        iou="{disc = 0.0}",
        targets='["onnx"]',
    )


@pytest.fixture
def copy(made, tmp_path):
    """The finished project, moved together with its pictures."""
    shutil.copytree(made[0].parent, tmp_path / "moved", symlinks=True)
    return tmp_path / "moved" / "p"


def photo(folder: Path, width: int = 112, height: int = 84, orientation: int = 1) -> Path:
    """Writes a large photo with an orange disc, turned as a camera turns it."""
    y, x = np.mgrid[:height, :width]
    pixels = np.random.default_rng(3).integers(0, 70, (height, width, 3))
    pixels[(y - 42) ** 2 + (x - 56) ** 2 < 400] += np.array((150, 60, 20))
    turned = np.rot90(pixels.astype(np.uint8), {1: 0, 6: 1}[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = folder / f"photo-{orientation}.png"
    Image.fromarray(np.ascontiguousarray(turned)).save(path, exif=exif)
    return path


def test_all_stages_run_and_hand_over(made):
    root, report = made
    assert set(stages(report).values()) == {"done"}
    for place in (
        "06-training/r-1-r-2.html",
        "07-evaluation/r-1-r-2-test.html",
        "07-evaluation/r-1-r-2-test.json",
        "09-mobile/bundle/golden/golden.json",
        "09-mobile/parity.html",
        "report.html",
    ):
        assert (root / "deliverables" / place).exists(), place
    card = json.loads((root / "deliverables/09-mobile/bundle/model-card.json").read_text())
    assert {"val.miou", "test.miou", "test.pixel_accuracy"} <= set(card["metrics"])
    parity = json.loads((root / "deliverables/09-mobile/parity.json").read_text())
    (file,) = parity["files"]
    assert file["agreement"] >= 0.9999
    assert file["pixels"]["count"] == 64 * 48 * parity["image_count"]
    assert {gate["limit"] for gate in parity["gates"]} >= {"miou", "iou", "parity_pixels", "parity_margin"}


def test_pixels_that_differ_are_drawn_bright_on_the_darkened_picture(made):
    marks = np.zeros((48, 64), bool)
    marks[10:20, 30:40] = True
    with Workspace.open(made[0]) as workspace:
        report = kept_parity(parity_path(workspace, "b-1"))
        (file,) = report.files
        image_id = next(workspace.catalogue.datasets.members("p@1", split="test")).image_id
        flip = PixelFlips(image_id=image_id, pixels=100, margin=0.1, where=packed(marks))
        pixels = file.pixels.model_copy(update={"flips": (flip,)})
        planted = report.model_copy(update={"files": (file.model_copy(update={"pixels": pixels}),)})
        found = drawn_flips(workspace, "r-1", planted)
        assert drawn_flips(workspace, "", planted) == {}
    with Image.open(io.BytesIO(found[f"{file.file}:{image_id}"])) as image:
        drawn = np.asarray(image)
    assert (drawn[marks] == drawn[15, 35]).all()
    assert drawn[marks].max() == 255
    assert drawn[~marks].max() < 255 * 0.4


def test_masks_are_dumped_and_compared_step_by_step(copy):
    with darkroom.open(copy) as project:
        assert project.export.diff(target="onnx").same
        written = project.export.dump(layers=True)
        found = project.export.diff(dump=copy / written.path)
    assert found.same
    assert {"tensor", "normalise", "layer", "probabilities"} <= {c.step for c in found.divergence.checks}


def test_the_run_says_how_good_the_masks_are(made):
    words = " ".join(str(line) for line in made[1].display())
    assert "mean IoU" in words
    assert "Mean IoU over 2 clones" in words
    assert "of the pixels" in words
    assert "IoU: " in words


def test_pages_show_the_worst_pictures_and_the_curves_of_mean_iou(made):
    pages = made[0] / "deliverables"
    evaluation = (pages / "07-evaluation/r-1-r-2-test.html").read_text()
    assert evaluation.count('class="four"') > 0
    assert "where they differ" in evaluation
    assert "Mean IoU" in (pages / "report.html").read_text()
    assert "Mean IoU: overlap" in (pages / "06-training/r-1-r-2.html").read_text()


def test_a_second_run_skips_everything(copy):
    with darkroom.open(copy) as project:
        assert set(stages(project.run()).values()) == {"skipped"}


def test_the_tables_speak_of_masks(made, capsys):
    root, _ = made
    with darkroom.open(root) as project:
        listed = project.model.list()
        assert all(row[5].startswith("mean IoU ") and "[" in row[5] for row in listed.rows)
        assert next(listed.display()).columns[5] == "val mean IoU"
        chosen = project.model.select(runs=("r-1", "r-2"), by="val.miou")
        values = {run: float(figure.split()[0]) for run, figure in chosen.rows}
        assert chosen.run == max(values, key=lambda run: values[run])
    assert main(["status", "--project", str(root)]) == 0
    assert "30 pictures, 30 with a mask" in capsys.readouterr().out
    assert main(["brief", "check", "--project", str(root)]) == 0
    assert "parity pixels" in capsys.readouterr().out


def test_runs_are_compared_by_mean_iou_and_pixels(made):
    with darkroom.open(made[0]) as project:
        found = project.model.compare(first="r-1", second="r-2")
    assert found.figure == "mean IoU"
    assert found.only_first_right + found.only_second_right <= 6
    assert 0 <= found.churn < 1
    assert any("pixels differ" in str(line) for line in found.display())


@pytest.mark.parametrize("orientation", [1, 6])
def test_masks_have_the_size_of_the_upright_photo_and_are_alike_in_torch_and_onnx(
    made, tmp_path, orientation
):
    path, found = photo(tmp_path, orientation=orientation), {}
    with darkroom.open(made[0]) as project:
        for using in ("torch", "onnx"):
            (one,) = project.predict(images=(path,), using=using).masks
            assert (one.width_px, one.height_px) == (112, 84)
            found[using] = one.pixels
            assert one.overlay_pixels.shape == (84, 112, 3)
    mask = found["torch"]
    assert mask.shape == (84, 112)
    assert (mask == found["onnx"]).mean() >= 0.9999
    assert set(np.unique(mask)) <= {0, 1, 2}
    assert (mask[36:48, 50:62] == 1).mean() > 0.5, "the disc is found"


def test_the_files_are_a_mask_of_class_numbers_and_the_photo_with_a_layer(made, tmp_path):
    with darkroom.open(made[0]) as project:
        (one,) = project.predict(images=(photo(tmp_path),)).masks
    with Image.open(made[0] / one.mask) as image:
        assert (image.mode, image.size, image.format) == ("L", (112, 84), "PNG")
    with Image.open(made[0] / one.overlay) as image:
        assert (image.mode, image.size) == ("RGB", (112, 84))
    assert sum(one.shares.values()) == pytest.approx(1)
    assert one.shares["disc"] == pytest.approx((one.pixels == 1).mean())
    assert one.unanswered == 0


def test_a_folder_is_answered_picture_by_picture_and_names_never_collide(made, tmp_path, capsys):
    photo(tmp_path)
    (tmp_path / "sub").mkdir()
    shutil.copy(tmp_path / "photo-1.png", tmp_path / "sub" / "photo-1.png")
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    with darkroom.open(made[0]) as project:
        report = project.predict(images=(tmp_path,), page=True)
    assert len({one.mask for one in report.masks}) == 2
    assert [Path(one.image).name for one in report.refused] == ["broken.png"]
    page = (made[0] / report.page).read_text()
    assert "2 pictures answered" in page
    assert page.count("data:image/") >= 2
    words = " ".join(str(line) for line in report.display())
    assert "ground" in words
    assert "over the photo" in words


def test_the_domain_check_holds_pictures_with_masks_against_training_too(copy):
    with Image.open(copy.parent / "shapes" / "images" / "003.png") as image:
        Image.fromarray(255 - np.asarray(image)).save(copy / "negative.png")
    with darkroom.open(copy) as project:
        known = project.model.domain(run="r-1")
        assert [used for used, *_ in known.false_alarms] == ["statistics and features", "statistics"]
        answer = project.predict(images=(copy / "negative.png",), page=True, run="r-1", using="torch")
    (one,) = answer.masks
    assert one.domain.used == "statistics and features"
    assert not one.domain.in_domain
    page = (copy / answer.page).read_text()
    assert page.count("data:image/") == 1 + len(one.domain.nearest)  # the overlay, and training's
    assert one.domain.words in " ".join(str(line) for line in answer.display())


def test_over_http_a_mask_can_come_inside_the_answer(copy):
    shutil.copy(copy.parent / "shapes" / "images" / "000.png", copy / "photo.png")
    with desk(copy) as opened:
        answer = client(opened).post("/api/predict", json={"images": ["photo.png"], "inline": True})
    assert answer.status_code == 200
    (one,) = answer.json()["masks"]
    with Image.open(io.BytesIO(base64.b64decode(one["mask_png"]))) as image:
        assert np.array_equal(np.asarray(image), np.asarray(Image.open(copy / one["mask"])))


def test_a_forgotten_picture_leaves_no_mask_and_no_overlay_behind(copy):
    path = copy.parent / "shapes" / "images" / "003.png"
    with darkroom.open(copy) as project:
        (one,) = project.predict(images=(path,)).masks
        (other,) = project.predict(images=(copy.parent / "shapes" / "images" / "004.png",)).masks
        image_id = hashlib.sha256(path.read_bytes()).hexdigest()
        project.image.forget(images=(image_id,), reason="asked to")
    assert not (copy / one.mask).exists()
    assert not (copy / one.overlay).exists()
    assert (copy / other.mask).exists()
    left = [
        file
        for file in copy.rglob("*")
        if file.is_file()
        and file.suffix in {".html", ".json", ".masks", ".png"}
        and image_id.encode() in file.read_bytes()
    ]
    assert left == []


def test_a_missed_iou_ends_with_7_and_takes_the_bundle_back(copy, capsys):
    write(copy / "darkroom.toml", iou="{disc = 0.9999}")
    assert main(["run", "--project", str(copy)]) == 7
    assert 'IoU of "disc" ≥ 0.9999: fail' in " ".join(capsys.readouterr().out.split())
    assert not (copy / "deliverables/09-mobile/bundle").exists()


def test_an_iou_of_no_class_is_refused_before_any_work(copy):
    write(copy / "darkroom.toml", iou="{disk = 0.5}")
    with darkroom.open(copy) as project, pytest.raises(InvalidConfig, match='IoU of "disk".*"disc"'):
        project.model.evaluate(runs=("r-1",))


@pytest.mark.slow
def test_a_search_over_masks_compares_clones_picture_by_picture_and_weighs_several_aims(copy):
    recipe = {
        "network": "lraspp/mobilenetv2_035",
        "epochs": 2,
        "batch_size": 6,
        "threads": 1,
        "loss": {"dice_weight": 1.0},
        "augment": {"flip": "horizontal"},
    }
    with darkroom.open(copy) as project:
        found = project.model.tune(
            dataset="p@1",
            recipe=recipe,
            space={"recipe.learning_rate": "0.0001|0.01"},
            aims=("metric", "memory_bytes", "latency_ms"),
            trials=2,
            minutes=60,
            clones=2,
            side_by_side="no",
        )
    assert found.metric == "val.miou"
    assert found.count == "2 finished"
    assert all(float(row[3].replace(",", "")) > 0 for row in found.front)
    assert found.verdict in ("better", "worse", "no difference shown", "the recipe as it stood")
    assert "val.miou" in found.comparison or "nothing to compare" in found.comparison


@pytest.mark.slow
def test_people_go_from_masks_to_a_bundle_that_answers_alike(tmp_path, shared_data):
    names = sorted((shared_data / "people" / "images").iterdir())[:40]
    for part in ("images", "masks"):
        (tmp_path / "people" / part).mkdir(parents=True)
    for name in names:
        shutil.copy(name, tmp_path / "people" / "images")
        mask = shared_data / "people" / "masks" / f"{name.stem}.png"
        shutil.copy(mask, tmp_path / "people" / "masks")
    classes = shared_data / "people" / "classes.txt"
    if classes.is_file():
        shutil.copy(classes, tmp_path / "people")
    root, report = made_project(tmp_path, Path("people"), clones=1, domain=True, epochs="2", threads="1")
    assert set(stages(report).values()) == {"done"}
    parity = json.loads((root / "deliverables/09-mobile/parity.json").read_text())
    assert [file["target"] for file in parity["files"]] == ["onnx", "litert"]
    assert all(file["agreement"] >= 0.9999 and not file["failures"] for file in parity["files"])
    with Image.open(names[0]) as image:
        size = image.size
    with darkroom.open(root) as project:
        answers = [
            project.predict(images=(names[0],), using=using) for using in ("torch", "onnx", "litert")
        ]
        masks = [answer.masks[0] for answer in answers]
    assert {(one.width_px, one.height_px) for one in masks} == {size}
    assert all((one.pixels == masks[0].pixels).mean() >= 0.9999 for one in masks)
    assert all(one.domain is not None and one.domain.used == "statistics and features" for one in masks)
    card = json.loads((root / "deliverables/09-mobile/bundle/model-card.json").read_text())
    assert [row["used"] for row in card["false_alarms"]] == ["statistics and features", "statistics"]
    found = Predictor.open(root / "deliverables/09-mobile/bundle").predict_mask(names[0].read_bytes())
    assert found.domain is not None
    assert found.domain.nearest
