"""Networks, pretrained weights and the user's own file, as operations of a project."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import save_file

import darkroom
from darkroom.cli import main
from darkroom.errors import InvalidConfig, NotFound, Unsupported
from darkroom.networks.custom import build_custom
from tests.networks import pretrained
from tests.networks.test_custom import TINY
from tests.operations.test_main_job import write

MADE = "mobilenetv1_025.made"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A project of coloured pictures with a frozen dataset, and weights in its folder."""
    monkeypatch.setenv("DARKROOM_THREADS", "1")
    monkeypatch.setenv("DARKROOM_WORKERS", "1")
    for number in range(40):
        for name, colour in {"blue": (40, 40, 180), "red": (180, 40, 40)}.items():
            place = tmp_path / "pictures" / name / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (40, 40), tuple(value + number for value in colour)).save(place)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "colours", "--images", "pictures", "--clones", "1"]) == 0
    write(tmp_path / "colours" / "darkroom.toml", width_px="32", height_px="32", epochs="1")
    pretrained.made(tmp_path / "colours" / "weights")
    with darkroom.open(tmp_path / "colours") as opened:
        opened.run(until="prepare")
        yield opened


def use(root: Path, **recipe: str) -> None:
    """Writes keys of the recipe of the stage that trains."""
    head, mark, tail = (root / "darkroom.toml").read_text().partition('operation = "model.clone"')
    aside = root / "tail.toml"
    aside.write_text(tail)
    write(aside, **recipe)
    (root / "darkroom.toml").write_text(head + mark + aside.read_text())
    aside.unlink()


def recipe(**more: object) -> dict[str, object]:
    return {"network": "mobilenetv1_025", "epochs": 1, "schedule": {"warmup_epochs": 0}, **more}


def card_of(project, run: str) -> dict[str, object]:
    return json.loads((project.workspace.runs_folder / run / "model-card.json").read_text())


def test_weights_are_listed_with_their_facts_and_what_is_wrong_with_others(project, capsys) -> None:
    root = project.workspace.root
    (root / "weights" / "cut.safetensors").write_bytes(b"cut")
    found = project.model.weights()
    assert [row[:2] for row in found.rows] == [(MADE, "mobilenetv1_025")]
    said = "\n".join(map(str, found.display()))
    assert f"{MADE}: for mobilenetv1_025, 224 px, mean 0.5/0.5/0.5" in said
    assert "cut.safetensors. Cannot read" in said
    assert f"Looked in {root / 'weights'}" in said


def test_a_network_is_described_with_its_weights(project) -> None:
    found = project.model.describe(dataset="colours", network="mobilenetv1_025", weights=MADE)
    assert found.weights == f"{MADE} (TensorFlow, ImageNet-1k)"
    assert found.embedding_size == 256
    assert found.layers[-1][0] == "head"


def test_the_layers_of_a_large_network_hold_all_its_parameters_and_are_shown_as_blocks(project) -> None:
    found = project.model.describe(dataset="colours", network="mobilenetv1_025", weights=MADE)
    together = sum(int(row[3].replace(",", "")) for row in found.layers)
    assert together == found.parameters
    assert not [row for row in found.layers if row[1] == "Identity"]
    (table,) = (part for part in found.display() if not isinstance(part, str))
    assert table.columns[0] == "block"
    assert len(table.rows) < 25
    assert sum(int(row[3].replace(",", "")) for row in table.rows) == found.parameters


def test_the_layers_of_a_small_network_are_shown_one_by_one(project) -> None:
    found = project.model.describe(dataset="colours", network="lenet5")
    (table,) = (part for part in found.display() if not isinstance(part, str))
    assert table.columns[0] == "layer"
    assert sum(int(row[3].replace(",", "")) for row in table.rows) == found.parameters


def test_a_training_begins_with_the_weights_and_says_so_on_its_card(project) -> None:
    trained = project.model.train(dataset="colours", recipe=recipe(weights=MADE))
    card = card_of(project, trained.run)
    assert card["weights"]["source"] == f"{MADE} (TensorFlow, ImageNet-1k)"
    assert card["weights"]["licence"] == "Apache-2.0"
    assert card["options"] == {"dropout": 0.0, "padding": "same"}
    assert card["normalisation"]["mean"] == [0.5, 0.5, 0.5]
    assert card["normalisation"]["source"] == f"weights {MADE}"
    fresh = project.model.train(dataset="colours", recipe=recipe())
    assert fresh.run != trained.run
    assert card_of(project, fresh.run)["weights"]["source"] == "random"


def test_other_bytes_under_the_same_name_are_another_run(project) -> None:
    first = project.model.train(dataset="colours", recipe=recipe(weights=MADE))
    again = project.model.train(dataset="colours", recipe=recipe(weights=MADE))
    assert (again.run, again.reused) == (first.run, True)
    pretrained.made(project.workspace.root / "weights", seed=8)
    other = project.model.train(dataset="colours", recipe=recipe(weights=MADE))
    assert (other.run == first.run, other.reused) == (False, False)


def test_a_stage_is_stale_when_its_weights_are_others(project) -> None:
    root = project.workspace.root
    use(root, network='"mobilenetv1_025"', weights=f'"{MADE}"')
    with darkroom.open(root) as changed:
        changed.run(until="train")
        assert {stage.state for stage in changed.run(until="train", explain=True).stages} == {"skipped"}
        pretrained.made(root / "weights", seed=8)
        [stage] = [one for one in changed.run(until="train", explain=True).stages if one.name == "train"]
    assert stage.state == "to do"
    assert any(f"weights {MADE}" in reason for reason in stage.why)


@pytest.mark.parametrize(
    ("wrong", "kind", "message"),
    [
        ({"weights": "absent"}, NotFound, f"found {MADE}"),
        ({"weights": "weights/" + MADE}, InvalidConfig, "not given as a path"),
        ({"weights": MADE, "network": "mobilenetv1_050"}, InvalidConfig, "and the recipe names"),
        ({"weights": MADE, "network": "lenet5"}, InvalidConfig, "are for network mobilenetv1_025"),
        ({"network": "alexnet"}, InvalidConfig, "at least 63 px"),
        ({"network": "custom"}, InvalidConfig, "go together"),
        ({"network_file": "mine.py"}, InvalidConfig, "go together"),
        ({"network": "custom", "network_file": "absent.py"}, NotFound, "there is no such file"),
        ({"network": "timm/vit_gigantic_patch14_224"}, Unsupported, "weights; training needs"),
    ],
)
def test_what_does_not_go_together_is_refused_before_there_is_a_run(
    project, monkeypatch, wrong: dict[str, str], kind: type[Exception], message: str
) -> None:
    monkeypatch.setattr("darkroom.operations.starting.memory_bytes", lambda: 8 << 30)
    with pytest.raises(kind, match=message):
        project.model.train(dataset="colours", recipe=recipe(**wrong))
    assert project.model.list().rows == ()


@pytest.mark.parametrize("look", ["suspects", "alike"])
def test_the_network_that_is_named_says_what_pictures_have_in_common(project, look: str) -> None:
    field = project.workspace.root.parent / "pictures" / "red"
    ask = project.label.suspects if look == "suspects" else partial(project.dataset.alike, field=field)
    (project.workspace.root / "mine.py").write_text(TINY)
    tiny_weights(project.workspace.root)
    named = {"network": "mobilenetv1_025", "weights": MADE}
    mine = {"network": "custom", "network_file": "mine.py", "weights": "tiny"}
    said = [ask(dataset="colours", **values).by for values in ({"network": "pixels"}, named, mine)]
    assert "the pixels themselves" in said[0]
    assert f"features of mobilenetv1_025 with {MADE}" in said[1]
    assert "features of custom with tiny" in said[2]
    with pytest.raises(InvalidConfig, match=f"without weights or a file. Received: {MADE}"):
        ask(dataset="colours", network="pixels", weights=MADE)
    project.model.train(dataset="colours", recipe=recipe(**mine, epochs=1))
    (project.workspace.root / "mine.py").unlink()  # the run has kept its own
    assert "features of custom with tiny, which r-1 began with" in ask(dataset="colours").by


def tiny_weights(root: Path) -> None:
    """Writes weights for the user's network, as a person would who had trained it elsewhere."""
    network = build_custom(code=root / "mine.py", channels=3, size=(32, 32), classes=2, options={})
    save_file(network.state_dict(), root / "weights" / "tiny.safetensors")
    notes = pretrained.NOTES.format(network="custom", classes=2)
    (root / "weights" / "tiny.toml").write_text(notes.replace('padding = "same"\n', ""))


class TestTheUsersNetwork:
    @pytest.fixture
    def trained(self, project) -> str:
        (project.workspace.root / "mine.py").write_text(TINY)
        wanted = recipe(network="custom", network_file="mine.py")
        return project.model.train(dataset="colours", recipe=wanted).run

    def test_is_trained_evaluated_and_asked_from_the_runs_folder(self, project, trained: str) -> None:
        root = project.workspace.root
        (root / "mine.py").unlink()
        assert (root / ".darkroom/runs" / trained / "network.py").read_text() == TINY
        assert (root / "deliverables/06-training" / trained / "network.py").read_text() == TINY
        assert (
            'network_file = "network.py"' in (root / ".darkroom/runs" / trained / "config.toml").read_text()
        )
        project.model.evaluate(runs=(trained,), split="val")
        answer = project.predict(
            images=(root.parent / "pictures" / "red" / "3.png",), run=trained, using="torch"
        )
        assert answer.images[0].label in {"red", "blue"}

    @pytest.mark.slow
    def test_leaves_as_onnx(self, project, trained: str) -> None:
        project.export.convert(run=trained, targets=("onnx",))
        project.export.verify()
        [bundle] = project.workspace.catalogue.bundles.list()
        assert bundle.manifest.run == trained

    def test_is_another_run_when_the_file_changes_and_the_same_when_it_moves(
        self, project, trained
    ) -> None:
        root = project.workspace.root
        (root / "mine.py").rename(root / "moved.py")
        wanted = recipe(network="custom", network_file="moved.py")
        assert project.model.train(dataset="colours", recipe=wanted).run == trained
        (root / "moved.py").write_text(TINY.replace("stride=2", "stride=4"))
        assert project.model.train(dataset="colours", recipe=wanted).run != trained

    def test_that_fails_is_named_by_the_users_file_and_leaves_no_run(self, project) -> None:
        path = project.workspace.root / "mine.py"
        path.write_text("import nothing_of_that_name\n")
        with pytest.raises(InvalidConfig, match=f"{path}, line 1 `import nothing_of_that_name`"):
            project.model.train(dataset="colours", recipe=recipe(network="custom", network_file="mine.py"))
        assert project.model.list().rows == ()
