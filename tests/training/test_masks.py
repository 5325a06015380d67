"""Training of masks: pictures and masks move together, what is not said has no say, and it learns."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from darkroom.errors import Cancelled, InvalidConfig, InvalidLabel
from darkroom.networks.image_model import ImageModel
from darkroom.networks.saved import load
from darkroom.records import MetricPoint, Normalisation
from darkroom.tasks.overlap import confusion_of, mean_iou, pixel_accuracy
from darkroom.training import Augment, Loss, Recipe
from darkroom.training.augment import Augmenter, preview
from darkroom.training.checkpoint import Identity, Progress
from darkroom.training.combinations import check_combinations
from darkroom.training.loop import train
from darkroom.training.mask_loss import MaskLoss
from darkroom.training.mask_tally import MaskTally
from darkroom.training.masked_pixels import MaskedPixels, pixel_counts
from darkroom.training.selection import advance
from tests.training.squares import FACTS, HEIGHT, WIDTH, MaskedSplit, rendering, squares

CPU = torch.device("cpu")
PLAIN = Normalisation(mean=(0.0,) * 3, std=(1.0,) * 3)
NETWORK = "lraspp/mobilenetv2_035"


def recipe(**more):
    chosen = {"network": NETWORK, "epochs": 3, "batch_size": 8, "learning_rate": 0.01, "threads": 1}
    return Recipe(**{**chosen, "loss": Loss(dice_weight=1.0), **more})


def trained(folder, data=None, **more):
    return train(folder, rendering=data or rendering(), recipe=recipe(**more), seed=0, facts=FACTS)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("masks") / "run"
    return folder, trained(folder, epochs=12, batch_size=4, augment=Augment(flip="both"))


class TestTheLoop:
    def test_it_learns_and_says_mean_iou(self, run):
        folder, outcome = run
        points = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert outcome.best.val_miou > points[0]["val_miou"] + 0.15
        assert outcome.best.val_miou == max(point["val_miou"] for point in points)
        assert outcome.best_epoch == outcome.best.epoch

    def test_the_figures_are_those_of_the_saved_network_on_whole_pictures(self, run):
        folder, outcome = run
        network, card = load(folder / "checkpoints" / "best.safetensors")
        assert (card.task, card.labels, card.network) == ("segmentation", FACTS.labels, NETWORK)
        val = rendering().split("val")
        with torch.inference_mode():
            probabilities = ImageModel.of(network, card)(torch.from_numpy(val.images))
        confusion = confusion_of(val.masks, probabilities.argmax(3).numpy(), 3).sum(0)
        assert mean_iou(confusion) == pytest.approx(outcome.best.val_miou, abs=2e-3)
        assert pixel_accuracy(confusion) == pytest.approx(outcome.best.val_accuracy, abs=2e-3)

    def test_tensorboard_gets_mean_iou(self, run):
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        curves = EventAccumulator(str(run[0] / "tensorboard"))
        curves.Reload()
        assert len(curves.Scalars("miou/val")) == 12

    def test_the_sheet_shows_masks_over_pictures(self, run):
        with Image.open(run[0] / "augmentation.png") as image:
            sheet = np.asarray(image)
        bare = preview(rendering().split("train").images[:1], Augment(), PLAIN, seed=0, columns=5)
        assert sheet.shape[2] == 3
        assert not np.array_equal(sheet[: HEIGHT + 2, : WIDTH + 2], bare[: HEIGHT + 2, : WIDTH + 2])

    def test_a_stopped_training_goes_on_to_the_same_bits(self, tmp_path):
        whole, parts = tmp_path / "whole", tmp_path / "parts"
        options = {"augment": Augment(rotate_deg=20, crop_px=32, noise=0.02), "accumulate_batches": 2}
        trained(whole, **options)
        done = []

        def stop():
            done.append(1)
            return len(done) > 3  # in the second epoch

        with pytest.raises(Cancelled):
            train(
                parts,
                rendering=rendering(),
                recipe=recipe(**options),
                seed=0,
                facts=FACTS,
                should_stop=stop,
            )
        assert trained(parts, **options).resumed_from == 1
        first, second = (load(one / "checkpoints" / "last.safetensors")[0] for one in (whole, parts))
        for name, tensor in first.state_dict().items():
            assert torch.equal(tensor, second.state_dict()[name]), name

    def test_last_keeps_the_encoder_as_the_weights_give_it(self, tmp_path):
        from darkroom.networks.earlier import EarlierRun

        trained(tmp_path / "first", epochs=1)
        start = EarlierRun(
            run="r-1",
            checkpoint=tmp_path / "first" / "checkpoints" / "best.safetensors",
            labels=FACTS.labels,
        )
        chosen = recipe(epochs=2, train_layers="last", augment=Augment(flip="horizontal"))
        train(tmp_path / "run", rendering=rendering(), recipe=chosen, seed=1, facts=FACTS, start=start)
        after = load(tmp_path / "run" / "checkpoints" / "last.safetensors")[0].state_dict()
        before = load(start.checkpoint)[0].state_dict()
        same = {name: torch.equal(tensor, before[name]) for name, tensor in after.items()}
        assert all(equal for name, equal in same.items() if name.startswith("encoder."))
        assert not same["head.weight"]
        assert not same["decoder.project.0.weight"]

    def test_nothing_is_learnt_from_pixels_of_which_nothing_is_said(self, tmp_path):
        data = rendering()
        hidden = data.split("train")
        hidden.masks = np.full_like(hidden.masks, 255)
        outcome = trained(tmp_path / "run", data, epochs=1, optimiser={"name": "sgd"}, weight_decay=0.0)
        head = load(tmp_path / "run" / "checkpoints" / "last.safetensors")[0].head
        trained(tmp_path / "other", data, epochs=2, optimiser={"name": "sgd"}, weight_decay=0.0)
        other = load(tmp_path / "other" / "checkpoints" / "last.safetensors")[0].head
        assert torch.equal(head.weight, other.weight)
        assert outcome.best.train_loss == 0.0


class TestOneWarp:
    def augmenter(self, **changes):
        return Augmenter(Augment(**changes), (HEIGHT, WIDTH, 3), PLAIN, CPU)

    def moved(self, augmenter, split, seed=3):
        """Returns pictures and masks after the same draws."""
        generator = torch.Generator().manual_seed(seed)
        draws = augmenter.draw(len(split), generator)
        x = torch.from_numpy(split.images).permute(0, 3, 1, 2) / 255
        return augmenter.apply(x, draws, generator), augmenter.apply_to_labels(
            torch.from_numpy(split.masks), draws
        )

    @pytest.mark.parametrize(
        "changes",
        [
            {"flip": "both"},
            {"rotate_deg": 40.0},
            {"zoom": 0.5, "shift": 0.2, "edge": "mirror"},
            {"crop": 0.4, "edge": "mean"},
            {"crop_px": 24},
            {"crop_px": 52},
            {"crop_px": 28, "rotate_deg": 30.0, "flip": "horizontal"},
        ],
        ids=str,
    )
    def test_a_mask_moves_as_its_picture(self, changes):
        masks = np.kron(np.random.default_rng(0).integers(0, 3, (6, 5, 4)), np.ones((8, 8))).astype(
            np.uint8
        )
        images = (masks[..., None].repeat(3, 3) * 100).astype(np.uint8)  # a picture of its own mask
        x, moved = self.moved(self.augmenter(**changes), MaskedSplit(images, masks))
        shown = torch.round(x[:, 0] * 255 / 100)
        known = moved != 255
        inner = known & ((x[:, 0] * 255 % 100).round() == 0)  # not on an outline, where colours mix
        assert inner.float().mean() > 0.25
        assert (shown[inner] == moved[inner]).float().mean() > 0.99

    def test_what_comes_in_from_outside_is_not_said(self):
        split = squares(4, 0)
        split.masks[:] = 1
        x, moved = self.moved(self.augmenter(crop_px=64), split)
        assert x.shape[2:] == moved.shape[1:] == (64, 64)
        assert ((moved == 1).sum((1, 2)) == HEIGHT * WIDTH).all()
        assert ((moved == 255).sum((1, 2)) == 64 * 64 - HEIGHT * WIDTH).all()

    def test_crops_lie_on_whole_pixels_anywhere_in_the_picture(self):
        x, moved = self.moved(self.augmenter(crop_px=20), squares(60, 0))
        split = squares(60, 0)
        places = set()
        for number in range(60):
            found = [
                (top, left)
                for top in range(HEIGHT - 19)
                for left in range(WIDTH - 19)
                if np.array_equal(split.masks[number, top : top + 20, left : left + 20], moved[number])
                and np.allclose(
                    x[number].permute(1, 2, 0) * 255,
                    split.images[number, top : top + 20, left : left + 20],
                    atol=0.1,
                )
            ]
            assert len(found) == 1
            places.update(found)
        assert min(top for top, _ in places) == 0
        assert max(top for top, _ in places) == HEIGHT - 20
        assert {left for _, left in places} >= {0, WIDTH - 20}

    def test_without_changes_nothing_is_moved(self):
        split = squares(2, 0)
        _, moved = self.moved(self.augmenter(brightness=0.2), split)
        assert np.array_equal(moved, split.masks)


class TestTheLoss:
    LOGITS = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    MASKS = torch.tensor(np.random.default_rng(1).choice([0, 1, 2, 255], (2, 4, 5)).astype(np.uint8))

    def loss(self, weights=None, **more):
        return float(MaskLoss(Loss(**more), weights, CPU)(self.LOGITS, self.MASKS))

    def test_cross_entropy_is_the_mean_over_known_pixels(self):
        expected = functional.cross_entropy(self.LOGITS, self.MASKS.long(), ignore_index=255)
        assert self.loss() == pytest.approx(float(expected))
        assert self.loss(cross_entropy_weight=2.5) == pytest.approx(2.5 * float(expected))

    def test_class_weights_make_a_weighted_mean(self):
        weights = (0.2, 1.0, 3.0)
        expected = functional.cross_entropy(
            self.LOGITS, self.MASKS.long(), torch.tensor(weights), ignore_index=255
        )
        found = self.loss(weights, class_weights="by-name", weight_by_class={"a": 1})
        assert found == pytest.approx(float(expected))

    def test_focal_with_gamma_0_is_cross_entropy_and_with_more_is_less(self):
        assert self.loss(name="focal", focal_gamma=0.0) == pytest.approx(self.loss())
        assert self.loss(name="focal", focal_gamma=2.0) < self.loss()

    def test_label_smoothing_changes_it(self):
        assert self.loss(label_smoothing=0.2) != pytest.approx(self.loss())

    def test_dice_is_counted_by_hand(self):
        p = torch.softmax(self.LOGITS, 1)
        known = self.MASKS != 255
        dice = []
        for index in range(3):
            right = (index == self.MASKS).float()
            of_class = p[:, index] * known
            dice.append((2 * (of_class * right).sum() + 1) / (of_class.sum() + right.sum() + 1))
        expected = 1 - float(sum(dice)) / 3
        assert self.loss(cross_entropy_weight=0.0, dice_weight=1.0) == pytest.approx(expected, abs=1e-6)
        assert self.loss(dice_weight=0.5) == pytest.approx(self.loss() + 0.5 * expected, abs=1e-6)

    def test_dice_looks_at_classes_that_the_batch_shows(self):
        masks = torch.zeros(1, 4, 4, dtype=torch.uint8)
        sure = torch.zeros(1, 3, 4, 4)
        sure[:, 0] = 50
        loss = MaskLoss(Loss(cross_entropy_weight=0.0, dice_weight=1.0), None, CPU)
        assert float(loss(sure, masks)) == pytest.approx(0, abs=1e-6)

    def test_a_batch_of_which_nothing_is_said_is_no_nan_and_no_gradient(self):
        logits = self.LOGITS.clone().requires_grad_()
        loss = MaskLoss(Loss(dice_weight=1.0), (1.0, 2.0, 3.0), CPU)
        value = loss(logits, torch.full((2, 4, 5), 255, dtype=torch.uint8))
        value.backward()
        assert float(value.detach()) == 0
        assert not logits.grad.any()

    def test_shares_of_batches_add_up_to_the_whole(self):
        for weights in (None, (0.5, 1.0, 4.0)):
            loss = MaskLoss(Loss(), weights, CPU)
            parts = [(self.LOGITS[:1], self.MASKS[:1]), (self.LOGITS[1:], self.MASKS[1:])]
            shares = loss.shares([masks for _, masks in parts])
            total = sum(float(loss(*part) * share) for part, share in zip(parts, shares, strict=True))
            assert total == pytest.approx(float(loss(self.LOGITS, self.MASKS)), rel=1e-5)

    def test_balanced_weights_go_by_pixels(self):
        split = squares(4, 0)
        counts = pixel_counts(split, 3)
        assert counts.tolist() == [int((split.masks == index).sum()) for index in range(3)]

    def test_balanced_weights_help_a_rare_class_in_training(self, tmp_path):
        plain = trained(tmp_path / "plain", epochs=2, loss=Loss())
        balanced = trained(tmp_path / "balanced", epochs=2, loss=Loss(class_weights="balanced"))
        assert plain.last.train_loss != balanced.last.train_loss


class TestTheTally:
    def test_it_adds_up_as_one_batch(self):
        logits, masks = TestTheLoss.LOGITS, TestTheLoss.MASKS
        whole, parts = MaskTally(CPU, 3), MaskTally(CPU, 3)
        whole.add(logits, masks)
        for number in range(2):
            parts.add(logits[number : number + 1], masks[number : number + 1])
        expected = functional.cross_entropy(logits, masks.long(), ignore_index=255)
        assert whole.result().loss == pytest.approx(float(expected))
        assert parts.result() == pytest.approx(whole.result())

    def test_the_batch_whose_loss_is_no_number_is_named(self):
        tally = MaskTally(CPU, 3)
        tally.add(TestTheLoss.LOGITS, TestTheLoss.MASKS)
        tally.add(TestTheLoss.LOGITS * float("nan"), TestTheLoss.MASKS)
        tally.add(TestTheLoss.LOGITS, TestTheLoss.MASKS)
        with pytest.raises(ArithmeticError, match="2"):
            tally.result()


@pytest.mark.parametrize("most_bytes", [0, 20_000, 1 << 30], ids=["by batch", "masks", "all"])
def test_masks_are_the_same_wherever_they_are_kept(most_bytes):
    split = squares(9, 0)
    found = MaskedPixels(split, PLAIN, CPU, 3, most_bytes=most_bytes)
    chosen = torch.tensor([7, 0, 0, 3])
    x, masks = found.batch(chosen)
    assert np.array_equal(masks, split.masks[chosen])
    assert torch.allclose(x.permute(0, 2, 3, 1) * 255, torch.from_numpy(split.images[chosen]).float())


def test_a_mask_outside_of_the_classes_is_refused():
    split = squares(3, 0)
    split.masks[1, 5, 5] = 3
    with pytest.raises(InvalidLabel, match="holds 3; the classes go from 0 to 2"):
        MaskedPixels(split, PLAIN, CPU, 3)


def test_the_best_epoch_is_the_one_with_most_overlap():
    def point(epoch, accuracy, miou):
        return MetricPoint(
            epoch=epoch,
            step=epoch,
            train_loss=1,
            train_accuracy=0,
            val_loss=1,
            val_accuracy=accuracy,
            val_miou=miou,
            learning_rate=0.1,
            images_per_second=1,
            duration_s=1,
        )

    identity = Identity(
        recipe=recipe(), seed=0, dataset_id="", labels=FACTS.labels, contract=FACTS.contract
    )
    progress = Progress(identity=identity, threads=1)
    for one in (point(1, 0.9, 0.5), point(2, 0.8, 0.7), point(3, 0.95, 0.6)):
        progress = advance(progress, one, recipe())
    assert progress.best_epoch == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"loss": Loss(cross_entropy_weight=0.0)}, "both 0"),
        (
            {"loss": Loss(cross_entropy_weight=0.0, dice_weight=1.0, name="focal")},
            "only Dice is left",
        ),
        ({"feature_views": 3, "train_layers": "last", "weights": "w"}, "maps are not"),
        ({"normalisation": "mean-image", "augment": Augment(crop_px=32)}, "mean-image"),
    ],
)
def test_options_that_make_no_sense_for_masks_are_refused(changes, said):
    with pytest.raises(InvalidConfig, match=said):
        check_combinations(recipe(**changes), FACTS.labels, task="segmentation")


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": Loss(dice_weight=1.0)},
        {"loss": Loss(cross_entropy_weight=2.0)},
        {"augment": Augment(crop_px=32)},
    ],
)
def test_options_of_masks_are_refused_for_classes(changes):
    with pytest.raises(InvalidConfig, match="is for segmentation"):
        check_combinations(Recipe(**changes), ("a", "b"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"augment": Augment(crop_px=16)}, "at least 32 px"),
        ({"network": "deeplabv3plus/resnet18", "batch_size": 1}, "at least 2 of them"),
        ({"network": "lenet5"}, "is for classification"),
    ],
)
def test_what_a_network_cannot_train_on_is_refused(tmp_path, changes, said):
    with pytest.raises(InvalidConfig, match=said):
        trained(tmp_path / "run", **changes)


def test_new_options_at_their_default_leave_a_recipes_id_as_it_was():
    from darkroom.records import canonical_json

    text = canonical_json(Recipe())
    assert not any(name in text for name in ("dice_weight", "cross_entropy_weight", "crop_px"))
    assert "dice_weight" in canonical_json(recipe())
    assert json.loads(Recipe().model_dump_json())["loss"]["dice_weight"] == 0.0
