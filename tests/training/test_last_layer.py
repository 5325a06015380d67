"""The last layer trained on features: as good as the usual classifier, and saved as the whole network."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from darkroom.errors import Cancelled, InvalidConfig
from darkroom.features import FeatureStore
from darkroom.networks.image_model import ImageModel
from darkroom.networks.predictor import predict, predict_with_embedding
from darkroom.networks.saved import load, unpack
from darkroom.networks.start import NetworkStart
from darkroom.networks.weights import find_weights
from darkroom.training import Augment, EarlyStopping
from darkroom.training.loop import train
from darkroom.training.run_folder import read_metrics
from tests.training import last_child
from tests.training.digits import FACTS, MemorySplit, digits
from tests.tree import ROOT

LAST = last_child.LAST
VIEWS = last_child.VIEWS


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a LeNet that learnt to tell five digits, and so saw nothing of the other five."""
    folder = tmp_path_factory.mktemp("weights")
    last_child.make_weights(folder)
    return folder


@pytest.fixture(scope="module")
def start(weights):
    return NetworkStart(weights=find_weights("five", [weights]))


def trained(folder, start, recipe=LAST, rendering=None, **more):
    given = {"seed": 1, "facts": FACTS, "start": start, **more}
    return train(folder, rendering=rendering or digits(), recipe=recipe, **given)


def body(folder, name="best"):
    tensors = unpack(folder / "checkpoints" / f"{name}.safetensors")[0]
    return {key: tensor for key, tensor in tensors.items() if not key.startswith("head.")}


def test_the_feature_part_stays_as_the_weights_give_it(tmp_path, start, weights):
    trained(tmp_path, start)
    given, _ = unpack(weights / "five.safetensors")
    for name, tensor in body(tmp_path).items():
        assert torch.equal(tensor, given[name]), name


def test_the_saved_network_answers_from_pixels_as_the_layer_did_on_features(tmp_path, start):
    outcome = trained(tmp_path, start)
    val = digits().split("val")
    network, card = load(tmp_path / "checkpoints" / "best.safetensors")
    probabilities = predict(ImageModel.of(network, card), [val.images])
    accuracy = float((probabilities.argmax(1) == val.labels).mean())
    loss = float(-np.log(probabilities[np.arange(len(val)), val.labels]).mean())
    assert accuracy == pytest.approx(outcome.best.val_accuracy, abs=1e-9)
    assert loss == pytest.approx(outcome.best.val_loss, rel=1e-4)
    assert card.weights.source.startswith("five")


def test_it_is_as_good_as_logistic_regression_on_the_same_features(tmp_path, start):
    rendering = digits(900, 200)
    bunch = digits(1797, 0).split("train")
    test = MemorySplit(bunch.images[1100:], bunch.labels[1100:])
    trained(tmp_path, start, LAST.model_copy(update={"epochs": 60, "learning_rate": 0.3}), rendering)
    network, card = load(tmp_path / "checkpoints" / "best.safetensors")
    model = ImageModel.of(network, card)
    train_split = rendering.split("train")
    known = predict_with_embedding(model, [train_split.images])[1]
    probabilities, asked = predict_with_embedding(model, [test.images])
    usual = LogisticRegression(max_iter=2000).fit(known, train_split.labels).score(asked, test.labels)
    assert (probabilities.argmax(1) == test.labels).mean() >= usual - 0.01


def test_clones_compute_features_once(tmp_path, start):
    store = FeatureStore(tmp_path / "features")
    trained(tmp_path / "a", start, VIEWS, features=store)
    files = sorted((tmp_path / "features").rglob("*.rows"))
    assert len(list((tmp_path / "features").glob("*/key.json"))) == VIEWS.feature_views
    before = [path.stat().st_mtime_ns for path in files]
    trained(tmp_path / "b", start, VIEWS, features=store, seed=2)
    assert sorted((tmp_path / "features").rglob("*.rows")) == files
    assert [path.stat().st_mtime_ns for path in files] == before
    heads = [unpack(tmp_path / run / "checkpoints/best.safetensors")[0]["head.weight"] for run in "ab"]
    assert not torch.equal(*heads)


def test_the_same_seed_gives_the_same_bits_wherever_the_features_came_from(tmp_path, start):
    trained(tmp_path / "a", start, VIEWS)
    trained(tmp_path / "b", start, VIEWS, features=FeatureStore(tmp_path / "features"))
    first, second = (unpack(tmp_path / run / "checkpoints/best.safetensors")[0] for run in "ab")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_view_of_a_picture_does_not_depend_on_the_others(tmp_path, start):
    whole, part = digits(300, 100), digits(40, 100)
    trained(tmp_path / "a", start, VIEWS, whole, features=FeatureStore(tmp_path / "x"))
    trained(tmp_path / "b", start, VIEWS, part, features=FeatureStore(tmp_path / "y"))
    names = [path.parent.name for path in sorted((tmp_path / "x").glob("*/key.json"))]
    assert names == [path.parent.name for path in sorted((tmp_path / "y").glob("*/key.json"))]
    for name in names:
        ours, theirs = (rows_of(tmp_path / store / name) for store in "xy")
        for image_id in part.split("train").image_ids:
            assert np.array_equal(ours[image_id], theirs[image_id])


def rows_of(folder):
    """Returns image → vector, over all files of one key."""
    from darkroom.features.part import read_part

    size = json.loads((folder / "key.json").read_text())["size"]
    found = {}
    for path in folder.glob("*.rows"):
        part = read_part(path, size=size)
        found.update(zip(part.image_ids, part.rows(), strict=True))
    return found


def test_views_of_a_picture_differ_and_the_first_is_the_picture_itself(tmp_path, start):
    trained(tmp_path / "a", start, VIEWS, digits(40, 100), features=FeatureStore(tmp_path / "x"))
    trained(tmp_path / "b", start, LAST, digits(40, 100), features=FeatureStore(tmp_path / "y"))
    keys = {json.loads(p.read_text())["view"]: p.parent for p in (tmp_path / "x").glob("*/key.json")}
    assert sorted(keys) == [0, 1, 2]
    first = digits(40, 100).split("train").image_ids[0]
    by_view = [rows_of(keys[view])[first] for view in range(3)]
    assert len({row.tobytes() for row in by_view}) == 3
    [plain] = (tmp_path / "y").glob("*/key.json")
    assert plain.parent.name == keys[0].name


def test_a_stopped_computation_of_features_goes_on(tmp_path, start):
    stop_after = iter([False] * 4 + [True] * 1000)
    store = FeatureStore(tmp_path / "features", should_stop=lambda: next(stop_after))
    with pytest.raises(Cancelled, match="those are kept"):
        trained(tmp_path / "run", start, features=store)
    told = []
    again = FeatureStore(tmp_path / "features", on_done=lambda done, total: told.append(total))
    assert trained(tmp_path / "run", start, features=again).epochs == LAST.epochs
    assert told[0] == 600 - 4 * 2


def test_early_stopping_and_metrics_are_those_of_any_training(tmp_path, start):
    recipe = LAST.model_copy(update={"epochs": 200, "early_stopping": EarlyStopping(patience_epochs=3)})
    outcome = trained(tmp_path, start, recipe)
    assert outcome.stopped_early
    assert len(read_metrics(tmp_path)) == outcome.epochs
    assert (tmp_path / "augmentation.png").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": ""}, "without pretrained weights"),
        ({"feature_views": 3}, "changes nothing"),
        ({"augment": Augment(shift=0.1)}, "changes pictures"),
        ({"train_layers": "all", "feature_views": 3}, "no effect"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, start, changes, message):
    with pytest.raises(InvalidConfig, match=message):
        trained(tmp_path, start, LAST.model_copy(update=changes))


@pytest.mark.slow
def test_killed_again_and_again_it_ends_in_the_same_bits(tmp_path, weights):
    whole = tmp_path / "whole"
    last_child.main(whole, weights)
    cut = tmp_path / "cut"
    for delay_s in (0.1, 0.4):
        command = [sys.executable, "-m", "tests.training.last_child", str(cut), str(weights)]
        process = subprocess.Popen(command, cwd=ROOT)
        events = cut / "events.jsonl"
        size = events.stat().st_size if events.exists() else 0
        deadline = time.monotonic() + 60
        while not (events.exists() and events.stat().st_size > size):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
    last_child.main(cut, weights)
    for name in ("best", "last"):
        got, expected = (unpack(run / "checkpoints" / f"{name}.safetensors")[0] for run in (cut, whole))
        assert all(torch.equal(got[key], expected[key]) for key in expected), name
    assert "resumed" in (cut / "events.jsonl").read_text()


def test_a_head_that_is_not_linear_is_trained_on_plain_features(start):
    from darkroom.training.last_layer import LastLayer

    network = start.network("lenet5", channels=1, size=(16, 16), classes=10, options={"dropout": 0.0})
    network.head = torch.nn.Sequential(torch.nn.Linear(84, 20), torch.nn.ReLU(), torch.nn.Linear(20, 10))
    layer = LastLayer(network, np.full(84, 3.0), np.full(84, 7.0)).eval()
    features = torch.rand(5, 84)
    assert torch.equal(layer(features), network.head(features))
    assert layer.weights(network).keys() == network.state_dict().keys()


@pytest.mark.parametrize("bias", [True, False])
def test_what_a_linear_head_learnt_is_folded_into_the_weights_it_has(start, bias):
    from darkroom.training.last_layer import LastLayer

    network = start.network("lenet5", channels=1, size=(16, 16), classes=10, options={"dropout": 0.0})
    network.head = torch.nn.Linear(84, 10, bias=bias)
    generator = np.random.default_rng(0)
    layer = LastLayer(network, generator.normal(3, 1, 84), generator.uniform(0.5, 2, 84)).eval()
    learnt, features = layer.weights(network), torch.rand(5, 84)
    assert learnt.keys() == network.state_dict().keys()
    answers = layer(features)
    network.load_state_dict(learnt)
    torch.testing.assert_close(network.head(features), answers, rtol=1e-4, atol=1e-5)
    goes_on = LastLayer(network, layer.centre.numpy(), layer.scale.numpy(), learnt=True).eval()
    torch.testing.assert_close(goes_on(features), answers, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("normalisation", ["auto", "mean-std", "mean-pixel", "mean-image", "none"])
def test_whoever_asks_for_the_features_of_a_training_finds_them(tmp_path, start, normalisation):
    from darkroom.training.last_layer import embedders, feature_network

    recipe, store = VIEWS.model_copy(update={"normalisation": normalisation}), FeatureStore(tmp_path / "x")
    rendering, contract = digits(40, 10), FACTS.contract
    trained(tmp_path / "a", start, recipe, rendering, features=store)
    split = rendering.split("train")
    network, found = feature_network(recipe, contract, len(FACTS.labels), start, split)
    for embedder in embedders(network, recipe, contract, found, start):
        assert store.missing(split.image_ids, embedder) == 0


def test_another_dropout_computes_no_features_again(tmp_path, start):
    store = FeatureStore(tmp_path / "features")
    for dropout in (0.0, 0.3):
        recipe = LAST.model_copy(update={"dropout": dropout, "epochs": 2})
        trained(tmp_path / f"{dropout}", start, recipe, digits(40, 10), features=store)
    assert len(list((tmp_path / "features").glob("*/key.json"))) == 1


def test_features_that_do_not_fit_into_memory_are_gathered_to_the_same_rows(tmp_path, start):
    from darkroom.training.last_layer import FeatureRows, embedders, feature_network

    split = digits(40, 10).split("train")
    network, found = feature_network(VIEWS, FACTS.contract, 10, start, split)
    store = FeatureStore(tmp_path / "features")
    tables = [
        store.of(split, embedder) for embedder in embedders(network, VIEWS, FACTS.contract, found, start)
    ]
    rows, gathered = (
        FeatureRows(tables, split.labels, torch.device("cpu"), seed=3, most_bytes=most)
        for most in (1 << 30, 0)
    )
    chosen = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    seen = []
    for epoch in (1, 2, 3):
        for one in (rows, gathered):
            one.begin_epoch(epoch)
        values, labels = rows.batch(chosen)
        assert torch.equal(values, gathered.batch(chosen)[0])
        assert labels.tolist() == split.labels[chosen.numpy()].tolist()
        seen.append(values)
    every = torch.stack(seen).sort(0).values  # over as many epochs as views, each picture in each view
    stacked = torch.stack([torch.from_numpy(table.array) for table in tables])[:, chosen].sort(0).values
    assert torch.equal(every, stacked)
