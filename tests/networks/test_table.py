"""The table of networks: its facts are measured, and what it cannot build it refuses in words."""

import subprocess
import sys
from functools import cache

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from darkroom.errors import InvalidConfig, NotFound, Unsupported
from darkroom.networks import NETWORKS, NetworkEntry, build, find
from darkroom.networks.table import library_of

LIGHT = ("lenet5", "mobilenetv1_025", "mobilenetv3_small_050", "lraspp/mobilenetv2_035")
"""Networks that are built with real weights in every run; the others only in the long one."""

ALL = [pytest.param(name, marks=() if name in LIGHT else pytest.mark.slow) for name in NETWORKS]


def built(name):
    entry = find(name)
    height, width, channels = entry.typical_input
    return build(name, channels=channels, size=(height, width), classes=entry.typical_classes)


def blank(name, count=1):
    height, width, channels = find(name).typical_input
    return torch.zeros(count, channels, height, width)


def answered(name, count, classes, size):
    """The shape of an answer: one number per class, or per class and pixel."""
    return (count, classes, *size) if "segmentation" in find(name).tasks else (count, classes)


@cache
def on_paper(name):
    """The network without memory for its weights, and the operations of one picture."""
    with torch.device("meta"):
        network, x = built(name).eval(), blank(name)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(x)
    return network, counter.get_total_flops()


@pytest.mark.parametrize("name", NETWORKS)
class TestEveryNetworkOnPaper:
    def test_has_the_parameters_that_the_table_says(self, name):
        assert on_paper(name)[0].parameter_count == find(name).parameters

    def test_takes_the_operations_that_the_table_says(self, name):
        assert on_paper(name)[1] == find(name).flops

    def test_gives_an_embedding_of_the_length_that_the_table_says(self, name):
        network = on_paper(name)[0]
        embedding = network.embedding(network.features(blank(name, 3).to("meta")))
        assert embedding.shape == (3, find(name).embedding_size)

    def test_gives_one_number_per_class(self, name):
        answer = on_paper(name)[0](blank(name, 3).to("meta"))
        assert answer.shape == answered(name, 3, find(name).typical_classes, find(name).typical_input[:2])

    def test_takes_its_smallest_input_and_refuses_a_smaller_one(self, name):
        side = find(name).smallest_input_px
        with torch.device("meta"):
            network = build(name, channels=3, size=(side, side), classes=2).eval()
            answer = network(torch.zeros(1, 3, side, side))
            assert answer.shape == answered(name, 1, 2, (side, side))
        with pytest.raises(InvalidConfig, match=f"at least {side} px"):
            build(name, channels=3, size=(side, side - 1), classes=2)

    def test_takes_grey_pictures_that_are_higher_than_wide(self, name):
        side = max(64, find(name).smallest_input_px)
        with torch.device("meta"):
            network = build(name, channels=1, size=(side + 32, side), classes=2).eval()
            answer = network(torch.zeros(1, 1, side + 32, side))
            assert answer.shape == answered(name, 1, 2, (side + 32, side))

    def test_takes_every_option_that_the_table_says(self, name):
        options = {"dropout": 0.3}
        if "padding" in find(name).options:
            options["padding"] = "same"
        with torch.device("meta"):
            network = build(name, channels=3, size=(64, 64), classes=2, options=options)
            answer = network.eval()(torch.zeros(1, 3, 64, 64))
            assert answer.shape == answered(name, 1, 2, (64, 64))

    def test_names_licences_that_a_company_may_use(self, name):
        assert find(name).licence in {"Apache-2.0", "BSD-3-Clause", "MIT"}
        assert find(name).source

    def test_names_published_weights_that_a_company_may_use(self, name):
        import timm

        for tag in find(name).weights:
            assert timm.get_pretrained_cfg(tag).license in {"apache-2.0", "bsd-3-clause", "mit"}


@pytest.mark.parametrize("name", ALL)
class TestEveryNetwork:
    def test_answers_the_same_from_features_and_head_as_at_once(self, name):
        network = built(name).eval()
        x = torch.rand_like(blank(name, 2))
        with torch.inference_mode():
            size = find(name).typical_input[:2]
            assert torch.equal(network(x), network.answer(network.features(x), size))

    def test_starts_with_the_weights_that_the_seed_decides(self, name):
        states = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            with torch.inference_mode():
                states.append(torch.cat([weight.flatten()[:1000] for weight in built(name).parameters()]))
        assert torch.equal(states[0], states[1])
        assert not torch.equal(states[0], states[2])


def test_timms_own_forward_and_ours_are_the_same():
    import timm

    mine = build("mobilenetv3_small_050", channels=3, size=(64, 64), classes=5).eval()
    theirs = timm.create_model("mobilenetv3_small_050", num_classes=5).eval()
    theirs.load_state_dict(
        {f"classifier.{name}": weight for name, weight in mine.head.state_dict().items()}
        | mine.body.state_dict()
    )
    x = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(mine(x), theirs(x))


def test_padding_same_pads_as_tensorflow_does():
    plain, same = (
        build("mobilenetv1_025", channels=3, size=(64, 64), classes=2, options={"padding": padding}).eval()
        for padding in ("default", "same")
    )
    same.load_state_dict(plain.state_dict())
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert not torch.equal(plain(x), same(x))
        # TensorFlow adds to a stride of 2 on an even side one row below and none above.
        stem = torch.nn.functional.pad(x, (0, 1, 0, 1))
        expected = torch.nn.functional.conv2d(stem, same.body.conv_stem.weight, stride=2)
        assert torch.allclose(same.body.conv_stem(x), expected, atol=1e-6)


@pytest.mark.parametrize(
    "size", [(12, 12), (13, 40), (28, 28), (32, 32), (55, 55), (56, 56), (64, 100), (224, 224)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_lenet5_takes_any_size_and_its_dense_layers_stay_small(size, channels):
    network = build("lenet5", channels=channels, size=size, classes=7)
    assert network(torch.zeros(2, channels, *size)).shape == (2, 7)
    assert network.parameter_count < 900_000


def test_lenet5_in_colour_at_28_px_differs_only_in_its_first_layer():
    grey = build("lenet5", channels=1, size=(28, 28), classes=10)
    colour = build("lenet5", channels=3, size=(28, 28), classes=10)
    assert colour.parameter_count - grey.parameter_count == 2 * 6 * 25


@pytest.mark.parametrize("name", LIGHT)
def test_dropout_changes_answers_while_training_only(name):
    network = build(name, channels=1, size=(32, 32), classes=10, options={"dropout": 0.5})
    x = torch.rand(4, 1, 32, 32)
    assert not torch.equal(network.train()(x), network(x))
    assert torch.equal(network.eval()(x), network(x))


class TestAnyOtherNetworkOfTimm:
    def test_is_measured_when_it_is_named(self):
        entry = find("timm/test_efficientnet")
        assert (
            entry.parameters
            == build("timm/test_efficientnet", channels=3, size=(64, 64), classes=1000).parameter_count
        )
        assert entry.typical_input == (160, 160, 3)
        assert entry.embedding_size == 256
        assert set(entry.options) == {"dropout", "padding"}
        assert entry.weights == ("test_efficientnet.r160_in1k",)

    def test_has_the_smallest_input_that_it_really_takes(self):
        assert find("timm/inception_v3").smallest_input_px == 75

    def test_without_an_option_refuses_it(self):
        with pytest.raises(InvalidConfig, match='no option "padding". Known: dropout'):
            build("timm/resnet10t", channels=3, size=(64, 64), classes=2, options={"padding": "same"})

    def test_with_a_fixed_input_is_built_for_the_size_that_is_asked(self):
        with torch.device("meta"):
            network = build("timm/vit_tiny_patch16_224", channels=3, size=(96, 64), classes=2)
            assert network.eval()(torch.zeros(1, 3, 96, 64)).shape == (1, 2)

    def test_that_has_two_heads_is_refused(self):
        with pytest.raises(Unsupported, match="does not end in one dense layer"):
            find("timm/levit_128s")

    def test_misspelt_is_refused_with_the_nearest_name(self):
        with pytest.raises(NotFound, match='Did you mean "timm/mobilenetv3_small_100"'):
            find("timm/mobilenetv3_smal")

    def test_with_a_tag_is_refused_and_the_tag_is_explained(self):
        with pytest.raises(NotFound, match="A tag after a dot names weights"):
            find("timm/resnet18.a1_in1k")


def test_an_unknown_network_is_refused_with_the_nearest_name():
    with pytest.raises(NotFound, match='Did you mean "lenet5"'):
        build("lenet", channels=1, size=(28, 28), classes=10)


def test_an_unknown_option_is_refused_with_the_nearest_name():
    with pytest.raises(InvalidConfig, match='Did you mean "dropout"'):
        build("lenet5", channels=1, size=(28, 28), classes=10, options={"droput": 0.5})


@pytest.mark.parametrize("value", [-0.1, 0.95, "much"])
def test_an_option_out_of_bounds_is_refused(value):
    with pytest.raises(InvalidConfig, match="expected 0 to 0.9"):
        build("lenet5", channels=1, size=(28, 28), classes=10, options={"dropout": value})


def test_a_word_that_an_option_does_not_know_is_refused():
    with pytest.raises(InvalidConfig, match="expected default or same. Received: 'valid'"):
        build("mobilenetv1_025", channels=1, size=(32, 32), classes=2, options={"padding": "valid"})


def test_the_table_the_recipe_and_the_weights_are_read_without_torch():
    code = (
        "import darkroom.networks, darkroom.networks.weights, darkroom.training, sys\n"
        "print({'torch', 'timm', 'torchvision'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


@pytest.mark.parametrize("entry", NETWORKS.values(), ids=lambda entry: entry.name)
def test_the_package_whose_code_a_network_is_stands_in_the_table(entry: NetworkEntry) -> None:
    module = entry.build.partition(":")[0].rpartition(".")[2]
    package = {"timm_network": ("timm",), "torchvision_network": ("torchvision",)}.get(module, ())
    assert library_of(entry.name) == package


def test_of_a_network_that_is_not_in_the_table_the_package_is_known_unloaded() -> None:
    assert library_of("timm/resnet18") == ("timm",)
    assert library_of("custom") == library_of("no such") == ()
