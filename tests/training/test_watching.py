"""A training that is watched says its gradients, pace and answers, and ends with the same weights."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from darkroom.records import MetricPoint
from darkroom.training import Augment, Recipe
from darkroom.training.gradients import LOOKS, GradientNorms, part_names
from darkroom.training.loop import train
from darkroom.training.run_folder import read_metrics
from darkroom.training.samples import MOST_SAMPLES, read_samples
from darkroom.training.seen import MOST_SEEN, keep_seen, list_seen
from tests.training.digits import FACTS, digits

RECIPE = Recipe(epochs=3, threads=1, device="cpu", augment=Augment(rotate_deg=10, noise=0.05), dropout=0.2)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    folder, told = tmp_path_factory.mktemp("watched"), []
    train(
        folder,
        rendering=digits(train=300, val=100),
        recipe=RECIPE,
        seed=0,
        facts=FACTS,
        on_progress=lambda done, total, figures: told.append(dict(figures)),
    )
    return folder, told


def test_each_epoch_says_gradient_norm_rate_throughput_and_time_left(watched):
    points = read_metrics(watched[0])
    assert [point.epoch for point in points] == [1, 2, 3]
    for point in points:
        assert 0 < point.gradient_norm <= point.gradient_norm_max < math.inf
        assert set(point.gradient_norms) == {"conv1", "conv2", "dense1", "dense2", "head"}
        assert point.learning_rate >= 0
        assert point.images_per_second > 0
    assert points[0].time_left_s > points[1].time_left_s > points[2].time_left_s == 0


def test_progress_carries_the_same_figures_so_that_every_face_gets_them(watched):
    last = next(figures for figures in reversed(watched[1]) if "val_loss" in figures)
    assert {"learning_rate", "gradient_norm", "gradient_norm.conv1", "images_per_second"} <= last.keys()
    assert last["time_left_s"] == 0
    assert all(isinstance(value, int | float) for value in last.values())


def test_a_metric_line_of_before_still_loads():
    line = {"epoch": 1, "step": 5, "train_loss": 1.0, "train_accuracy": 0.5, "learning_rate": 0.1}
    point = MetricPoint.model_validate({**line, "images_per_second": 10.0, "duration_s": 1.0})
    assert (point.gradient_norm, point.gradient_norms, point.time_left_s) == (None, {}, None)


def test_followed_pictures_have_an_answer_for_every_epoch_that_fits_the_truth(watched):
    samples, split = read_samples(watched[0]), digits(train=300, val=100).split("val")
    assert len(samples.image_ids) == MOST_SAMPLES
    place = {image_id: number for number, image_id in enumerate(split.image_ids)}
    truth = [FACTS.labels[split.labels[place[one]]] for one in samples.image_ids]
    assert list(samples.labels) == truth
    assert [one.epoch for one in samples.epochs] == [1, 2, 3]
    for one in samples.epochs:
        assert [answer == label for answer, label in zip(one.answers, truth, strict=True)] == list(
            one.right
        )
        assert all(0.1 <= sure <= 1 for sure in one.confidences)


def test_what_the_network_saw_is_kept_as_pictures(watched):
    kept = list_seen(watched[0] / "watch")
    assert kept
    epoch, path = kept[0]
    assert epoch == 1
    with Image.open(path) as picture:
        assert picture.size == (8 * 17, 16)
        values = np.asarray(picture).reshape(16, 8, 17)[:, :, :16]
    assert 20 < values.mean() < 200


def test_pictures_of_epochs_are_thinned(tmp_path):
    for epoch in range(1, 60):
        keep_seen(tmp_path, epoch, np.zeros((2, 4, 4, 1), np.uint8))
    kept = [epoch for epoch, _ in list_seen(tmp_path)]
    assert len(kept) <= MOST_SEEN
    assert (kept[0], kept[-1]) == (1, 59)


def test_watching_draws_nothing_and_changes_no_weight(tmp_path, monkeypatch):
    from darkroom.networks.saved import unpack
    from darkroom.training import loop

    class Blind(loop.Watch):
        def begin_epoch(self, epoch): ...
        def batch(self, *_): ...
        def gradients(self, *_): ...
        def validated(self, *_): ...
        def end_epoch(self, point):
            return point

        def finish(self): ...

    def weights(folder):
        train(folder, rendering=digits(300, 100), recipe=RECIPE, seed=3, facts=FACTS)
        return unpack(folder / "checkpoints" / "last.safetensors")[0]

    seen = weights(tmp_path / "seen")
    monkeypatch.setattr(loop, "Watch", Blind)
    unseen = weights(tmp_path / "unseen")
    assert all(torch.equal(seen[name], unseen[name]) for name in unseen)


def test_gradient_norms_are_those_of_torch():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 3))
    norms = GradientNorms(network, 2)
    norms.begin_epoch()
    network(torch.randn(7, 5)).square().mean().backward()
    expected = float(torch.cat([one.grad.flatten() for one in network.parameters()]).norm())
    assert float(norms.look()) == pytest.approx(expected)
    assert float(norms.look(scale=4.0)) == pytest.approx(expected / 4)
    assert norms.result().largest == pytest.approx(expected)


def test_a_few_steps_of_a_long_epoch_are_looked_at():
    due = [step for step in range(1000) if GradientNorms(nn.Linear(1, 1), 1000).is_due(step)]
    assert len(due) == LOOKS
    assert due[0] == 0


def test_parts_are_the_outermost_modules_or_what_lies_below_them():
    assert part_names(["conv1.weight", "conv2.weight", "dense.bias", "head.bias"]) == [
        *("conv1", "conv2", "dense", "head"),
    ]
    deep = ["body.stem.weight", "body.blocks.0.weight", "body.blocks.1.bias", "head.weight"]
    assert part_names(deep) == ["body.stem", "body.blocks", "body.blocks", "head"]
    assert part_names(["weight"]) == ["weights"]


def test_what_was_watched_goes_on_after_a_stop(tmp_path):
    from darkroom.errors import Cancelled

    left = iter(range(12))
    with pytest.raises(Cancelled):
        train(
            tmp_path, rendering=digits(300, 100), recipe=RECIPE, seed=0, facts=FACTS,
            should_stop=lambda: next(left, None) is None,
        )  # fmt: skip
    train(tmp_path, rendering=digits(300, 100), recipe=RECIPE, seed=0, facts=FACTS)
    samples = read_samples(tmp_path)
    epochs = [one.epoch for one in samples.epochs]
    assert epochs == sorted(set(epochs))
    assert epochs[-1] == 3
    assert [
        json.loads(line)["epoch"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()
    ] == [1, 2, 3]
