"""A training that begins with the weights of an earlier run."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import darkroom
from darkroom.errors import InvalidConfig, NotFound
from darkroom.networks.saved import load
from darkroom.operations.gates import same_recipe
from darkroom.project import Project

RECIPE = {"epochs": 2, "batch_size": 16, "snapshot_every": 1, "threads": 1}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("earlier")
    generator = np.random.default_rng(0)
    for label, level in (("dark", 60), ("light", 180)):
        for number in range(24):
            place = folder / "pictures" / label / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            file = io.BytesIO()
            pixels = generator.integers(level - 50, level + 50, (32, 32), dtype=np.uint8)
            Image.fromarray(pixels).save(file, "PNG")
            place.write_bytes(file.getvalue())
    (folder / "darkroom.toml").write_text('schema_version = 1\n[project]\nname = "earlier"\n')
    with darkroom.open(folder) as opened:
        source = opened.source.add(folder=folder / "pictures", format="class-folders").source
        contract = {"width_px": 32, "height_px": 32, "colour": "grey"}
        opened.dataset.freeze(dataset="tones", sources=(source,), contract=contract)
        opened.dataset.freeze(
            dataset="swapped", sources=(source,), contract=contract, classes=("light", "dark")
        )
        yield opened


def weights(project: Project, run: str, file: str) -> dict[str, np.ndarray]:
    network, _ = load(Path(project.workspace.runs_folder) / run / "checkpoints" / f"{file}.safetensors")
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def test_it_begins_where_the_snapshot_ended_and_its_card_says_so(project: Project) -> None:
    first = project.model.train(dataset="tones@1", recipe=RECIPE).run
    tiny = {**RECIPE, "epochs": 1, "learning_rate": 1e-12, "weight_decay": 0}
    second = project.model.train(
        dataset="tones@1", recipe=tiny, seed=7, start_from=first, start_epoch=1
    ).run

    before, after = weights(project, first, "epoch-001"), weights(project, second, "last")
    assert all(np.allclose(before[name], after[name], atol=1e-6) for name in before)
    card = load(project.workspace.runs_folder / second / "checkpoints" / "last.safetensors")[1]
    assert card.weights.source == f"run {first}, epoch 1"
    assert project.workspace.catalogue.runs.get(second).parent == first


def test_the_same_beginning_gives_the_same_run_and_another_one_another(project: Project) -> None:
    first = project.model.train(dataset="tones@1", recipe=RECIPE).run
    once = project.model.train(dataset="tones@1", recipe=RECIPE, seed=3, start_from=first)
    twice = project.model.train(dataset="tones@1", recipe=RECIPE, seed=3, start_from=first)
    other = project.model.train(dataset="tones@1", recipe=RECIPE, seed=3, start_from=first, start_epoch=1)
    fresh = project.model.train(dataset="tones@1", recipe=RECIPE, seed=3)
    assert twice.reused
    assert twice.run == once.run
    assert len({once.run, other.run, fresh.run}) == 3


def test_other_classes_keep_all_but_the_last_layer(project: Project) -> None:
    first = project.model.train(dataset="tones@1", recipe=RECIPE).run
    tiny = {**RECIPE, "epochs": 1, "learning_rate": 1e-12, "weight_decay": 0}
    second = project.model.train(dataset="swapped@1", recipe=tiny, start_from=first).run
    before, after = weights(project, first, "best"), weights(project, second, "last")
    assert np.allclose(before["conv1.weight"], after["conv1.weight"], atol=1e-6)
    assert not np.allclose(before["head.weight"], after["head.weight"], atol=1e-3)


def test_the_mean_picture_of_the_earlier_run_is_subtracted_again(project: Project) -> None:
    first = project.model.train(dataset="tones@1", recipe={**RECIPE, "normalisation": "mean-image"}).run
    second = project.model.train(dataset="tones@1", recipe=RECIPE, start_from=first).run
    before, after = weights(project, first, "best"), weights(project, second, "best")
    assert np.array_equal(before["mean_image"], after["mean_image"])


def test_the_last_layer_alone_can_go_on_from_a_run(project: Project) -> None:
    first = project.model.train(dataset="tones@1", recipe=RECIPE).run
    recipe = {**RECIPE, "train_layers": "last", "learning_rate": 1e-12, "weight_decay": 0}
    second = project.model.train(dataset="tones@1", recipe=recipe, start_from=first).run
    before, after = weights(project, first, "best"), weights(project, second, "best")
    assert np.array_equal(before["dense2.weight"], after["dense2.weight"])
    assert np.allclose(before["head.weight"], after["head.weight"], atol=1e-5)
    assert np.allclose(before["head.bias"], after["head.bias"], atol=1e-4)


def test_runs_of_one_recipe_are_clones_only_where_they_begin_alike(project: Project) -> None:
    one, other = (project.model.train(dataset="tones@1", recipe=RECIPE, seed=seed).run for seed in (0, 1))
    begun, begun_too = (
        project.model.train(dataset="tones@1", recipe=RECIPE, seed=seed, start_from=one).run
        for seed in (0, 1)
    )
    earlier = project.model.train(dataset="tones@1", recipe=RECIPE, start_from=one, start_epoch=1).run
    elsewhere = project.model.train(dataset="swapped@1", recipe=RECIPE).run
    assert same_recipe(project.workspace, (one, other))
    assert same_recipe(project.workspace, (begun, begun_too))
    for stranger in (begun, elsewhere):
        assert not same_recipe(project.workspace, (one, stranger))
    assert not same_recipe(project.workspace, (begun, earlier))


def test_what_cannot_be_gone_on_from_is_said(project: Project) -> None:
    first = project.model.train(dataset="tones@1", recipe=RECIPE).run
    with pytest.raises(NotFound, match=r"kept no snapshot of epoch 9\. Kept: 1, 2"):
        project.model.train(dataset="tones@1", recipe=RECIPE, start_from=first, start_epoch=9)
    with pytest.raises(NotFound, match="r-99"):
        project.model.train(dataset="tones@1", recipe=RECIPE, start_from="r-99")
    with pytest.raises(InvalidConfig, match="its network was lenet5"):
        project.model.train(
            dataset="tones@1", recipe={**RECIPE, "network": "mobilenetv1_025"}, start_from=first
        )
    with pytest.raises(InvalidConfig, match="begins either with"):
        project.model.train(dataset="tones@1", recipe={**RECIPE, "weights": "some"}, start_from=first)
