"""The main job on pictures with several labels, from the table to the bundle."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import darkroom
from darkroom.bundle import read_bundle
from darkroom.cli import main
from darkroom.errors import Invalid, InvalidConfig, NotFound
from darkroom.formats import find_format
from darkroom.networks.image_model import ImageModel
from darkroom.serving import Predictor
from tests.label_sets import LABELS, put_mosaics
from tests.operations.mask_projects import draw_shapes, without_stage
from tests.operations.test_main_job import stages, write
from tests.server.apps import client, desk


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project of mosaics through all stages but the domain check, with an .onnx file; then calibrated."""
    root = tmp_path_factory.mktemp("sets")
    put_mosaics(root / "mosaics", 160)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_THREADS", "1")
        patch.setenv("DARKROOM_WORKERS", "1")
        patch.chdir(root)
        assert main(["init", "p", "--images", "mosaics", "--clones", "2"]) == 0
        file = root / "p" / "darkroom.toml"
        write(
            file,
            epochs="12",
            batch_size="16",
            learning_rate="0.01",
            class_weights='"balanced"',
            mean_ap="0.05",
            recall="{zero = 0.0}",
            targets='["onnx"]',
        )
        without_stage(file, "domain")
        with darkroom.open(root / "p") as project:
            report = project.run()
    return root / "p", report


@pytest.fixture
def copy(made, tmp_path):
    """The finished project, moved together with its pictures."""
    shutil.copytree(made[0].parent, tmp_path / "moved", symlinks=True)
    return tmp_path / "moved" / "p"


def test_init_sees_that_a_picture_may_have_several_labels(tmp_path, monkeypatch, capsys):
    put_mosaics(tmp_path / "mosaics", 30)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "p", "--images", "mosaics"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "any number may hold for a picture" in said
    assert "a picture whose cell is empty is unknown and left out" in said
    assert f"5 labels: {', '.join(LABELS)}." in said
    text = (tmp_path / "p" / "darkroom.toml").read_text()
    assert 'task = "multi-label"' in text
    assert 'by = "val.mean_ap"' in text


def test_a_table_of_one_class_each_is_classification(tmp_path, monkeypatch):
    folder = put_mosaics(tmp_path / "mosaics", 12, unknown=0)
    rows = ["image,label", *(f"{number:03}.png,{'odd' if number % 2 else 'even'}" for number in range(12))]
    (folder / "annotations.csv").write_text("\n".join(rows))
    monkeypatch.chdir(tmp_path)
    assert main(["init", "p", "--images", "mosaics"]) == 0
    assert 'task = "multi-label"' not in (tmp_path / "p" / "darkroom.toml").read_text()


def test_all_stages_run_and_hand_over(made):
    root, report = made
    assert set(stages(report).values()) == {"done"}, [str(part) for part in report.display()]
    for place in (
        "04-dataset/test/annotations.csv",
        "06-training/r-1-r-2.html",
        "07-evaluation/r-1-r-2-test.html",
        "07-evaluation/r-1-r-2-test.json",
        "09-mobile/bundle/golden/golden.json",
        "09-mobile/parity.html",
        "report.html",
    ):
        assert (root / "deliverables" / place).exists(), place
    card = json.loads((root / "deliverables/09-mobile/bundle/model-card.json").read_text())
    assert card["task"] == "multi-label"
    assert {"val.mean_ap", "test.mean_ap", "test.exact_match", "test.macro_f1"} <= set(card["metrics"])
    parity = json.loads((root / "deliverables/09-mobile/parity.json").read_text())
    (file,) = parity["files"]
    assert (parity["task"], file["agreement"]) == ("multi-label", 1.0)
    assert file["max_abs"] < 1e-4
    assert {gate["limit"] for gate in parity["gates"]} >= {"mean_ap", "recall", "parity_agreement"}


def test_the_words_of_a_run_speak_of_label_sets(made, capsys):
    root, report = made
    words = " ".join(str(line) for line in report.display())
    assert "mean AP" in words
    assert "Mean AP over 2 clones" in words
    assert "average precision, the weakest first" in words
    with darkroom.open(root) as project:
        listed = project.model.list()
        assert all(row[5].startswith("mean AP ") and "[" in row[5] for row in listed.rows)
        (table,) = listed.display()
        assert table.columns[5] == "val mean AP"
        assert all(row[5][0].isdigit() for row in table.rows)
        shown = project.dataset.show(dataset="p@1")
        assert shown.histogram[-1][0] == "(none of them)"
        assert sum(int(cell) for cell in shown.histogram[-1][1:]) > 0
    assert main(["status", "--project", str(root)]) == 0
    assert "164 pictures, 160 with labels" in capsys.readouterr().out
    assert main(["brief", "check", "--project", str(root)]) == 0
    assert "mean AP" in capsys.readouterr().out


def test_an_epoch_is_tried_by_what_several_labels_are_judged_by(made):
    best = json.loads((made[0] / ".darkroom/runs/r-1/model-card.json").read_text())["epoch"]
    with darkroom.open(made[0]) as project:
        tried = project.model.try_epoch(run="r-1", epoch=best)
        (listed,) = (row[5] for row in project.model.list().rows if row[0] == "r-1")
    assert tried.figure == "mean AP"
    assert listed.startswith(f"mean AP {tried.value.value:.4f} ")
    assert 0 < tried.value.low <= tried.value.value <= tried.value.high <= 1
    assert tried.loss is not None
    assert [name for name, _ in tried.beside] == ["macro F1", "micro F1", "all labels right"]
    assert {row[0] for row in tried.labels} == set(LABELS)
    ranked = [float(row[2]) for row in tried.labels]
    assert ranked == sorted(ranked)
    said = [str(line) for line in tried.display() if isinstance(line, str)]
    assert "mean AP" in said[0]
    assert said[1].startswith("Given from 0.5 on: macro F1 ")


def test_pages_show_labels_and_the_worst_pictures(made):
    pages = made[0] / "deliverables"
    evaluation = (pages / "07-evaluation/r-1-r-2-test.html").read_text()
    for words in (
        "Label by label",
        "Average precision",
        "The worst pictures",
        "with none of the labels",
        "missed",
    ):
        assert words in evaluation, words
    assert "Mean AP" in (pages / "report.html").read_text()
    assert "Weakest label" in (pages / "report.html").read_text()
    training = (pages / "06-training/r-1-r-2.html").read_text()
    assert "Val mean AP" in training
    assert "whose labels are all right" in training
    readme = (pages / "09-mobile/bundle/README.txt").read_text()
    assert "sigmoid are inside" in " ".join(readme.split())
    assert "they do not sum to 1" in " ".join(readme.split())


def test_looks_for_one_class_per_picture_say_so(made):
    with darkroom.open(made[0]) as project:
        for look in (project.model.top, project.model.clusters, project.model.retrieval):
            with pytest.raises(InvalidConfig, match="multi-label"):
                look(run="r-1")


def test_a_second_run_skips_everything(copy):
    with darkroom.open(copy) as project:
        assert set(stages(project.run()).values()) == {"skipped"}


def test_the_splits_hold_every_label(made):
    with darkroom.open(made[0]) as project:
        version = project.workspace.catalogue.datasets.get("p@1")
        counts: Counter[str] = Counter()
        for split in ("train", "val", "test"):
            assert all(version.histogram[split][label] > 0 for label in LABELS)
            counts.update(version.histogram[split])
        for label in LABELS:
            assert abs(version.histogram["test"][label] - 0.2 * counts[label]) <= max(
                2, 0.05 * counts[label]
            )


def test_torch_onnx_and_the_bundle_alone_give_the_same_labels(made, capsys):
    root, _ = made
    picture = next((root / "deliverables/04-dataset/test/images").iterdir())
    with darkroom.open(root) as project:
        by_torch = project.predict(images=[picture], using="torch", run="r-1").label_sets[0]
        chosen = project.workspace.catalogue.bundles.list()[-1]
        by_onnx = project.predict(images=[picture], using="onnx").label_sets[0]
        by_run = project.predict(images=[picture], using="torch", run=chosen.run_id).label_sets[0]
        bundle = root / chosen.path
    assert by_onnx.labels == by_run.labels
    assert max(abs(by_onnx.probabilities[one] - by_run.probabilities[one]) for one in LABELS) < 1e-4
    assert by_torch.labels == tuple(one for one in LABELS if by_torch.probabilities[one] >= 0.5)
    predictor = Predictor.open(bundle)
    alone = predictor.predict_labels(picture.read_bytes())
    assert alone.labels == by_onnx.labels
    assert dict(alone.thresholds) == by_onnx.thresholds
    for ask, words in (
        (predictor.predict, "predict_labels"),
        (predictor.predict_mask, "multi-label, not masks"),
    ):
        with pytest.raises(Invalid) as error:
            ask(picture.read_bytes())
        assert words in f"{error.value} {error.value.hint}"
    assert main(["predict", str(picture), "--project", str(root), "--page"]) == 0
    said = capsys.readouterr().out
    shown = ", ".join(f"{one} {by_onnx.probabilities[one]:.4f}"[:8] for one in by_onnx.labels[:1])
    assert (shown or "none of the labels") in said
    assert (root / "deliverables/08-tuned/predictions.html").exists()


def test_golden_vectors_hold_a_probability_for_each_label(made):
    with darkroom.open(made[0]) as project:
        bundle = read_bundle(made[0] / project.workspace.catalogue.bundles.list()[-1].path)
        weights = project.workspace.runs_folder / bundle.card.run / "checkpoints" / "best.safetensors"
    from darkroom.networks.predictor import predict
    from darkroom.networks.saved import load

    answers = predict(ImageModel.of(*load(weights)), [bundle.golden.tensors])
    kept = bundle.golden.probabilities
    assert kept is not None
    assert kept.shape == (13, len(LABELS))
    assert np.abs(kept - answers).max() < 1e-5


def test_thresholds_are_chosen_on_val_kept_and_used(copy):
    with darkroom.open(copy) as project:
        before = project.model.evaluate(runs=("r-1", "r-2"), split="val")
        report = project.model.calibrate(runs=("r-1", "r-2"))
        rows = {row[0]: row for row in report.rows}
        for run in ("r-1", "r-2"):
            at_half, tuned = float(rows[run][1]), float(rows[run][2])
            assert tuned >= at_half - 1e-9
        assert {row[1] for row in report.thresholds} == set(LABELS)
        card = json.loads((copy / ".darkroom/runs/r-1/model-card.json").read_text())
        thresholds = card["operating_point"]["thresholds"]
        assert set(thresholds) == set(LABELS)
        assert card["operating_point"]["chosen_on"] == "val of p@1"
        after = project.model.evaluate(runs=("r-1", "r-2"), split="val")
        assert before.looks == after.looks  # the same answers at other thresholds: no look
        assert "at its thresholds" in " ".join(after.said)
        picture = next((copy / "deliverables/04-dataset/test/images").iterdir())
        found = project.predict(images=[picture], using="torch", run="r-1").label_sets[0]
        assert found.thresholds == pytest.approx(thresholds)
        assert found.labels == tuple(one for one in LABELS if found.probabilities[one] >= thresholds[one])


@pytest.mark.slow
def test_chosen_thresholds_leave_with_the_next_bundle(copy):
    with darkroom.open(copy) as project:
        project.model.calibrate(runs=("r-1", "r-2"))
        again = project.run()
        assert {"evaluate", "convert", "verify"} <= {
            name for name, state in stages(again).items() if state == "done"
        }
        bundle = read_bundle(copy / project.workspace.catalogue.bundles.list()[-1].path)
        assert set(bundle.card.operating_point.thresholds) == set(LABELS)
        parity = json.loads((copy / "deliverables/09-mobile/parity.json").read_text())
        assert parity["files"][0]["agreement"] == 1.0
        assert "thresholds chosen on val of p@1" in (bundle.folder / "README.txt").read_text()


def test_two_runs_are_compared_by_mean_ap(made, capsys):
    with darkroom.open(made[0]) as project:
        found = project.model.compare(first="r-1", second="r-2")
    assert found.figure == "mean AP"
    words = " ".join(str(part) for part in found.display())
    assert "whose labels are all right" in words
    assert "of the answers differ" in words


def test_what_is_about_one_class_is_refused_in_words(copy, capsys):
    with (
        darkroom.open(copy) as project,
        pytest.raises(InvalidConfig, match="mean_ap is a figure of multi-label"),
    ):
        from darkroom.operations.searching import _metric

        classification = project.workspace.catalogue.datasets.get("p@1").model_copy(
            update={"task": "classification"}
        )
        _metric(classification, "val.mean_ap")
    code = main(
        [
            *("model", "train", "--dataset", "p@1", "--recipe.loss.label-smoothing", "0.1"),
            *("--project", str(copy)),
        ]
    )
    assert code != 0
    assert "spreads one right answer" in " ".join(capsys.readouterr().err.split())


def test_runs_of_different_tasks_are_not_held_together(copy):
    draw_shapes(copy.parent / "shapes", 12)
    write(copy / "darkroom.toml", recall="{}")
    with darkroom.open(copy) as project:
        source = project.source.add(folder=str(copy.parent / "shapes"), format="png-masks")
        project.dataset.freeze(
            dataset="shapes", task="segmentation", sources=(source.source,),
            contract={"width_px": 32, "height_px": 32},
        )  # fmt: skip
        recipe = {"network": "lraspp/mobilenetv2_035", "epochs": 1, "batch_size": 4}
        recipe["schedule"] = {"warmup_epochs": 0}
        masks = project.model.train(dataset="shapes@1", recipe=recipe).run
        with pytest.raises(InvalidConfig, match="any number of labels per picture") as error:
            project.model.evaluate(runs=("r-1", masks))
        assert f"{masks}: masks" in str(error.value)


def test_labels_travel_over_http(copy):
    picture = next((copy / "deliverables/04-dataset/test/images").iterdir())
    shutil.copy(picture, copy / "photo.png")
    with desk(copy) as opened:
        answer = client(opened).post("/api/predict", json={"images": ["photo.png"], "using": "onnx"})
    assert answer.status_code == 200, answer.text
    (found,) = answer.json()["label_sets"]
    assert set(found["probabilities"]) == set(LABELS)


def test_a_lost_evaluation_is_said(copy):
    (copy / ".darkroom/runs/r-2/evaluation-test.json").unlink()
    with darkroom.open(copy) as project, pytest.raises(NotFound, match="was not evaluated on test"):
        project.report(runs=("r-1", "r-2"))


def test_the_dataset_can_be_handed_over_and_read_again(made, tmp_path):
    folder = Path(made[0]) / "deliverables/04-dataset/val"
    with darkroom.open(made[0]) as project:
        catalogue = project.workspace.catalogue
        members = {one.image_id: one.label for one in catalogue.datasets.members("p@1", "val")}
    reading = find_format("csv").read(folder)
    found = {entry.metadata["image_id"]: "|".join(entry.value.labels) for entry in reading.entries}
    assert found == members
    assert "" in found.values()
