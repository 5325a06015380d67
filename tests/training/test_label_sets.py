"""Training on label sets: what is made small, what is counted, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch.nn import functional

from darkroom.errors import Invalid, InvalidConfig
from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict
from darkroom.networks.saved import load
from darkroom.records import MetricPoint
from darkroom.tasks.label_sets import mean_average_precision
from darkroom.training import Augment, EarlyStopping, Loss, Recipe
from darkroom.training.checkpoint import Identity, Progress
from darkroom.training.combinations import check_combinations
from darkroom.training.label_set_loss import MOST_WEIGHT, LabelSetLoss, positive_weights
from darkroom.training.label_set_tally import LabelSetTally
from darkroom.training.loop import train
from darkroom.training.recipe import check_fits
from darkroom.training.run_folder import read_metrics
from darkroom.training.selection import advance
from tests.label_sets import FACTS, LABELS, rendering

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=10, learning_rate=0.01, batch_size=32, threads=1, device="cpu")


def drawn(count: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(count, len(LABELS), generator=draw)
    return logits, (torch.rand(count, len(LABELS), generator=draw) < 0.3).long()


def run(folder, recipe=RECIPE, data=None, **how):
    return train(folder, rendering=data or rendering(), recipe=recipe, seed=0, facts=FACTS, **how)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets")
    data = rendering(500, 150)
    return folder, run(folder, RECIPE.model_copy(update={"epochs": 12}), data), data


def test_the_plain_loss_is_the_mean_over_pictures_and_labels() -> None:
    logits, labels = drawn()
    found = LabelSetLoss(Loss(), None, CPU)(logits, labels)
    p = torch.sigmoid(logits.double())
    expected = -(labels * p.log() + (1 - labels) * (1 - p).log()).mean()
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_a_weight_counts_where_its_label_holds_and_nowhere_else() -> None:
    weights = (1.0, 7.0, 1.0, 1.0, 1.0)
    gradients = []
    for chosen in (weights, None):
        logits, labels = drawn()
        LabelSetLoss(Loss(), chosen, CPU)(logits.requires_grad_(), labels).backward()
        gradients.append(logits.grad)
    expected = torch.where(labels.bool(), torch.tensor(weights), torch.tensor(1.0))
    assert torch.allclose(gradients[0], gradients[1] * expected, rtol=1e-4)


def test_focal_counts_easy_answers_less_and_is_plain_at_gamma_0() -> None:
    logits, labels = drawn()
    plain = functional.binary_cross_entropy_with_logits(logits, labels.float(), reduction="none")
    at_2 = LabelSetLoss(Loss(name="focal"), None, CPU)(logits, labels)
    p_right = torch.exp(-plain)
    assert float(at_2) == pytest.approx(float((plain * (1 - p_right) ** 2).mean()), rel=1e-4)
    at_0 = LabelSetLoss(Loss(name="focal", focal_gamma=0), None, CPU)(logits, labels)
    assert float(at_0) == pytest.approx(float(plain.mean()), rel=1e-5)
    weighted = LabelSetLoss(Loss(name="focal", focal_gamma=0), (2.0, 1, 1, 1, 1), CPU)(logits, labels)
    by_torch = functional.binary_cross_entropy_with_logits(
        logits, labels.float(), pos_weight=torch.tensor([2.0, 1, 1, 1, 1])
    )
    assert float(weighted) == pytest.approx(float(by_torch), rel=1e-5)


def test_batches_with_their_shares_add_up_to_the_whole() -> None:
    logits, labels = drawn(50)
    loss = LabelSetLoss(Loss(), (3.0, 1, 1, 1, 1), CPU)
    parts = (slice(0, 32), slice(32, 50))
    shares = loss.shares([labels[part] for part in parts])
    total = sum(share * loss(logits[part], labels[part]) for part, share in zip(parts, shares, strict=True))
    assert float(total) == pytest.approx(float(loss(logits, labels)), rel=1e-5)  # type: ignore[arg-type]


def test_balanced_weights_put_both_sides_of_a_question_on_a_par() -> None:
    labels = np.zeros((1000, 5), np.int64)
    labels[:200, 0] = labels[:500, 1] = labels[:1, 2] = labels[:, 3] = 1
    found = positive_weights(Loss(class_weights="balanced"), LABELS, labels)
    assert found == (4.0, 1.0, MOST_WEIGHT, 1.0, 1.0)
    by_name = Loss(class_weights="by-name", weight_by_class={"two": 6.0})
    assert positive_weights(by_name, LABELS, labels) == (1.0, 1.0, 1.0, 6.0, 1.0)
    assert positive_weights(Loss(), LABELS, labels) is None


def test_the_tally_counts_as_scikit_learn_does() -> None:
    logits, labels = drawn(300)
    tally = LabelSetTally(CPU, ranked=True)
    for part, own in zip(logits.detach().split(64), labels.split(64), strict=True):
        tally.add(part, own)
    right, found = labels, tally.result()
    answers = (logits.detach() >= 0).numpy()
    assert found.accuracy == pytest.approx(metrics.accuracy_score(right.numpy(), answers))
    assert found.mean_ap == pytest.approx(
        metrics.average_precision_score(right.numpy(), logits.detach().numpy()), rel=1e-6
    )
    bce = functional.binary_cross_entropy_with_logits(logits.detach(), right.float())
    assert found.loss == pytest.approx(float(bce), rel=1e-5)
    unranked = LabelSetTally(CPU, ranked=False)
    unranked.add(logits, right)
    assert unranked.result().mean_ap is None


def test_a_loss_that_is_no_number_names_its_batch() -> None:
    tally = LabelSetTally(CPU, ranked=False)
    logits, labels = drawn(8)
    tally.add(logits, labels)
    tally.add(logits * float("nan"), labels)
    with pytest.raises(ArithmeticError, match="2"):
        tally.result()


def test_it_learns_which_digits_a_picture_shows(trained) -> None:
    folder, outcome, data = trained
    assert outcome.best.val_mean_ap > 0.8
    network, card = load(folder / "checkpoints" / "best.safetensors")
    assert (card.task, card.labels) == ("multi-label", LABELS)
    val = data.split("val")
    probabilities = predict(ImageModel.of(network, card), [val.images])
    assert not np.allclose(probabilities.sum(axis=1), 1)
    assert mean_average_precision(val.labels > 0, probabilities) == pytest.approx(
        outcome.best.val_mean_ap, abs=1e-5
    )
    exact = ((probabilities >= 0.5) == (val.labels > 0)).all(axis=1).mean()
    assert exact == pytest.approx(outcome.best.val_accuracy, abs=0.011)


def test_the_best_epoch_is_that_of_the_largest_mean_ap(trained) -> None:
    folder, outcome, _ = trained
    points = read_metrics(folder)
    best = max(points, key=lambda point: (point.val_mean_ap, -point.val_loss))
    assert outcome.best_epoch == best.epoch


def test_a_larger_mean_ap_beats_a_larger_accuracy() -> None:
    def point(epoch: int, accuracy: float, mean_ap: float) -> MetricPoint:
        return MetricPoint(
            epoch=epoch, step=epoch, train_loss=1, train_accuracy=0, val_loss=1, val_accuracy=accuracy,
            val_mean_ap=mean_ap, learning_rate=1, images_per_second=1, duration_s=1,
        )  # fmt: skip

    identity = Identity(recipe=RECIPE, seed=0, dataset_id="", labels=LABELS, contract=FACTS.contract)
    progress = Progress(identity=identity, threads=1)
    for one in (point(1, 0.2, 0.8), point(2, 0.9, 0.5)):
        progress = advance(progress, one, RECIPE)
    assert progress.best_epoch == 1


def test_weights_make_a_rare_label_found_more_often(tmp_path) -> None:
    data = rendering(300, 150)
    for part in ("train", "val"):
        split = data.split(part)
        rare = split.labels[:, 0] == 1
        keep = ~rare | (np.cumsum(rare) % 6 == 0)  # a sixth of those with the label
        split.images, split.labels = split.images[keep], split.labels[keep]
        split.image_ids, split.groups = [f"{n}" for n in range(keep.sum())], [None] * int(keep.sum())
    given = {}
    for name in ("none", "balanced"):
        recipe = RECIPE.model_copy(update={"epochs": 4, "loss": Loss(class_weights=name)})
        run(tmp_path / name, recipe, data)
        found = load(tmp_path / name / "checkpoints" / "last.safetensors")
        probabilities = predict(ImageModel.of(*found), [data.split("val").images])
        given[name] = float(probabilities[:, 0].mean())
    assert given["balanced"] > 1.5 * given["none"]


def test_changes_of_pictures_leave_their_labels_alone(tmp_path) -> None:
    augment = Augment(rotate_deg=5, shift=0.1, noise=0.02)
    outcome = run(tmp_path, RECIPE.model_copy(update={"epochs": 2, "augment": augment}), rendering(96, 32))
    assert outcome.epochs == 2
    assert outcome.best.val_mean_ap > 0


def test_early_stopping_looks_at_the_mean_ap(tmp_path) -> None:
    recipe = RECIPE.model_copy(
        update={"epochs": 6, "early_stopping": EarlyStopping(patience_epochs=1, least_gain=0.9)}
    )
    assert run(tmp_path, recipe, rendering(96, 32)).stopped_early


def test_label_smoothing_is_refused_with_its_reason() -> None:
    recipe = Recipe(loss=Loss(label_smoothing=0.1))
    with pytest.raises(InvalidConfig, match="spreads one right answer"):
        check_combinations(recipe, LABELS, task="multi-label")
    check_combinations(recipe, LABELS, task="classification")


@pytest.mark.parametrize("recipe", [Recipe(loss=Loss(dice_weight=1)), Recipe(augment=Augment(crop_px=16))])
def test_options_of_masks_are_refused(recipe) -> None:
    with pytest.raises(InvalidConfig, match="is for segmentation; the dataset is for multi-label"):
        check_combinations(recipe, LABELS, task="multi-label")


def test_one_label_is_enough_and_a_network_for_masks_is_not() -> None:
    one = FACTS.model_copy(update={"labels": ("zero",)})
    check_fits(Recipe(), one, FACTS.contract.shape, 10, 5)
    with pytest.raises(Invalid, match="at least two classes"):
        check_fits(Recipe(), one.model_copy(update={"task": "classification"}), FACTS.contract.shape, 10, 5)
    with pytest.raises(InvalidConfig, match="is for segmentation; the dataset is for multi-label"):
        check_fits(Recipe(network="lraspp/mobilenetv2_035"), FACTS, FACTS.contract.shape, 10, 5)
