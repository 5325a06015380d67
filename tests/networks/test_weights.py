"""Pretrained weights are found by name, with their facts; what cannot be used is refused in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from darkroom.errors import Damaged, InvalidConfig, NotFound, Unsupported
from darkroom.networks import build
from darkroom.networks.network import Network
from darkroom.networks.saved import save
from darkroom.networks.weights import (
    WeightsFacts,
    find_weights,
    list_weights,
    load_pretrained,
    survey_weights,
    weights_places,
)
from darkroom.records import Contract, ModelCard, Normalisation, now
from darkroom.settings import Settings
from tests.networks import pretrained

MADE = "mobilenetv1_025.made"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pretrained.made(tmp_path / "weights")
    return tmp_path / "weights"


def fresh(network: str = "mobilenetv1_025", *, channels: int = 3, **options: str) -> Network:
    torch.manual_seed(2)
    return build(network, channels=channels, size=(64, 64), classes=3, options=options)


def rewrite_notes(folder: Path, old: str, new: str) -> None:
    notes = folder / f"{MADE}.toml"
    text = notes.read_text()
    assert old in text
    notes.write_text(text.replace(old, new))


class TestPlaces:
    def test_are_the_projects_folder_and_then_what_the_setting_names(self, tmp_path: Path) -> None:
        named = os.pathsep.join(["/a/one.safetensors", " ", "~/two"])
        settings = Settings.read({"DARKROOM_WEIGHTS": named})
        home = Path("~/two").expanduser()
        assert weights_places(settings, tmp_path) == (
            tmp_path / "weights",
            Path("/a/one.safetensors"),
            home,
        )
        assert weights_places(Settings.read({})) == ()

    def test_can_be_one_file(self, folder: Path) -> None:
        assert find_weights(MADE, (folder / f"{MADE}.safetensors",)).network == "mobilenetv1_025"

    def test_that_come_first_win(self, folder: Path, tmp_path: Path) -> None:
        pretrained.made(tmp_path / "other", seed=5)
        first, second = (find_weights(MADE, (place,)).sha256 for place in (folder, tmp_path / "other"))
        assert first != second
        assert find_weights(MADE, (tmp_path / "other", folder)).sha256 == second
        assert [facts.sha256 for facts in list_weights((folder, tmp_path / "other"))] == [first]

    def test_may_hold_the_toml_of_a_file_in_another(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "notes").mkdir()
        (folder / f"{MADE}.toml").rename(tmp_path / "notes" / f"{MADE}.toml")
        assert find_weights(MADE, (tmp_path / "notes", folder)).input_px == 224


class TestFacts:
    def test_of_a_toml_are_read(self, folder: Path) -> None:
        facts = find_weights(MADE, (folder,))
        assert facts.normalisation == Normalisation(
            mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), source=f"weights {MADE}"
        )
        assert facts.options == {"padding": "same"}
        assert (facts.classes, facts.embedding_size) == (7, 256)
        assert facts.licence == "Apache-2.0"

    def test_in_the_files_own_metadata_are_read_too(self, folder: Path) -> None:
        path = folder / f"{MADE}.safetensors"
        metadata = {
            "network": "mobilenetv1_025",
            "mean": "[0.485, 0.456, 0.406]",
            "std": "[0.229, 0.224, 0.225]",
            "input_px": "192",
            "licence": "MIT",
            "other": "of no interest",
        }
        save_file(load_file(path), path, metadata)
        (folder / f"{MADE}.toml").unlink()
        facts = find_weights(MADE, (folder,))
        assert facts.normalisation.mean == (0.485, 0.456, 0.406)
        assert (facts.input_px, facts.licence, facts.padding) == (192, "MIT", "default")

    def test_of_a_folder_from_the_hub_are_read(self, folder: Path) -> None:
        hub = folder / "mobilenetv1_100.made_in1k"
        hub.mkdir()
        (folder / f"{MADE}.safetensors").rename(hub / "model.safetensors")
        config = {
            "architecture": "mobilenetv1_100",
            "num_classes": 1000,
            "pretrained_cfg": {
                "mean": [0.5, 0.5, 0.5],
                "std": [0.25, 0.25, 0.25],
                "input_size": [3, 160, 160],
                "license": "apache-2.0",
                "origin_url": "somewhere",
            },
        }
        (hub / "config.json").write_text(json.dumps(config))
        facts = find_weights("mobilenetv1_100.made_in1k", (folder,))
        assert (facts.network, facts.input_px, facts.classes) == ("mobilenetv1_100", 160, 1000)
        (hub / "config.json").write_text(json.dumps(config | {"architecture": "hardcorenas_a"}))
        assert find_weights(hub.name, (folder,)).network == "timm/hardcorenas_a"
        (hub / "config.json").write_text("{}")
        with pytest.raises(InvalidConfig, match=r"Cannot read the facts in .*config.json: KeyError"):
            find_weights(hub.name, (folder,))

    def test_of_weights_that_darkroom_trained_are_in_their_card(self, tmp_path: Path) -> None:
        network = fresh(padding="same")
        card = ModelCard(
            task="classification",
            labels=("a", "b", "c"),
            network="mobilenetv1_025",
            options={"padding": "same", "dropout": 0.0},
            contract=Contract(width_px=64, height_px=64, colour="rgb"),
            normalisation=Normalisation(mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6)),
            run="r-7",
            dataset="pets@2",
            licence="CC0-1.0",
            created_at=now(),
        )
        save(tmp_path / "mine.safetensors", network, card)
        facts = find_weights("mine", (tmp_path,))
        assert facts.source == "run r-7 on pets@2"
        assert facts.options == {"padding": "same"}
        assert facts.normalisation.mean == (0.1, 0.2, 0.3)
        other = fresh(padding="same")
        before = other.head.weight.clone()
        with torch.no_grad():
            for weight in other.body.parameters():
                weight.zero_()
        load_pretrained(other, facts)
        assert all(
            torch.equal(weight, network.body.state_dict()[name])
            for name, weight in other.body.state_dict().items()
        )
        assert torch.equal(other.head.weight, before)

    @pytest.mark.parametrize(
        ("old", "new", "message"),
        [
            ("padding", "paddnig", 'unknown key "paddnig". Did you mean "padding"'),
            ("network =", "# ", '"network" is missing'),
            ('padding = "same"', 'padding = "valid"', "'default' or 'same'"),
            ("std = [0.5, 0.5, 0.5]", "std = [0.5]", "one number for grey or three for RGB"),
            ("std = [0.5, 0.5, 0.5]", "std = [0.5, 0, 0.5]", "std must be above 0"),
            ("input_px = 224", "input_px = 0", "greater than or equal to 1"),
            ("mobilenetv1_025", "mobilenetv1_25", 'Did you mean "mobilenetv1_025"'),
            ("mean = [", "mean = ", "is not TOML"),
        ],
    )
    def test_that_are_wrong_are_named(self, folder: Path, old: str, new: str, message: str) -> None:
        rewrite_notes(folder, old, new)
        with pytest.raises((InvalidConfig, NotFound)) as caught:
            find_weights(MADE, (folder,))
        assert message in str(caught.value)
        assert [found.facts for found in survey_weights((folder,))] == [None]

    def test_that_are_absent_are_asked_for(self, folder: Path) -> None:
        (folder / f"{MADE}.toml").unlink()
        with pytest.raises(InvalidConfig, match=f"Write {MADE}.toml beside it") as caught:
            find_weights(MADE, (folder,))
        assert caught.value.id == "weights.no-facts"

    def test_are_listed_without_torch(self, folder: Path) -> None:
        code = (
            "import sys; from pathlib import Path; from darkroom.networks.weights import list_weights\n"
            f"found = list_weights((Path({str(folder)!r}),))\n"
            "print([facts.name for facts in found], 'torch' in sys.modules)"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert run.stdout.strip() == f"['{MADE}'] False"


class TestRefused:
    @pytest.mark.parametrize(
        "name",
        [
            "weights/mobilenetv1_025.made",
            "../mobilenetv1_025.made.safetensors",
            "C:\\weights\\mobilenetv1_025.made.pth",
            "mobilenetv1_025.made.safetensors",
            "/etc/passwd",
            "..",
            "",
        ],
    )
    def test_a_path_is_no_name(self, folder: Path, name: str) -> None:
        with pytest.raises(InvalidConfig) as caught:
            find_weights(name, (folder,))
        assert caught.value.id == "weights.path"
        assert "DARKROOM_WEIGHTS" in caught.value.hint

    @pytest.mark.parametrize("suffix", [".pth", ".bin", ".pt", ".ckpt"])
    def test_a_pickle_is_not_opened(self, folder: Path, suffix: str) -> None:
        (folder / f"old{suffix}").write_bytes(b"cos\nsystem\n(S'touch /tmp/never'\ntR.")
        for name in ("old", f"old{suffix}"):
            with pytest.raises(Unsupported, match="can run code of whoever made them"):
                find_weights(name, (folder,))

    def test_an_unknown_name_says_what_was_found_where(self, folder: Path, tmp_path: Path) -> None:
        with pytest.raises(NotFound) as caught:
            find_weights("mobilenetv1_025", (folder, tmp_path / "absent"))
        assert f'Did you mean "{MADE}"' in caught.value.message
        assert (
            f"Looked in {folder}, {tmp_path / 'absent'} (not there); found {MADE}." in caught.value.message
        )

    def test_a_cut_file_is_damaged(self, folder: Path) -> None:
        path = folder / f"{MADE}.safetensors"
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(Damaged, match="cut short"):
            find_weights(MADE, (folder,))

    def test_a_file_that_is_something_else_is_damaged(self, folder: Path) -> None:
        (folder / f"{MADE}.safetensors").write_bytes(b"no such thing")
        with pytest.raises(Damaged, match="not a safetensors file"):
            find_weights(MADE, (folder,))

    def test_a_file_whose_sha256_is_another_than_the_toml_says(self, folder: Path) -> None:
        sha256 = find_weights(MADE, (folder,)).sha256
        rewrite_notes(folder, "input_px", f'sha256 = "{sha256}"\ninput_px')
        assert find_weights(MADE, (folder,)).sha256 == sha256
        pretrained.made(folder.parent / "other", seed=9)
        (folder.parent / "other" / f"{MADE}.safetensors").rename(folder / f"{MADE}.safetensors")
        with pytest.raises(Damaged, match="is not the file that"):
            find_weights(MADE, (folder,))

    def test_a_file_that_changed_since_it_was_looked_up(self, folder: Path) -> None:
        facts = find_weights(MADE, (folder,))
        pretrained.made(folder, seed=9)
        with pytest.raises(Damaged, match="changed since it was looked up"):
            load_pretrained(fresh(), facts)
        facts.path.unlink()
        with pytest.raises(NotFound, match="are gone"):
            load_pretrained(fresh(), facts)

    def test_weights_of_another_width(self, folder: Path) -> None:
        with pytest.raises(InvalidConfig) as caught:
            load_pretrained(fresh("mobilenetv1_050"), find_weights(MADE, (folder,)))
        assert "135 have another shape, conv_stem.weight is 8×3×3×3 and should be 16×3×3×3" in str(
            caught.value
        )

    def test_weights_of_another_network(self, folder: Path) -> None:
        with pytest.raises(InvalidConfig, match=r"are absent, .* belong to no layer") as caught:
            load_pretrained(fresh("lenet5"), find_weights(MADE, (folder,)))
        assert "8 are absent, conv1.weight, conv1.bias …" in caught.value.message

    def test_weights_with_a_number_that_is_none(self, folder: Path) -> None:
        path = folder / f"{MADE}.safetensors"
        tensors = load_file(path)
        tensors["conv_stem.weight"][0, 0, 0, 0] = float("nan")
        save_file(tensors, path)
        with pytest.raises(Damaged, match=r"not finite, in conv_stem.weight"):
            load_pretrained(fresh(), find_weights(MADE, (folder,)))


class TestLoading:
    def test_fills_all_but_the_head(self, folder: Path) -> None:
        network, facts = fresh(), find_weights(MADE, (folder,))
        head = network.head.weight.clone()
        load_pretrained(network, facts)
        tensors = load_file(facts.path)
        for name, weight in network.body.state_dict().items():
            assert torch.equal(weight, tensors[name]), name
        assert torch.equal(network.head.weight, head)

    def test_of_a_file_without_a_last_layer_works_as_well(self, folder: Path) -> None:
        path = folder / f"{MADE}.safetensors"
        tensors = load_file(path)
        save_file({name: one for name, one in tensors.items() if not name.startswith("classifier")}, path)
        network = fresh()
        load_pretrained(network, find_weights(MADE, (folder,)))
        assert torch.equal(network.body.conv_stem.weight, tensors["conv_stem.weight"])

    def test_into_a_network_for_grey_adds_the_colours_up(self, folder: Path) -> None:
        facts = find_weights(MADE, (folder,))
        colour, grey = fresh().eval(), fresh(channels=1).eval()
        load_pretrained(colour, facts)
        load_pretrained(grey, facts)
        x = torch.rand(2, 1, 64, 64)
        with torch.inference_mode():
            expected, found = colour.features(x.expand(-1, 3, -1, -1)), grey.features(x)
        assert torch.allclose(found, expected, atol=1e-5)
        assert facts.normalisation_for(1).mean == (0.5,)

    def test_of_a_transformer_fits_its_places_to_another_size(self, tmp_path: Path) -> None:
        small = build("vit_tiny_patch16_224", channels=3, size=(64, 64), classes=2)
        save_file(small.body.state_dict(), tmp_path / "vit.safetensors")
        (tmp_path / "vit.toml").write_text(
            pretrained.NOTES.format(network="vit_tiny_patch16_224", classes=0).replace(
                '"same"', '"default"'
            )
        )
        large = build("vit_tiny_patch16_224", channels=3, size=(96, 64), classes=2)
        load_pretrained(large, find_weights("vit", (tmp_path,)))
        assert torch.equal(large.body.blocks[3].mlp.fc1.weight, small.body.blocks[3].mlp.fc1.weight)
        assert large.body.pos_embed.shape == (1, 1 + 6 * 4, 192)
        assert torch.allclose(large.body.pos_embed[:, 0], small.body.pos_embed[:, 0])


class TestTheRealFiles:
    @pytest.fixture
    def places(self, tmp_path: Path, shared_data: Path) -> tuple[Path, ...]:
        return (pretrained.with_notes(tmp_path / "weights", shared_data),)

    def test_are_all_listed(self, places: tuple[Path, ...]) -> None:
        assert {facts.name: facts.network for facts in list_weights(places)} == {
            name: network for name, (network, _) in pretrained.REAL.items()
        }

    @pytest.mark.parametrize("name", pretrained.REAL)
    @pytest.mark.parametrize("channels", [1, 3])
    def test_fit_their_network(self, places: tuple[Path, ...], name: str, channels: int) -> None:
        facts: WeightsFacts = find_weights(name, places)
        network = build(facts.network, channels=channels, size=(96, 96), classes=5, options=facts.options)
        load_pretrained(network, facts)
        with torch.inference_mode():
            embedding = network.eval().features(torch.randn(2, channels, 96, 96))
        assert embedding.shape == (2, facts.embedding_size)
        assert embedding.std() > 0.01

    def test_give_what_timm_gives_to_the_last_bit(
        self, places: tuple[Path, ...], shared_data: Path
    ) -> None:
        import timm

        name = "mobilenetv2_035.keras_in1k_features"
        theirs = timm.create_model("mobilenetv2_035", pad_type="same", num_classes=0).eval()
        theirs.load_state_dict(load_file(shared_data / "weights" / f"{name}.safetensors"))
        mine = fresh("mobilenetv2_035", padding="same").eval()
        load_pretrained(mine, find_weights(name, places))
        x = torch.randn(1, 3, 160, 160)
        with torch.inference_mode():
            assert torch.equal(mine.features(x), theirs(x))
