"""Networks for masks: an answer for each pixel, pretrained encoders, and what they refuse."""

import builtins

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from darkroom.errors import InvalidConfig, MissingExtra, NotFound, Unsupported
from darkroom.networks import NETWORKS, build, find
from darkroom.networks.image_model import ImageModel
from darkroom.networks.start import NetworkStart
from darkroom.networks.weights import find_weights
from darkroom.records import Normalisation

NAME = "lraspp/mobilenetv2_035"
HALF = Normalisation(mean=(0.5,) * 3, std=(0.5,) * 3)
FACTS = 'network = "mobilenetv2_035"\nmean = [0.5, 0.5, 0.5]\nstd = [0.5, 0.5, 0.5]\ninput_px = 96\n'


def made(name=NAME, size=(64, 96), classes=3, **options):
    torch.manual_seed(1)
    return build(name, channels=3, size=size, classes=classes, options=options).eval()


@pytest.fixture
def weights(tmp_path):
    """Random weights of a whole network of timm, classifier and all."""
    torch.manual_seed(5)
    whole = build("mobilenetv2_035", channels=3, size=(96, 96), classes=10)
    tensors = {**whole.body.state_dict(), "classifier.weight": torch.zeros(10, 1280)}
    save_file(tensors, tmp_path / "mine.safetensors")
    (tmp_path / "mine.toml").write_text(FACTS)
    return find_weights("mine", [tmp_path]), whole


@pytest.mark.parametrize("size", [(64, 96), (70, 45), (288, 192)])
def test_the_model_that_leaves_the_house_gives_probabilities_for_each_pixel(size):
    model = ImageModel(made(size=size), HALF, with_embedding=True).eval()
    images = torch.randint(0, 256, (2, *size, 3), dtype=torch.uint8)
    with torch.inference_mode():
        probabilities, embedding = model(images)
    assert probabilities.shape == (2, *size, 3)
    assert torch.allclose(probabilities.sum(3), torch.ones(2, *size), atol=1e-5)
    assert embedding.shape == (2, find(NAME).embedding_size)


def test_the_answer_is_the_heads_stretched_bilinearly():
    network, x = made(), torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        small = network.head(network.features(x))
        expected = functional.interpolate(small, size=(64, 96), mode="bilinear", align_corners=False)
        assert small.shape == (1, 3, 8, 12)
        assert torch.equal(network(x), expected)


def test_one_last_layer_computes_what_two_added_ones_do():
    """As in the paper: each branch has a last layer of its own, and their answers are added."""
    network, x = made(), torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        low, high = network.encoder(x)
        seen = network.decoder.project(high) * network.decoder.weigh(high)
        seen = functional.interpolate(seen, size=low.shape[2:], mode="bilinear", align_corners=False)
        weight, bias = network.head.weight, network.head.bias
        both = functional.conv2d(seen, weight[:, :128]) + functional.conv2d(low, weight[:, 128:], bias)
        assert torch.allclose(network.head(network.features(x)), both, atol=1e-5)
    assert low.shape[2:] == (8, 12)  # 1/8 of the sides
    assert high.shape[2:] == (4, 6)  # 1/16, where the network itself would go on to 1/32


@pytest.mark.parametrize("name", [NAME, "unet/mobilenetv2_035"])
def test_an_encoder_takes_the_weights_of_the_whole_network(weights, name):
    facts, whole = weights
    network = NetworkStart(weights=facts).network(name, channels=3, size=(64, 64), classes=2, options={})
    ours = network.timm_layers.state_dict()
    assert ours
    assert all(torch.equal(tensor, whole.body.state_dict()[key]) for key, tensor in ours.items())


def test_grey_pictures_take_weights_for_colour(weights):
    facts, whole = weights
    network = NetworkStart(weights=facts).network(NAME, channels=1, size=(64, 64), classes=2, options={})
    first = network.timm_layers.conv_stem.weight
    assert torch.allclose(first, whole.body.conv_stem.weight.sum(1, keepdim=True))


def test_weights_of_another_network_are_refused(weights):
    with pytest.raises(InvalidConfig, match="are for network mobilenetv2_035"):
        NetworkStart(weights=weights[0]).network(
            "lraspp/resnet18", channels=3, size=(64, 64), classes=2, options={}
        )


def test_weights_with_strange_arrays_are_refused(weights, tmp_path):
    tensors = {**build("mobilenetv2_035", channels=3, size=(96, 96), classes=2).body.state_dict()}
    save_file({**tensors, "blocks.99.weight": torch.zeros(2)}, tmp_path / "odd.safetensors")
    (tmp_path / "odd.toml").write_text(FACTS)
    with pytest.raises(InvalidConfig, match=r"1 belong to no layer, blocks\.99\.weight"):
        NetworkStart(weights=find_weights("odd", [tmp_path])).network(
            NAME, channels=3, size=(64, 64), classes=2, options={}
        )


def test_the_encoder_at_rest_keeps_weights_and_batch_statistics():
    network = made().train()
    network.rest_encoder()
    before = {name: tensor.clone() for name, tensor in network.encoder.state_dict().items()}
    optimiser = torch.optim.SGD([w for w in network.parameters() if w.requires_grad], lr=0.1)
    network.train()(torch.rand(2, 3, 64, 96)).sum().backward()
    optimiser.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.encoder.state_dict().items())
    assert not any(
        layer.training for layer in network.encoder.modules() if isinstance(layer, nn.BatchNorm2d)
    )
    assert network.decoder.project[1].training


def test_dropout_sets_maps_to_zero_while_training_only():
    network, x = made(dropout=0.5), torch.rand(1, 3, 64, 96)
    network.decoder.dropout.train()
    shares = (network.features(x) == 0).all((2, 3)).float().mean()
    assert shares > 0.2
    assert torch.equal(network.eval()(x), made()(x))


def test_any_other_encoder_of_timm_is_measured():
    entry = find("lraspp/mobilenetv3_small_050")
    assert (entry.tasks, entry.embedding_size) == (("segmentation",), made(entry.name).head.in_channels)
    assert "padding" not in entry.options or entry.options["padding"].default == "default"


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("lraspp/mobilenetv2_053", NotFound, 'Did you mean "lraspp/mobilenetv2_0'),
        ("lraspp/vit_tiny_patch16_224", Unsupported, "cannot be an encoder for masks|gives maps of"),
        ("lrasp/mobilenetv2_035", NotFound, "Did you mean"),
        ("unet/", NotFound, "No network"),
    ],
)
def test_an_encoder_that_cannot_be_is_refused_in_words(name, kind, said):
    with pytest.raises(kind, match=said):
        find(name)


def test_without_the_library_it_is_said_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def absent(name, *rest):
        if name == "segmentation_models_pytorch":
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(MissingExtra, match="segmentation-models-pytorch") as caught:
        made("unet/resnet18")
    assert "darkroom[segmentation]" in caught.value.hint
    made(NAME)  # ours needs it not


@pytest.mark.parametrize(
    "name", [n for n, e in NETWORKS.items() if "segmentation" in e.tasks], ids=lambda name: name
)
@pytest.mark.slow
def test_each_network_learns_from_one_step(name):
    network = build(name, channels=3, size=(64, 64), classes=2).train()
    x = torch.rand(4, 3, 64, 64)
    masks = (x.mean(1) > 0.5).long()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    losses = []
    for _ in range(4):
        loss = functional.cross_entropy(network(x), masks)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]
