"""The main job on real digits, stage by stage: what is handed over, what is skipped, what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

import darkroom
from darkroom.cli import main
from darkroom.errors import InvalidImage, NotFound


def write(file: Path, **changes: str) -> None:
    """Replaces the value of keys in a darkroom.toml; a key that is commented out is set."""
    text = file.read_text("utf-8")
    for key, value in changes.items():
        text, count = re.subn(rf"(?m)^(# )?{key} =.*$", f"{key} = {value}", text, count=1)
        assert count == 1, key
    file.write_text(text, "utf-8")


def put_digits(folder: Path, count: int = 240) -> None:
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits(n_class=3)
    for number in range(count):
        place = folder / f"digit {digits.target[number]}" / f"{number:03d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((digits.images[number] * 15.9).astype("uint8")).save(place)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A project through all stages, with one broken file and one picture in two classes."""
    root = tmp_path_factory.mktemp("job")
    put_digits(root / "pictures")
    (root / "pictures" / "digit 0" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n cut")
    twice = sorted((root / "pictures" / "digit 1").iterdir())[0]
    shutil.copy(twice, root / "pictures" / "digit 2" / "twice.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DARKROOM_THREADS", "1")
        patch.setenv("DARKROOM_WORKERS", "1")
        patch.chdir(root)
        assert main(["init", "digits", "--images", "pictures", "--clones", "2"]) == 0
        write(root / "digits" / "darkroom.toml", epochs="8")
        with darkroom.open(root / "digits") as project:
            report = project.run()
    return root / "digits", report


@pytest.fixture
def copy(made, tmp_path):
    """The finished project, moved together with its pictures."""
    shutil.copytree(made[0].parent, tmp_path / "moved", symlinks=True)
    return tmp_path / "moved" / "digits"


def stages(report):
    return {stage.name: stage.state for stage in report.stages}


def test_all_stages_run_and_hand_over(made):
    root, report = made
    assert set(stages(report).values()) == {"done"}
    there = {path.relative_to(root / "deliverables").as_posix() for path in root.rglob("deliverables/*/*")}
    assert {
        "03-raw/s-1",
        "04-dataset/train",
        "04-dataset/dataset.html",
        "05-model/model.html",
        "06-training/r-1-r-2.html",
        "07-evaluation/r-1-r-2-test.html",
        "09-mobile/bundle",
        "09-mobile/parity.html",
    } <= there
    assert (root / "deliverables" / "report.html").stat().st_size > 10_000


def test_a_run_says_what_was_set_aside_how_good_it_is_and_where_it_lies(made):
    words = "\n".join(made[1].summary)
    assert "1 file was set aside. See: darkroom source quarantine" in words
    assert "1 picture carries two different labels and waits for a decision" in words
    assert re.search(r"r-1: accuracy \d\.\d{4} \[\d\.\d{4}, \d\.\d{4}\] on \d+ pictures of test", words)
    assert "Accuracy over 2 clones" in words
    assert "Bundle: deliverables/09-mobile/bundle" in words
    assert "Report: deliverables/report.html" in words


def test_a_second_run_skips_everything_even_after_a_move(copy):
    with darkroom.open(copy) as project:
        report = project.run()
        assert set(stages(report).values()) == {"skipped"}
        assert "Nothing changed: everything is up to date." in list(report.display())
        board = {row.number: row.state for row in project.status().rows}
    assert {number for number, state in board.items() if state == "done"} == {3, 4, 5, 6, 7, 9}


def test_predict_agrees_between_torch_onnx_and_litert(made):
    root, _ = made
    with darkroom.open(root) as project:
        answers = {
            using: project.predict(images=(root.parent / "pictures" / "digit 2",), using=using)
            for using in ("auto", "torch", "onnx", "litert")
        }
    expected = answers.pop("torch")
    assert len(expected.images) > 50
    for answer in answers.values():
        for mine, theirs in zip(answer.images, expected.images, strict=True):
            assert (mine.image, mine.label) == (theirs.image, theirs.label)
            assert mine.probabilities == pytest.approx(theirs.probabilities, abs=1e-4)


def test_a_list_is_answered_by_the_bundle_and_the_file_that_are_named(copy):
    with darkroom.open(copy) as project:
        asked = {"images": (copy.parent / "pictures" / "digit 2",)}
        [*_, newest] = (one.id for one in project.workspace.catalogue.bundles.list())
        said = [
            project.model.ask(**asked, **more)
            for more in ({}, {"bundle": newest, "using": "litert"}, {"using": "torch"})
        ]
        assert [one.runtime.split()[0] for one in said] == ["onnxruntime", "ai-edge-litert", "torch"]
        assert len({one.accuracy for one in said}) == 1
        with pytest.raises(NotFound, match="b-99"):
            project.model.ask(**asked, bundle="b-99")


def test_predict_on_a_folder_answers_what_can_be_read_and_names_the_rest(made):
    root, _ = made
    folder = root.parent / "pictures" / "digit 0"
    with darkroom.open(root) as project:
        found = project.predict(images=(folder,))
        assert len(found.images) == len(list(folder.iterdir())) - 1
        assert [Path(file.image).name for file in found.refused] == ["broken.png"]
        with pytest.raises(InvalidImage, match=r"broken\.png"):
            project.predict(images=(folder / "broken.png",))


def test_predict_says_what_is_not_there(made, tmp_path):
    root, _ = made
    with darkroom.open(root) as project:
        with pytest.raises(NotFound, match="No picture in the folder"):
            project.predict(images=(tmp_path,))
        with pytest.raises(NotFound, match="'r-99'"):
            project.predict(images=(root.parent / "pictures",), run="r-99")
        with pytest.raises(NotFound, match="'b-99'"):
            project.predict(images=(root.parent / "pictures",), bundle="b-99")


def test_validation_figures_are_shown_with_their_interval(made):
    with darkroom.open(made[0]) as project:
        rows = [*(row[5] for row in project.model.list().rows)]
        rows += [row[1] for row in project.model.select(runs=("r-1", "r-2")).rows]
    assert len(rows) == 4
    assert all(re.fullmatch(r"\d\.\d{4} \[\d\.\d{4}, \d\.\d{4}\]", row) for row in rows)


def test_a_missed_accuracy_ends_with_7_and_takes_the_bundle_back(copy):
    assert (copy / "deliverables/09-mobile/bundle").is_dir()
    evaluation = copy / ".darkroom/runs" / verified_run(copy) / "evaluation-test.json"
    found = json.loads(evaluation.read_text())
    found["figures"]["accuracy"] |= {"value": 0.4, "low": 0.3, "high": 0.5}
    evaluation.write_text(json.dumps(found))
    write(copy / "darkroom.toml", accuracy="0.9")
    with darkroom.open(copy) as project:
        assert stages(project.run(explain=True))["verify"] == "to do"
        report = project.export.verify()
    assert (report.passed, report.exit_code) == (False, 7)
    run = verified_run(copy)
    assert f"accuracy ≥ 0.9: fail, {run} on test has 0.4000 [0.3000, 0.5000]; missed by 0.5." in report.why
    assert not (copy / "deliverables/09-mobile/bundle").exists()


def test_a_limit_missed_at_evaluation_takes_back_what_was_handed_over_and_status_says_so(copy):
    handed_over = ("deliverables/09-mobile/bundle", "deliverables/report.html")
    make_mistakes(copy, "r-1", "r-2")
    write(copy / "darkroom.toml", accuracy="1.0")
    with darkroom.open(copy) as project:
        report = project.run()
        board = project.status()
    assert (stages(report)["evaluate"], report.exit_code) == ("missed", 7)
    assert "Taken back, as a limit is missed: " + ", ".join(handed_over) + "." in report.summary
    assert not any((copy / path).exists() for path in handed_over)
    assert {row.number: row.state for row in board.rows}[7] == "missed"
    assert board.missed[0].startswith(
        "evaluate missed a limit. accuracy ≥ 1: fail, mean of 2 clones on val has"
    )
    assert board.missed[-1] == "Taken back, as a limit is missed: " + ", ".join(handed_over) + "."
    assert set(board.missed) <= set(board.display())
    write(copy / "darkroom.toml", accuracy="0.0")
    with darkroom.open(copy) as project:
        assert stages(project.run())["verify"] == "done"
        assert project.status().missed == ()
    assert all((copy / path).exists() for path in handed_over)


def test_an_evaluation_that_misses_takes_back_the_bundle_of_its_own_runs_alone(copy):
    chosen = verified_run(copy)
    other = {"r-1": "r-2", "r-2": "r-1"}[chosen]
    make_mistakes(copy, "r-1", "r-2")
    write(copy / "darkroom.toml", accuracy="1.0")
    with darkroom.open(copy) as project:
        missed = project.model.evaluate(runs=(other,), split="val")
        assert (missed.exit_code, missed.taken_back) == (7, ())
        missed = project.model.evaluate(runs=(chosen,), split="val")
    assert missed.taken_back == ("deliverables/09-mobile/bundle", "deliverables/report.html")
    assert not (copy / "deliverables/09-mobile/bundle").exists()


def make_mistakes(root: Path, *runs: str) -> None:
    """Lets runs answer every val picture wrongly, in what is kept of them."""
    import numpy as np

    from darkroom.evaluation import load_predictions, save_predictions

    with darkroom.open(root) as project:
        project.model.evaluate(runs=runs, split="val")
    for run in runs:
        folder = root / ".darkroom/runs" / run
        kept = load_predictions(folder, "val")
        wrong = np.eye(3, dtype=np.float32)[(kept.labels + 1) % 3]
        save_predictions(folder, "val", kept._replace(probabilities=wrong))
        found = json.loads((folder / "evaluation-val.json").read_text())
        found["figures"]["accuracy"] |= {"value": 0.0, "low": 0.0, "high": 0.1}
        (folder / "evaluation-val.json").write_text(json.dumps(found))


def verified_run(root: Path) -> str:
    with darkroom.open(root) as project:
        return project.workspace.catalogue.bundles.list()[-1].run_id


def test_a_missed_size_limit_stops_the_run_and_the_report_waits(copy, monkeypatch, capsys):
    monkeypatch.chdir(copy)
    write(copy / "darkroom.toml", model_bytes="1000")
    assert main(["run"]) == 7
    said = capsys.readouterr().out
    assert "at most 1,000 expected" in said
    assert "not handed over" in said
    assert not (copy / "deliverables/09-mobile/bundle").exists()
    write(copy / "darkroom.toml", model_bytes="10000000")
    assert main(["run"]) == 0
    assert (copy / "deliverables/09-mobile/bundle").is_dir()


def test_memory_is_measured_and_held_and_latency_is_advice(copy):
    write(copy / "darkroom.toml", memory_bytes="1000000000", latency_ms="0.000001")
    with darkroom.open(copy) as project:
        report = project.export.verify()
        assert report.passed
        gates = {(gate.limit, gate.subject.rpartition(".")[2]): gate for gate in report.gates}
        assert {gates["memory_bytes", kind].verdict for kind in ("onnx", "tflite")} == {"pass"}
        assert {gates["latency_ms", kind].verdict for kind in ("onnx", "tflite")} == {"advisory"}
        shown = project.brief.check()
        assert (shown.exit_code, shown.gates) == (0, report.gates)
    write(copy / "darkroom.toml", memory_bytes="1000")
    with darkroom.open(copy) as project:
        assert project.brief.check().exit_code == 7
        report = project.export.verify()
    assert (report.passed, report.exit_code) == (False, 7)
    assert any("of memory on this host, at most 1,000 expected" in line for line in report.why)
    assert not (copy / "deliverables/09-mobile/bundle").exists()


def test_a_limit_on_files_leaves_training_and_evaluation_alone(copy):
    write(copy / "darkroom.toml", bundle_bytes="100000000")
    with darkroom.open(copy) as project:
        found = stages(project.run(explain=True))
    assert {name for name, state in found.items() if state == "to do"} == {"verify", "report"}


@pytest.mark.slow
def test_words_of_the_brief_reach_the_bundle_without_a_new_training(copy):
    write(copy / "darkroom.toml", intended_use='"sorting letters"', targets='["onnx"]')
    with darkroom.open(copy) as project:
        report = stages(project.run())
    assert (report["train"], report["convert"]) == ("skipped", "done")
    card = json.loads((copy / "deliverables/09-mobile/bundle/model-card.json").read_text())
    assert card["intended_use"] == "sorting letters"


def test_a_removed_picture_gives_a_new_dataset_version(copy):
    sorted((copy.parent / "pictures" / "digit 0").glob("*.png"))[0].unlink()
    with darkroom.open(copy) as project:
        report = project.run(until="prepare")
        assert stages(report)["prepare"] == "done"
        assert [row[0] for row in project.dataset.list().rows] == ["digits@1", "digits@2"]


@pytest.mark.parametrize("left", ["a byte", "no folder"])
def test_a_bundle_that_is_not_what_was_written_is_noticed(copy, left):
    bundle = next((copy / ".darkroom/bundles").glob("b-*/"))
    if left == "no folder":
        shutil.rmtree(bundle)
    else:
        model = bundle / "models" / "digits.onnx"
        data = bytearray(model.read_bytes())
        data[5000] ^= 1
        model.write_bytes(data)
    with darkroom.open(copy) as project:
        explained = project.run(explain=True)
    assert stages(explained)["convert"] == "to do"
    assert stages(explained)["evaluate"] == "skipped"


def test_deleted_weights_are_noticed_and_named(copy):
    (copy / ".darkroom/runs/r-2/checkpoints/best.safetensors").unlink()
    with darkroom.open(copy) as project:
        assert stages(project.run(explain=True))["train"] == "to do"
        with pytest.raises(NotFound, match="r-2 .* has no weights"):
            project.model.evaluate(runs=("r-2",), split="val")


def test_runs_of_a_lost_catalogue_are_kept_aside(copy):
    for file in (copy / ".darkroom").glob("catalogue.db*"):
        file.unlink()
    write(copy / "darkroom.toml", epochs="1", times="1")
    with darkroom.open(copy) as project:
        assert stages(project.run(until="train"))["train"] == "done"
    kept = copy / ".darkroom/runs/r-1.left-1/metrics.jsonl"
    assert len(kept.read_text().splitlines()) == 8


def test_a_project_inside_its_own_pictures_is_refused(tmp_path, monkeypatch, capsys):
    put_digits(tmp_path / "here", count=12)
    monkeypatch.chdir(tmp_path)
    assert main(["init", "here", "--images", "here"]) == 2
    assert main(["init", "here/inside", "--images", "here"]) == 2
    assert "would become pictures" in capsys.readouterr().err
    assert main(["init", "beside", "--images", "here"]) == 0
    write(tmp_path / "beside" / "darkroom.toml", folder='".."')
    assert main(["run", "--project", "beside"]) == 2
    assert "would become pictures" in capsys.readouterr().err


def test_init_names_the_classes_or_says_that_there_are_none(tmp_path, monkeypatch, capsys):
    put_digits(tmp_path / "three", count=12)
    put_digits(tmp_path / "flat" / "deep", count=1)
    (next((tmp_path / "flat" / "deep").rglob("*.png"))).rename(tmp_path / "flat" / "a.png")
    shutil.rmtree(tmp_path / "flat" / "deep")
    monkeypatch.chdir(tmp_path)
    assert main(["init", "my shoes", "--images", "three"]) == 0
    said = capsys.readouterr().out
    assert "3 classes: digit 0, digit 1, digit 2." in said
    assert "Next: cd 'my shoes' && darkroom run" in said
    assert main(["init", "b", "--images", "flat"]) == 0
    assert "No picture has a label yet" in capsys.readouterr().out
    assert main(["init", "c", "--images", "three", "--clones", "0"]) == 2
