"""The loop learns real digits, repeats itself to the bit, and stops when it should."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from darkroom.errors import Cancelled, Conflict, Invalid, InvalidConfig, Unsupported
from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict
from darkroom.networks.saved import load, unpack
from darkroom.records import ModelCard
from darkroom.training import Augment, EarlyStopping, Loss, Optimiser, Recipe, Schedule
from darkroom.training.loop import train
from darkroom.training.normalisation import measure_normalisation
from darkroom.training.run_folder import read_metrics
from tests.training.digits import FACTS, MemoryRendering, MemorySplit, digits

SHORT = Recipe(epochs=3, threads=1, device="cpu")
WARP = Augment(rotate_deg=10, zoom=0.1, shift=0.1)


def run(folder, recipe=SHORT, seed=0, rendering=None, **options):
    return train(
        folder,
        rendering=rendering or digits(train=300, val=100),
        recipe=recipe,
        seed=seed,
        facts=FACTS,
        **options,
    )


def weights(folder, name="last"):
    return unpack(folder / "checkpoints" / f"{name}.safetensors")[0]


def same(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def events(folder):
    return [json.loads(line)["event"] for line in (folder / "events.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    recipe = Recipe(epochs=15, learning_rate=0.01, augment=WARP, snapshot_every=6, threads=1, device="cpu")
    return folder, run(folder, recipe, rendering=digits(train=1200, val=300))


def test_it_learns_to_read_digits(trained):
    _, outcome = trained
    assert outcome.best.val_accuracy > 0.95
    assert outcome.last.train_loss < 0.5
    assert (outcome.epochs, outcome.stopped_early, outcome.resumed_from) == (15, False, 0)


def test_the_best_epoch_is_the_one_with_the_highest_validation_accuracy(trained):
    folder, outcome = trained
    points = read_metrics(folder)
    best = max(points, key=lambda point: (point.val_accuracy, -point.val_loss))
    assert outcome.best == best
    assert outcome.last == points[-1]


def test_the_saved_weights_answer_as_the_metrics_say(trained):
    folder, outcome = trained
    network, card = load(folder / outcome.weights)
    split = digits(train=1200, val=300).split("val")
    probabilities = predict(ImageModel.of(network, card), [split.images])
    accuracy = float((probabilities.argmax(1) == split.labels).mean())
    loss = float(-np.log(probabilities[np.arange(300), split.labels]).mean())
    assert accuracy == pytest.approx(outcome.best.val_accuracy, abs=1 / 300)
    assert loss == pytest.approx(outcome.best.val_loss, rel=1e-3)


def test_the_card_carries_the_facts_and_the_normalisation_of_the_train_split(trained):
    folder, outcome = trained
    card = ModelCard.model_validate_json((folder / "model-card.json").read_text())
    expected = measure_normalisation(digits(train=1200).split("train"), "train split of digits@1")
    assert card.normalisation == expected
    assert (card.labels, card.contract, card.dataset_id) == (FACTS.labels, FACTS.contract, FACTS.dataset_id)
    assert (card.network, card.seed, card.epoch) == ("lenet5", 0, outcome.best_epoch)
    assert card.parameters == sum(weight.numel() for weight in weights(folder, "best").values())
    assert card.versions["torch"] == torch.__version__


def test_snapshots_are_kept_at_their_interval_with_their_epoch(trained):
    folder, _ = trained
    names = {path.name for path in (folder / "checkpoints").iterdir()}
    assert names == {f"{n}.safetensors" for n in ("best", "last", "epoch-006", "epoch-012")}
    assert load(folder / "checkpoints" / "epoch-012.safetensors")[1].epoch == 12
    assert load(folder / "checkpoints" / "last.safetensors")[1].epoch == 15
    assert events(folder) == ["started", "foreseen", "snapshot", "snapshot", "finished"]


def test_the_augmentation_is_shown(trained):
    with Image.open(trained[0] / "augmentation.png") as picture:
        assert picture.size[0] > 8 * 16


def test_a_second_call_trains_nothing_and_says_the_same(trained):
    folder, outcome = trained
    before = weights(folder)
    recipe = Recipe(epochs=15, learning_rate=0.01, augment=WARP, snapshot_every=6, threads=1, device="cpu")
    again = run(folder, recipe, rendering=digits(train=1200, val=300))
    # Its memory is that of this call.
    assert again == outcome.model_copy(update={"resumed_from": 15, "measured": again.measured})
    assert same(weights(folder), before)


EVERY_CHANCE = SHORT.model_copy(
    update={"dropout": 0.3, "augment": Augment(rotate_deg=10, flip="both", contrast=0.2, noise=0.05)}
)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_gives_the_same_bits_and_another_seed_a_clone(tmp_path, threads):
    recipe = EVERY_CHANCE.model_copy(update={"threads": threads})
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(tmp_path / name, recipe, seed)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_results_do_not_depend_on_the_random_numbers_of_the_caller(tmp_path):
    torch.manual_seed(1)
    run(tmp_path / "a", EVERY_CHANCE)
    torch.manual_seed(2)
    run(tmp_path / "b", EVERY_CHANCE)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))


class StopAfter:
    """Says stop after a number of batches."""

    def __init__(self, batches):
        self.left = batches

    def __call__(self):
        self.left -= 1
        return self.left < 0


@pytest.mark.parametrize("optimiser", Optimiser.model_fields["name"].annotation.__args__)
@pytest.mark.parametrize("batches", [0, 7, 12])
def test_a_stopped_training_goes_on_to_the_same_bits(tmp_path, optimiser, batches):
    recipe = EVERY_CHANCE.model_copy(update={"optimiser": Optimiser(name=optimiser)})
    run(tmp_path / "whole", recipe)
    with pytest.raises(Cancelled, match="goes on from the last saved epoch"):
        run(tmp_path / "parts", recipe, should_stop=StopAfter(batches))
    assert events(tmp_path / "parts")[-1] == "cancelled"
    outcome = run(tmp_path / "parts", recipe)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    assert same(weights(tmp_path / "whole", "best"), weights(tmp_path / "parts", "best"))
    assert outcome.epochs == 3
    timeless = {"images_per_second", "duration_s", "time_left_s"}
    assert [p.model_dump(exclude=timeless) for p in read_metrics(tmp_path / "whole")] == [
        p.model_dump(exclude=timeless) for p in read_metrics(tmp_path / "parts")
    ]


def test_a_folder_of_another_training_is_refused_and_left_alone(tmp_path):
    run(tmp_path)
    before = weights(tmp_path)
    with pytest.raises(Conflict, match="batch_size was 64 and is 32"):
        run(tmp_path, SHORT.model_copy(update={"batch_size": 32}))
    with pytest.raises(Conflict, match="seed was 0 and is 9"):
        run(tmp_path, seed=9)
    assert same(weights(tmp_path), before)
    assert events(tmp_path) == ["started", "foreseen", "finished"]


def test_it_goes_on_with_the_threads_that_it_began_with(tmp_path):
    with pytest.raises(Cancelled):
        run(tmp_path, SHORT.model_copy(update={"threads": 2}), should_stop=StopAfter(7))
    outcome = run(tmp_path, SHORT.model_copy(update={"threads": 0}))
    assert (outcome.threads, outcome.resumed_from) == (2, 1)
    assert json.loads((tmp_path / "environment.json").read_text())["threads"] == 2


def test_early_stopping_ends_when_patience_runs_out(tmp_path):
    noise = digits(train=300, val=100)
    labels = np.random.default_rng(0).integers(0, 10, 100)  # nothing to gain on these
    noise.splits["val"] = MemorySplit(noise.split("val").images, labels)
    recipe = Recipe(
        epochs=60,
        select_by="val_loss",
        early_stopping=EarlyStopping(patience_epochs=3),
        threads=1,
        device="cpu",
    )
    outcome = run(tmp_path, recipe, rendering=noise)
    assert outcome.stopped_early
    assert outcome.epochs == outcome.best_epoch + 3 < 60
    assert run(tmp_path, recipe, rendering=noise).epochs == outcome.epochs


def test_without_validation_pictures_the_last_epoch_is_the_best(tmp_path):
    rendering = MemoryRendering(train=digits(train=200).split("train"))
    outcome = run(tmp_path, rendering=rendering)
    assert outcome.best_epoch == outcome.epochs == 3
    assert outcome.last.val_loss is outcome.last.val_accuracy is None
    assert same(weights(tmp_path, "best"), weights(tmp_path, "last"))


def test_a_loss_that_is_no_number_stops_the_training_and_says_where(tmp_path):
    recipe = SHORT.model_copy(
        update={
            "learning_rate": 100.0,
            "optimiser": Optimiser(name="sgd"),
            "schedule": Schedule(name="fixed", warmup_epochs=0),
        }
    )
    with pytest.raises(Invalid, match=r"no longer a number: epoch 1, step \d") as caught:
        run(tmp_path, recipe)
    assert "smaller learning_rate" in caught.value.hint
    assert not (tmp_path / "model-card.json").exists()
    assert events(tmp_path) == ["started", "failed"]


def test_a_last_picture_alone_joins_the_batch_before(tmp_path):
    outcome = run(tmp_path, rendering=digits(train=129, val=40))
    assert outcome.last.step == 2 * 3


def test_progress_is_told_in_batches_and_figures(tmp_path):
    told = []
    run(tmp_path, on_progress=lambda done, total, figures: told.append((done, total, dict(figures))))
    epochs = [entry for entry in told if "val_loss" in entry[2]]
    assert [(done, total) for done, total, _ in epochs] == [(5, 15), (10, 15), (15, 15)]
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)
    assert epochs[-1][2]["train_accuracy"] == read_metrics(tmp_path)[-1].train_accuracy


def test_the_learning_rate_follows_the_schedule(tmp_path):
    recipe = SHORT.model_copy(
        update={"schedule": Schedule(name="step", warmup_epochs=0, step_epochs=1, step_factor=0.5)}
    )
    run(tmp_path, recipe)
    rates = [point.learning_rate for point in read_metrics(tmp_path)]
    assert rates == pytest.approx([0.002, 0.001, 0.0005])


@pytest.mark.parametrize(
    "change",
    [
        {"dropout": 0.5},
        {"weight_decay": 0.5},
        {"augment": Augment(invert=0.5)},
        {"precision": "bfloat16"},
        {"batch_size": 16},
        {"learning_rate": 0.01},
        {"accumulate_batches": 2},
        {"normalisation": "mean-pixel"},
        {"normalisation": "mean-image"},
        {"normalisation": "none"},
        {"loss": Loss(name="focal")},
        {"loss": Loss(label_smoothing=0.1)},
        {"loss": Loss(class_weights="balanced")},
        {"loss": Loss(class_weights="by-name", weight_by_class={"3": 4.0})},
        {"optimiser": Optimiser(beta1=0.5)},
        {"schedule": Schedule(name="one-cycle")},
    ],
    ids=str,
)
def test_each_option_changes_the_result(tmp_path, change):
    run(tmp_path / "plain")
    run(tmp_path / "changed", SHORT.model_copy(update=change))
    assert not same(weights(tmp_path / "plain"), weights(tmp_path / "changed"))


def test_colour_pictures_that_are_not_square_train_as_well(tmp_path):
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 120)
    images = random.integers(0, 100, (120, 16, 24, 3), np.uint8)
    images[labels == 1, :, :, 0] += 100  # the second class is red
    facts = FACTS.model_copy(
        update={
            "labels": ("dark", "red"),
            "contract": FACTS.contract.model_copy(update={"colour": "rgb", "width_px": 24}),
        }
    )
    rendering = MemoryRendering(
        train=MemorySplit(images[:90], labels[:90]), val=MemorySplit(images[90:], labels[90:])
    )
    recipe = Recipe(
        epochs=8,
        batch_size=16,
        augment=Augment(rotate_deg=20, hue_deg=10, flip="both"),
        threads=1,
        device="cpu",
    )
    outcome = train(tmp_path, rendering=rendering, recipe=recipe, seed=0, facts=facts)
    assert outcome.best.val_accuracy == 1.0


def test_accumulated_batches_give_the_gradient_of_the_large_batch(tmp_path):
    sgd = Optimiser(name="sgd", momentum=0.0)
    for loss in (Loss(), Loss(class_weights="balanced")):
        whole = SHORT.model_copy(
            update={"optimiser": sgd, "learning_rate": 0.1, "batch_size": 120, "loss": loss}
        )
        parts = whole.model_copy(update={"batch_size": 24, "accumulate_batches": 5})
        once = run(
            tmp_path / f"{loss.class_weights}-whole", whole
        )  # 300 pictures: steps of 120, 120 and 60
        added = run(tmp_path / f"{loss.class_weights}-parts", parts)  # 13 batches: five, five and three
        assert once.last.step == added.last.step == 3 * 3
        expected = weights(tmp_path / f"{loss.class_weights}-whole")
        for name, weight in weights(tmp_path / f"{loss.class_weights}-parts").items():
            torch.testing.assert_close(weight, expected[name], rtol=1e-4, atol=1e-5)
        assert added.last.learning_rate == once.last.learning_rate


def test_a_training_can_be_stopped_between_the_batches_of_a_step(tmp_path):
    recipe = EVERY_CHANCE.model_copy(update={"batch_size": 32, "accumulate_batches": 4})
    run(tmp_path / "whole", recipe)
    with pytest.raises(Cancelled):
        run(tmp_path / "parts", recipe, should_stop=StopAfter(15))
    run(tmp_path / "parts", recipe)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))


@pytest.mark.parametrize("kind", ["mean-pixel", "mean-image", "none"])
def test_each_normalisation_answers_and_goes_on_as_it_trained(tmp_path, kind):
    recipe = EVERY_CHANCE.model_copy(update={"normalisation": kind, "learning_rate": 0.01})
    outcome = run(tmp_path / "whole", recipe)
    with pytest.raises(Cancelled):
        run(tmp_path / "parts", recipe, should_stop=StopAfter(7))
    run(tmp_path / "parts", recipe)
    assert same(weights(tmp_path / "whole"), weights(tmp_path / "parts"))
    network, card = load(tmp_path / "whole" / outcome.weights)
    assert card.normalisation.kind == kind
    assert len(card.model_dump_json()) < 4000
    split = digits(train=300, val=100).split("val")
    probabilities = predict(ImageModel.of(network, card), [split.images])
    loss = float(-np.log(probabilities[np.arange(100), split.labels]).mean())
    assert loss == pytest.approx(outcome.best.val_loss, rel=1e-4)


def test_losses_and_weights_change_the_weights_and_not_how_figures_are_taken(tmp_path):
    recipe = SHORT.model_copy(
        update={
            "epochs": 1,
            "loss": Loss(name="focal", class_weights="by-name", weight_by_class={"1": 9.0}),
        }
    )
    outcome = run(tmp_path, recipe)
    network, card = load(tmp_path / outcome.weights)
    split = digits(train=300, val=100).split("val")
    probabilities = predict(ImageModel.of(network, card), [split.images])
    plain = float(-np.log(probabilities[np.arange(100), split.labels]).mean())
    assert outcome.best.val_loss == pytest.approx(plain, rel=1e-4)


def test_a_class_that_weighs_more_is_found_more_often(tmp_path):
    def recall(folder, loss):
        outcome = run(folder, SHORT.model_copy(update={"epochs": 4, "learning_rate": 0.005, "loss": loss}))
        network, card = load(folder / outcome.weights.replace("best", "last"))
        split = digits(train=300, val=100).split("val")
        answers = predict(ImageModel.of(network, card), [split.images]).argmax(1)
        return float((answers == 8).mean())

    heavy = Loss(class_weights="by-name", weight_by_class={"8": 50.0})
    assert recall(tmp_path / "heavy", heavy) > recall(tmp_path / "plain", Loss()) + 0.05


def test_nonsense_is_refused_before_a_folder_is_begun(tmp_path):
    with pytest.raises(InvalidConfig, match="no effect"):
        run(tmp_path, SHORT.model_copy(update={"optimiser": Optimiser(rho=0.5)}))
    with pytest.raises(InvalidConfig, match="an epoch has 5 batches of 64"):
        run(tmp_path, SHORT.model_copy(update={"accumulate_batches": 6}))
    with pytest.raises(Unsupported, match="float16 trains on cuda only; this training is on cpu"):
        run(tmp_path, SHORT.model_copy(update={"precision": "float16"}))
    assert not (tmp_path / "config.toml").exists()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="float16 training needs a GPU")
def test_float16_on_a_gpu_learns_and_goes_on_with_its_scale(tmp_path):
    recipe = Recipe(epochs=4, learning_rate=0.01, precision="float16", device="cuda", threads=1)
    outcome = run(tmp_path / "whole", recipe)
    assert outcome.best.val_accuracy > 0.8
    with pytest.raises(Cancelled):
        run(tmp_path / "parts", recipe, should_stop=StopAfter(12))
    again = run(tmp_path / "parts", recipe)
    assert again.best.val_accuracy == pytest.approx(outcome.best.val_accuracy, abs=0.05)
    assert "scaler.scale" in unpack(tmp_path / "parts" / "resume.safetensors")[0]
