"""Real photos with real pretrained weights: the whole chain, and how good the last layer is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

import darkroom
from darkroom.cli import main
from darkroom.datasets import render
from darkroom.evaluation import load_predictions
from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict_with_embedding
from darkroom.networks.saved import load
from darkroom.pipeline.defaults import LAST_LAYER_RECIPE
from darkroom.records import Contract
from darkroom.training import Recipe
from tests.networks import pretrained

pytestmark = pytest.mark.slow

NETWORKS = {network: name for name, (network, _) in pretrained.REAL.items()}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    return pretrained.with_notes(tmp_path_factory.mktemp("real") / "weights", shared_data)


def some_flowers(shared_data: Path, folder: Path, per_class: int) -> Path:
    for place in sorted((shared_data / "flowers").iterdir()):
        (folder / place.name).mkdir(parents=True)
        for photo in sorted(place.iterdir())[:per_class]:
            shutil.copy(photo, folder / place.name)
    return folder


def write(file: Path, **values: str) -> None:
    """Sets keys of a darkroom.toml; each stands there at least once, and the first is changed."""
    text = file.read_text("utf-8")
    for key, value in values.items():
        text, count = re.subn(rf"(?m)^{key} = .*$", f"{key} = {value}", text, count=1)
        assert count == 1, key
    file.write_text(text, "utf-8")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, shared_data: Path, weights: Path) -> Path:
    """A project of sixty flowers as `init` makes it, with one format and fewer views, run to its end."""
    root = tmp_path_factory.mktemp("flowers")
    some_flowers(shared_data, root / "photos", per_class=12)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_WEIGHTS", str(weights))
        patch.setenv("DARKROOM_WORKERS", "1")
        patch.setenv("DARKROOM_THREADS", "1")
        patch.chdir(root)
        words = ["init", "shop", "--images", "photos", "--network", "mobilenetv2_035", "--clones", "2"]
        assert main(words) == 0
        write(root / "shop" / "darkroom.toml", targets='["onnx"]', feature_views="2")
        with darkroom.open(root / "shop") as opened:
            report = opened.run()
    assert report.exit_code == 0, report.summary
    assert all(stage.state == "done" for stage in report.stages)
    return root / "shop"


def test_sixty_flowers_become_a_bundle_that_answers(project: Path) -> None:
    assert (project / "deliverables/09-mobile/bundle/bundle.json").is_file()
    photo = sorted((project.parent / "photos/sunflowers").iterdir())[0]
    with darkroom.open(project) as opened:
        by_bundle, by_torch = (opened.predict(images=(photo,), using=using) for using in ("onnx", "torch"))
    assert by_bundle.images[0].label == by_torch.images[0].label == "sunflowers"


def test_the_feature_part_of_all_clones_is_that_of_the_weights(project: Path) -> None:
    with darkroom.open(project) as opened:
        workspace = opened.workspace
        networks = [
            load(workspace.runs_folder / run.id / "checkpoints/best.safetensors")[0]
            for run in workspace.catalogue.runs.list()
        ]
    first, second = (network.state_dict() for network in networks)
    assert all(bool((first[name] == second[name]).all()) for name in first if not name.startswith("head."))
    assert not bool((first["head.weight"] == second["head.weight"]).all())


def test_the_features_of_the_training_are_found_by_the_operation(
    project: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_WEIGHTS", str(weights))
    monkeypatch.setenv("DARKROOM_THREADS", "1")
    name = NETWORKS["mobilenetv2_035"]
    with darkroom.open(project) as opened:
        dataset = opened.workspace.catalogue.datasets.list()[0].ref
        first = opened.dataset.features(dataset=dataset, network="mobilenetv2_035", weights=name)
        again = opened.dataset.features(dataset=dataset, network="mobilenetv2_035", weights=name)
    counts = {row[0]: (row[2], row[3]) for row in first.rows}
    assert counts["train"][0] == counts["train"][1]
    assert counts["val"][0] == counts["val"][1]
    assert counts["test"][1] == "0"
    assert again.computed == 0


@pytest.mark.parametrize("network", ["mobilenetv2_100", "mobilenetv2_035"])
def test_flowers_are_told_apart_as_well_as_by_logistic_regression(
    tmp_path: Path, shared_data: Path, weights: Path, network: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKROOM_WEIGHTS", str(weights))
    monkeypatch.setenv("DARKROOM_THREADS", "1")  # another test runs beside it
    (tmp_path / "darkroom.toml").write_text('[project]\nname = "flowers"\n', encoding="utf-8")
    recipe = Recipe.model_validate(
        {**LAST_LAYER_RECIPE, "network": network, "weights": NETWORKS[network], "device": "cpu"}
    )
    with darkroom.open(tmp_path) as opened:
        opened.source.add(folder=shared_data / "flowers")
        contract = Contract(width_px=224, height_px=224, resize="crop")
        frozen = opened.dataset.freeze(dataset="flowers", contract=contract, pictures="none")
        clones = opened.model.clone(dataset=frozen.dataset, recipe=recipe, times=3)
        opened.model.evaluate(runs=clones.runs)
        workspace = opened.workspace
        rendering = render(workspace, workspace.catalogue.datasets.get(frozen.dataset))
        folders = [workspace.runs_folder / run for run in clones.runs]
        model = ImageModel.of(*load(folders[0] / "checkpoints/best.safetensors"))
        known, asked = (embedded(model, rendering.split(split)) for split in ("train", "test"))
        labels, truth = rendering.split("train").labels, rendering.split("test").labels
        usual = LogisticRegression(max_iter=5000).fit(known, labels).score(asked, truth)
        ours = np.mean([(load_predictions(folder, "test").answers == truth).mean() for folder in folders])
    assert ours >= 0.85
    assert ours >= usual - 0.01


def embedded(model: ImageModel, split) -> np.ndarray:
    places = np.array_split(np.arange(len(split)), max(1, len(split) // 64))
    return predict_with_embedding(model, (split.gather(some) for some in places))[1]
