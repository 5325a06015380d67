"""A run's folder can be read by anyone, and its logs are cut back to what is gone on from."""

import json
import tomllib

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from darkroom.errors import StorageFailed
from darkroom.records import MetricPoint
from darkroom.training import Augment, Optimiser, Recipe
from darkroom.training.run_folder import RunFolder, read_metrics

MACHINE = {"device": "cpu", "threads": 2}


def point(epoch, **figures):
    known = {
        "train_loss": 1 / epoch,
        "train_accuracy": 0.5,
        "val_loss": 1.5 / epoch,
        "val_accuracy": 0.25,
        "learning_rate": 0.01,
        "images_per_second": 1000.0,
        "duration_s": 0.5,
    }
    return MetricPoint(epoch=epoch, step=10 * epoch, **{**known, **figures})


def begin(run, history=(), recipe=None):
    about = {"dataset": "digits@1", "seed": 3}
    run.begin(recipe or Recipe(), about=about, machine=MACHINE, history=history)


def events(path):
    return [json.loads(line) for line in (path / "events.jsonl").read_text().splitlines()]


def test_the_config_is_the_recipe_with_every_default_and_comes_back_equal(tmp_path):
    recipe = Recipe(epochs=7, optimiser=Optimiser(name="sgd"), augment=Augment(flip="both"))
    with RunFolder(tmp_path / "run") as run:
        begin(run, recipe=recipe)
    config = tomllib.loads((tmp_path / "run" / "config.toml").read_text())
    assert Recipe.model_validate(config["recipe"]) == recipe
    said = {name for name in Recipe.model_fields if getattr(recipe, name) is not None}
    assert config["recipe"].keys() == said
    assert config["recipe"]["augment"].keys() == Augment.model_fields.keys()
    assert (config["dataset"], config["seed"]) == ("digits@1", 3)


def test_the_config_explains_each_option(tmp_path):
    with RunFolder(tmp_path) as run:
        begin(run)
    text = (tmp_path / "config.toml").read_text()
    assert "# Pictures that go through the network together.\nbatch_size = 64" in text


def test_the_environment_names_machine_and_libraries(tmp_path):
    with RunFolder(tmp_path) as run:
        begin(run)
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["threads"] == 2
    assert environment["libraries"].keys() >= {"torch", "numpy", "darkroom"}


def test_metrics_are_one_line_per_epoch_and_come_back_exactly(tmp_path):
    points = (point(1), point(2), point(3, val_loss=None, val_accuracy=None))
    with RunFolder(tmp_path) as run:
        begin(run)
        for one in points:
            run.log(one)
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 3
    assert read_metrics(tmp_path) == points


def test_a_line_that_is_still_being_written_is_left_out(tmp_path):
    with RunFolder(tmp_path) as run:
        begin(run)
        run.log(point(1))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 2, "st')
    assert read_metrics(tmp_path) == (point(1),)
    assert read_metrics(tmp_path / "nowhere") == ()


def test_tensorboard_shows_the_same_figures(tmp_path):
    with RunFolder(tmp_path) as run:
        begin(run)
        run.log(point(1))
        run.log(point(2))
    curves = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in curves.Scalars("loss/train")] == [(1, 1.0), (2, 0.5)]
    assert [(e.step, e.value) for e in curves.Scalars("accuracy/val")] == [(1, 0.25), (2, 0.25)]


def test_a_resumed_run_keeps_its_history_and_forgets_what_came_after(tmp_path):
    with RunFolder(tmp_path) as run:
        begin(run)
        for epoch in (1, 2, 3):
            run.log(point(epoch))
    with RunFolder(tmp_path) as run:
        begin(run, history=(point(1),))
        run.log(point(2, train_loss=0.25))
    assert read_metrics(tmp_path) == (point(1), point(2, train_loss=0.25))
    assert [event["event"] for event in events(tmp_path)] == ["started", "resumed"]
    curves = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(e.step, e.value) for e in curves.Scalars("loss/train")] == [(1, 1.0), (2, 0.25)]


def test_half_a_line_left_by_a_kill_does_not_spoil_the_next_event(tmp_path):
    (tmp_path / "events.jsonl").write_text('{"event": "started"}\n{"event": "epo')
    with RunFolder(tmp_path) as run:
        begin(run, history=(point(1),))
    assert [event["event"] for event in events(tmp_path)] == ["started", "resumed"]


def test_a_run_begun_anew_clears_old_weights_and_card(tmp_path):
    with RunFolder(tmp_path) as run:
        (run.checkpoints / "best.safetensors").write_bytes(b"old")
        (tmp_path / "model-card.json").write_text("{}")
        (tmp_path / ".aside-resume.safetensors-1").write_bytes(b"half")
    with RunFolder(tmp_path) as run:
        begin(run)
    assert list(run.checkpoints.iterdir()) == []
    assert not (tmp_path / "model-card.json").exists()
    assert not list(tmp_path.glob(".aside-*"))


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_the_contact_sheet_is_a_png(tmp_path, channels, mode):
    sheet = np.random.default_rng(0).integers(0, 256, (40, 60, channels), np.uint8)
    with RunFolder(tmp_path) as run:
        run.write_preview(sheet)
    with Image.open(tmp_path / "augmentation.png") as picture:
        assert (picture.mode, picture.size) == (mode, (60, 40))
        np.testing.assert_array_equal(np.array(picture).reshape(sheet.shape), sheet)


def test_a_log_that_cannot_be_written_says_so(tmp_path):
    with RunFolder(tmp_path) as run:
        begin(run)
        (tmp_path / "metrics.jsonl").unlink()
        (tmp_path / "metrics.jsonl").mkdir()
        with pytest.raises(StorageFailed, match=r"metrics\.jsonl"):
            run.log(point(1))
