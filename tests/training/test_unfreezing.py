"""Groups of layers open from above, learn at their own rates, and what is closed stays as it is."""

import json
import signal
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import save_file

from darkroom.errors import Cancelled
from darkroom.features import FeatureStore
from darkroom.networks import build
from darkroom.networks.libraries import load_timm
from darkroom.networks.saved import unpack
from darkroom.networks.start import NetworkStart
from darkroom.networks.weights import find_weights
from darkroom.records import Contract
from darkroom.training import EarlyStopping, Layers, Recipe
from darkroom.training.bench import prepare
from darkroom.training.epoch import train_epoch
from darkroom.training.loop import train
from darkroom.training.reporter import Reporter
from darkroom.training.run_folder import read_metrics
from darkroom.training.selection import is_done
from darkroom.training.unfreezing import Unfreezing, layer_groups, opening_epochs
from tests.networks import pretrained
from tests.training import fine_child, last_child, squares
from tests.training.digits import FACTS, MemoryRendering, MemorySplit, digits
from tests.tree import ROOT

GRADUAL = fine_child.GRADUAL
DEVICE = torch.device("cpu")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a LeNet that learnt to tell five digits."""
    folder = tmp_path_factory.mktemp("weights")
    last_child.make_weights(folder)
    return folder


@pytest.fixture(scope="module")
def start(weights):
    return NetworkStart(weights=find_weights("five", [weights]))


@pytest.fixture(scope="module")
def gradual(tmp_path_factory, start):
    """A gradual training with every epoch kept."""
    folder = tmp_path_factory.mktemp("gradual")
    recipe = GRADUAL.model_copy(update={"snapshot_every": 1})
    outcome = train(folder, rendering=digits(), recipe=recipe, seed=1, facts=FACTS, start=start)
    return folder, outcome


def tensors(folder, name):
    return unpack(folder / "checkpoints" / f"{name}.safetensors")[0]


@pytest.mark.parametrize(
    ("network", "side", "channels"),
    [
        ("lenet5", 16, 1),
        ("mobilenetv1_025", 64, 3),
        ("timm/test_vit", 160, 3),
        ("lraspp/mobilenetv2_035", 64, 3),
    ],
)
def test_every_weight_lies_in_one_group_with_the_last_layer_on_top(network, side, channels):
    built = build(network, channels=channels, size=(side, side), classes=3)
    groups = layer_groups(built, 4, (side, side, channels))
    found = [weight for group in groups for weight in group.weights]
    assert len(found) == len({id(weight) for weight in found})
    assert {id(weight) for weight in found} == {id(weight) for weight in built.parameters()}
    on_top = {id(weight) for weight in groups[0].weights}
    assert {id(weight) for weight in built.head.parameters()} <= on_top
    if not network.startswith("lraspp"):
        assert len(on_top) == len(list(built.head.parameters()))
    assert len(groups) == 5


def test_the_deepest_group_holds_what_a_picture_meets_first():
    built = build("mobilenetv1_025", channels=3, size=(64, 64), classes=3)
    groups = layer_groups(built, 3, (64, 64, 3))
    assert any(weight is built.body.conv_stem.weight for weight in groups[-1].weights)
    wide = [sum(weight.ndim > 1 for weight in group.weights) for group in groups[1:]]
    assert max(wide) - min(wide) <= 1


def test_a_network_of_few_layers_has_few_groups():
    built = build("lenet5", channels=1, size=(16, 16), classes=3)
    assert len(layer_groups(built, 32, (16, 16, 1))) == 1 + 4


def test_groups_open_from_above_and_those_of_masks_an_interval_later():
    recipe = GRADUAL.model_copy(update={"layers": Layers(open_every=3)})
    assert opening_epochs(recipe, 4, of_masks=False) == [1, 1, 4, 7]
    assert opening_epochs(recipe, 4, of_masks=True) == [1, 4, 7, 10]
    assert opening_epochs(Recipe(), 4, of_masks=False) == [1] * 4


def test_what_is_closed_stays_to_the_last_bit_and_what_opens_moves(gradual, start, weights):
    folder, _ = gradual
    given = unpack(weights / "five.safetensors")[0]
    moved = [
        {
            name
            for name, tensor in tensors(folder, f"epoch-{epoch:03d}").items()
            if not torch.equal(tensor, given[name])
        }
        for epoch in (1, 2, 3)
    ]
    layers = [{name.split(".")[0] for name in names} for names in moved]
    assert layers == [
        {"head", "dense2"},
        {"head", "dense2", "dense1"},
        {"head", "dense2", "dense1", "conv1", "conv2"},
    ] or layers == [
        {"head", "dense1", "dense2"},
        {"head", "dense1", "dense2", "conv2"},
        {"head", "dense1", "dense2", "conv2", "conv1"},
    ]


def test_the_last_layer_learns_on_features_first_and_the_run_says_so(gradual, tmp_path, start):
    folder, outcome = gradual
    said = json.loads((folder / "environment.json").read_text())["head_start"]
    assert said["epochs"] == 8
    assert 1 <= said["best_epoch"] <= 8
    bare = GRADUAL.model_copy(
        update={
            "layers": GRADUAL.layers.model_copy(update={"head_epochs": 0, "head_rate": 0.001}),
            "epochs": 3,
        }
    )
    train(tmp_path, rendering=digits(), recipe=bare, seed=1, facts=FACTS, start=start)
    assert "head_start" not in json.loads((tmp_path / "environment.json").read_text())
    assert read_metrics(folder)[0].val_loss < read_metrics(tmp_path)[0].val_loss
    assert outcome.best.val_accuracy >= said["val_accuracy"]


def test_opening_the_layers_beats_the_last_layer_alone(tmp_path, start):
    recipe = last_child.LAST.model_copy(update={"epochs": 20})
    alone = train(tmp_path / "a", rendering=digits(), recipe=recipe, seed=1, facts=FACTS, start=start)
    recipe = GRADUAL.model_copy(update={"epochs": 12, "learning_rate": 0.005})
    deeper = train(tmp_path / "b", rendering=digits(), recipe=recipe, seed=1, facts=FACTS, start=start)
    assert deeper.best.val_accuracy > alone.best.val_accuracy + 0.02


def test_each_group_learns_at_its_share_of_the_rate(tmp_path, start):
    recipe = GRADUAL.model_copy(update={"learning_rate": 0.01})
    bench = prepare(digits(), recipe, 0, FACTS, DEVICE, FeatureStore(tmp_path), start)
    train_epoch(bench, 4, Reporter(recipe, 1, None, None))
    rates = [group["lr"] for group in bench.optimiser.param_groups]
    assert rates[0] == rates[1] > 0
    assert [rate / rates[0] for rate in rates[::2]] == pytest.approx([1, 0.5, 0.25, 0.125])


def test_a_rate_decay_of_all_layers_holds_the_first_ones_back(tmp_path, start, weights):
    given = unpack(weights / "five.safetensors")[0]["conv1.weight"]
    moved = []
    for decay in (1.0, 0.1):
        recipe = Recipe(weights="five", layers=Layers(rate_decay=decay), epochs=1, threads=1, device="cpu")
        folder = tmp_path / str(decay)
        train(folder, rendering=digits(), recipe=recipe, seed=1, facts=FACTS, start=start)
        moved.append(float((tensors(folder, "last")["conv1.weight"] - given).abs().mean()))
    assert 0 < moved[1] < 0.2 * moved[0]


def photos(count=24):
    """Colour pictures of 64 px for a network with batch normalisation."""
    images = digits(count, 8, side_px=64)
    splits = {
        name: MemorySplit(images.split(name).images.repeat(3, 3), images.split(name).labels)
        for name in ("train", "val")
    }
    return MemoryRendering(**splits)


@pytest.mark.parametrize(
    ("batch_size", "statistics", "expected"),
    [(24, "auto", "learn"), (8, "auto", "keep"), (24, "keep", "keep"), (8, "learn", "learn")],
)
def test_batch_statistics_of_closed_groups_stay_and_of_open_ones_as_asked(
    tmp_path, batch_size, statistics, expected
):
    path = pretrained.made(tmp_path / "weights")
    start = NetworkStart(weights=find_weights("mobilenetv1_025.made", [path.parent]))
    facts = FACTS.model_copy(update={"contract": Contract(width_px=64, height_px=64)})
    recipe = Recipe(
        network="mobilenetv1_025",
        weights="mobilenetv1_025.made",
        train_layers="gradual",
        layers=Layers(groups=2, open_every=1, batch_statistics=statistics),
        batch_size=batch_size,
        epochs=2,
        threads=1,
        device="cpu",
    )
    bench = prepare(photos(), recipe, 0, facts, DEVICE, FeatureStore(tmp_path / "f"), start)
    before = {name: tensor.clone() for name, tensor in bench.network.state_dict().items()}
    train_epoch(bench, 1, Reporter(recipe, 1, None, None))
    after = bench.network.state_dict()
    moved = {name for name, tensor in after.items() if not torch.equal(tensor, before[name])}
    assert bench.unfreezing is not None
    assert bench.unfreezing.statistics == expected
    assert "body.conv_stem.weight" not in moved
    assert "body.bn1.running_mean" not in moved
    means = [name for name in moved if name.endswith("running_mean")]
    assert bool(means) == (expected == "learn")
    assert any(name.startswith("body.") for name in moved)


def test_for_masks_decoder_and_last_layer_begin_and_the_encoder_follows():
    recipe = Recipe(
        network="lraspp/mobilenetv2_035",
        train_layers="gradual",
        layers=Layers(groups=2, open_every=1),
        epochs=3,
        batch_size=2,
        threads=1,
        device="cpu",
    )
    built = build("lraspp/mobilenetv2_035", channels=3, size=(40, 32), classes=3)
    unfreezing = Unfreezing(layer_groups(built, 2, (40, 32, 3)), recipe, of_masks=True)
    learns = []
    for epoch in (1, 2, 3):
        built.train()
        unfreezing.begin_epoch(epoch)
        open_ = [one.requires_grad for one in built.encoder.parameters()]
        learns.append(sum(open_) / len(open_))
        assert all(one.requires_grad for one in built.head.parameters())
    assert learns[0] == 0
    assert 0 < learns[1] < learns[2] == 1


@pytest.mark.slow
def test_masks_are_trained_so_and_closed_encoder_layers_stay(tmp_path):
    torch.manual_seed(0)
    encoder = load_timm().create_model("mobilenetv2_035", num_classes=0).state_dict()
    save_file(encoder, tmp_path / "w.safetensors")
    notes = 'network = "mobilenetv2_035"\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\ninput_px = 32\n'
    (tmp_path / "w.toml").write_text(notes)
    recipe = Recipe(
        network="lraspp/mobilenetv2_035",
        weights="w",
        train_layers="gradual",
        layers=Layers(groups=2, open_every=1),
        epochs=3,
        batch_size=4,
        snapshot_every=1,
        threads=1,
        device="cpu",
    )
    start = NetworkStart(weights=find_weights("w", [tmp_path]))
    folder = tmp_path / "run"
    train(
        folder, rendering=squares.rendering(8, 4), recipe=recipe, seed=0, facts=squares.FACTS, start=start
    )
    given = {f"encoder.{name}": tensor for name, tensor in encoder.items()}
    moved = []
    for epoch in (1, 2, 3):
        found = tensors(folder, f"epoch-{epoch:03d}")
        kept = found.keys() & given.keys()  # its last layers are not those of a map
        moved.append(sum(not torch.equal(found[name], given[name]) for name in kept))
    assert moved[0] == 0
    assert 0 < moved[1] < moved[2]


def test_stopped_and_gone_on_with_it_ends_in_the_same_bits(tmp_path, weights):
    fine_child.main(tmp_path / "whole", weights)
    with pytest.raises(Cancelled):
        fine_child.main(tmp_path / "parts", weights, stop_after=70)
    fine_child.main(tmp_path / "parts", weights)
    assert "resumed" in (tmp_path / "parts" / "events.jsonl").read_text()
    check_equal(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.slow
def test_killed_and_gone_on_with_it_ends_in_the_same_bits(tmp_path, weights):
    words = [sys.executable, "-m", "tests.training.fine_child", str(tmp_path / "parts"), str(weights)]
    process = subprocess.Popen(words, cwd=ROOT)
    deadline = time.monotonic() + 300
    while not (tmp_path / "parts" / "resume.safetensors").exists():
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    fine_child.main(tmp_path / "parts", weights)
    fine_child.main(tmp_path / "whole", weights)
    check_equal(tmp_path / "whole", tmp_path / "parts")


def check_equal(whole, parts):
    for name in ("best", "last"):
        expected, found = tensors(whole, name), tensors(parts, name)
        assert all(torch.equal(expected[key], found[key]) for key in expected), name


def test_patience_begins_when_the_last_group_has_opened(gradual):
    from darkroom.training.checkpoint import Identity, Progress

    folder, _ = gradual
    recipe = GRADUAL.model_copy(
        update={
            "epochs": 20,
            "layers": Layers(groups=3, open_every=3),
            "early_stopping": EarlyStopping(patience_epochs=2),
        }
    )
    identity = Identity(recipe=recipe, seed=0, dataset_id="d", labels=("a", "b"), contract=FACTS.contract)
    points = (read_metrics(folder)[0],) * 9
    ended = [
        epoch
        for epoch in range(1, 10)
        if is_done(
            Progress(identity=identity, threads=1, history=points[:epoch], best_epoch=1, compared_epoch=1),
            recipe,
        )
    ]
    assert ended[0] == 8  # the third group opens with epoch 7: at rest for six, then two of patience
