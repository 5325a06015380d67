"""From an error or a suspect on: single answers, verbs, and what the next evaluation says of them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkroom.errors import Invalid, InvalidConfig, InvalidLabel, NotFound
from darkroom.evaluation import load_evaluation, load_predictions
from darkroom.evaluation.forgetting import forget_answers
from darkroom.operations.following_up import follow_up
from darkroom.operations.gates import hold_quality, quality_content
from darkroom.operations.judged import judged
from darkroom.operations.must_pass import must_pass_of, required
from darkroom.records import ClassLabel
from darkroom.workspace import Workspace
from tests.operations.clone_projects import CONTRACT, QUICK, call, digits_project

RECIPE = {**QUICK, "epochs": 4, "threads": 1, "snapshot_every": 2}
BRIEF = "\n[brief.limits]\nmust_pass_wrong = 0\n"
WRONG = 20
"""Pictures whose label is planted wrong."""


class Made:
    """A project with a trained run, some of whose labels are wrong."""

    def __init__(self, folder: Path) -> None:
        self.workspace = digits_project(folder, 400, threads=1)
        self.truth = self.labels()
        generator = np.random.default_rng(0)
        ids = sorted(self.truth)
        self.wrong = {ids[place] for place in generator.permutation(len(ids))[:WRONG].tolist()}
        for image_id in self.wrong:
            other = str((int(self.truth[image_id].split()[-1]) + 3) % 10)
            self.call("label.add", image=image_id, label=self.truth[image_id][:-1] + other)
        self.call("dataset.freeze", dataset="digits", contract=CONTRACT)
        self.call("model.train", dataset="digits@2", recipe=RECIPE)
        self.first = self.call("model.evaluate", runs=("r-1",))

    def call(self, name: str, **values: Any) -> Any:
        return call(self.workspace, name, **values)

    def labels(self) -> dict[str, str]:
        found = self.workspace.catalogue.annotations.current("class")
        return {one.image_id: one.value.label for one in found if isinstance(one.value, ClassLabel)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("errors"))


@pytest.fixture(scope="module")
def suspects(made: Made):
    return made.call("label.suspects", dataset="digits@2", network="pixels")


def page(made: Made, report: Any) -> str:
    return (made.workspace.root / report.path).read_text()


def test_planted_wrong_labels_are_suspects(made: Made, suspects: Any) -> None:
    assert suspects.images == 400
    found = {one.image_id for one in suspects.suspects}
    assert len(found & made.wrong) / len(found) >= 0.7
    assert len(found & made.wrong) / WRONG >= 0.55
    assert all(one.label == made.labels()[one.image_id] for one in suspects.suspects)
    assert suspects.suspects[0].margin == min(one.margin for one in suspects.suspects)
    assert "question to a person, not an answer" in "\n".join(map(str, suspects.display()))


def test_the_table_and_the_page_hold_the_suspects(made: Made, suspects: Any) -> None:
    with (made.workspace.root / suspects.csv).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["picture"] for row in rows] == [one.image_id for one in suspects.suspects]
    text = page(made, suspects)
    assert suspects.suspects[0].image_id[:12] in text
    assert "data:image/" in text
    assert suspects.docx.endswith(".docx")
    assert suspects.pdf.endswith(".pdf")


def test_what_runs_held_out_can_judge_instead(made: Made) -> None:
    found = made.call("label.suspects", dataset="digits@2", runs=("r-1",))
    version = made.workspace.catalogue.datasets.get("digits@2")
    assert found.images == version.counts["val"] + version.counts["test"]
    assert {one.split for one in found.suspects} <= {"val", "test"}
    assert any("Held out by none of the runs" in remark for remark in found.remarks)
    assert load_evaluation(made.workspace.runs_folder / "r-1", "test").looks == 1


def test_suspects_of_pictures_that_cannot_be_told_apart_are_doubted(made: Made) -> None:
    with pytest.raises(InvalidConfig, match="need a network and its pretrained weights"):
        made.call("label.suspects", dataset="digits@2", network="lenet5")
    with pytest.raises(Invalid, match="no pictures in field"):
        made.call("label.suspects", dataset="digits@2", splits=("field",))


def test_a_picture_that_is_left_out_is_left_out_of_the_next_version_and_comes_back(made: Made) -> None:
    image_id = sorted(made.truth)[0]
    report = made.call("image.exclude", images=(image_id,), reason="blurred")
    assert report.changed == (image_id,)
    assert made.call("image.exclude", images=(image_id,)).unchanged == (image_id,)
    [shown] = made.call("image.marked", mark="excluded").pictures
    assert (shown.image_id, shown.says) == (image_id, "blurred")
    frozen = made.call("dataset.freeze", dataset="apart", contract=CONTRACT)
    assert frozen.left_out == {"unusable": 1}
    back = made.call("image.exclude", images=(image_id,), undo=True)
    assert back.changed == (image_id,)
    assert made.labels()[image_id] == made.call("label.log", image=image_id).entries[-3].said
    assert made.call("image.marked", mark="excluded").pictures == ()
    assert len(made.call("label.log", image=image_id).entries) >= 3  # nothing is deleted


def test_a_picture_that_is_sent_to_people_waits_until_somebody_answers(made: Made) -> None:
    first, second = sorted(made.truth)[1:3]
    label = made.labels()[first]
    made.call("image.relabel", images=(first, second), reason="looks like a 3", proposed=label)
    shown = made.call("image.marked", mark="relabel").pictures
    assert {one.image_id for one in shown} == {first, second}
    assert shown[0].says == f"looks like a 3; may be {label}"
    assert made.labels()[first] == label  # it holds until somebody answers
    assert made.call("image.relabel", images=(first,)).unchanged == (first,)
    made.call("label.add", image=first, label=label)  # the same label is an answer, too
    made.call("image.relabel", images=(second,), undo=True)
    assert made.call("image.marked", mark="relabel").pictures == ()
    assert "to be looked at again: looks like a 3" in made.call("label.log", image=first).entries[1].said


def test_a_picture_must_pass_as_what_it_is_labelled_or_as_said(made: Made) -> None:
    first, second = sorted(made.truth)[3:5]
    labels = made.labels()
    other = next(label for label in sorted(set(labels.values())) if label != labels[second])
    made.call("image.require", images=(first,))
    made.call("image.require", images=(second,), label=other)
    assert required(made.workspace) == {first: labels[first], second: other}
    made.call("label.add", image=second, label=labels[second])  # a person says later what is right
    assert required(made.workspace)[second] == labels[second]
    made.call("image.require", images=(first, second), undo=True)
    assert required(made.workspace) == {}
    made.call("label.add", image=first, state="skipped")
    with pytest.raises(InvalidLabel, match="nobody says what is right"):
        made.call("image.require", images=(first,))
    made.call("label.undo", image=first)


def test_the_telling_pictures_of_each_class_are_shown(made: Made) -> None:
    report = made.call("model.top", run="r-1", split="val", most=2)
    answers = load_predictions(made.workspace.runs_folder / "r-1", "val")
    worst = max(
        (float(row.max()), image_id)
        for row, image_id, label in zip(
            answers.probabilities, answers.image_ids, answers.labels, strict=True
        )
        if row.argmax() != label
    )
    surest = [row for row in report.rows if row[0] == "surest wrong"]
    assert max((float(row[5]), row[3]) for row in surest)[1] == worst[1]
    assert worst[1][:12] in page(made, report)


def test_one_picture_is_followed_over_epochs_and_runs(made: Made) -> None:
    image_id = sorted(made.truth)[6]
    report = made.call("model.history", image=image_id, runs=("r-1",))
    assert [one.epoch for one in report.said] == [2, 4, 0]
    assert report.label == made.labels()[image_id]
    assert report.agreement == 1.0
    split = next(
        one.split
        for one in made.workspace.catalogue.datasets.members("digits@2")
        if one.image_id == image_id
    )
    assert report.words.startswith(f"It lies in {split} of r-1")
    assert image_id[:12] in page(made, report)


def test_a_file_outside_the_project_is_explained_and_followed(made: Made, tmp_path: Path) -> None:
    path = tmp_path / "strange.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(path)
    report = made.call("model.explain", file=path, run="r-1")
    assert report.label == ""
    assert len(report.classes) == 2
    assert made.call("model.history", file=path, runs=("r-1",)).words.startswith("It does not lie in")
    with pytest.raises(InvalidConfig, match="Received: neither"):
        made.call("model.explain", run="r-1")


def test_heat_and_layers_are_drawn(made: Made) -> None:
    image_id = sorted(made.truth)[7]
    report = made.call("model.explain", image=image_id, run="r-1", epoch=2, layers=("conv1", "dense1"))
    assert report.epoch == "epoch 2"
    assert {one.layer for one in report.classes} == {"conv2"}
    assert [row[0] for row in report.layers] == ["conv1", "dense1"]
    assert page(made, report).count("data:image/png") >= 2 + len(report.classes) + 3
    with pytest.raises(NotFound, match="no snapshot of epoch 3. Kept: 2, 4"):
        made.call("model.explain", image=image_id, run="r-1", epoch=3)
    with pytest.raises(InvalidConfig, match="knows no class"):
        made.call("model.explain", image=image_id, run="r-1", answers=("class 77",))


def test_errors_are_grouped_and_the_next_report_shows_them(made: Made) -> None:
    report = made.call("model.clusters", run="r-1", split="val", smallest=2)
    assert report.errors == load_evaluation(made.workspace.runs_folder / "r-1", "val").errors
    assert sum(int(row[1]) for row in report.rows) + report.alone == report.errors
    found = [judged(made.workspace, "r-1", "val")]
    sections = follow_up(made.workspace, ("r-1",), found, "val").sections
    assert [section.title for section in sections] == ["Groups of errors, r-1"]


def test_retrieval_finds_pictures_of_the_same_class_better_than_chance(made: Made) -> None:
    own = made.call("model.retrieval", run="r-1", split="val", ks=(1, 5))
    assert [row[0] for row in own.rows] == ["1", "5"]
    assert float(own.rows[0][1].split()[0]) > 3 * own.chance
    beside = made.call("model.retrieval", run="r-1", split="val", gallery="train", ks=(1,))
    version = made.workspace.catalogue.datasets.get("digits@2")
    assert (own.gallery, beside.gallery) == (version.counts["val"], version.counts["train"])


def test_splits_come_from_one_distribution_and_strange_pictures_do_not(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "field"
    folder.mkdir()
    ids = sorted(made.truth)[:40]
    for number, image_id in enumerate(ids):
        path = Path(made.workspace.image_files([image_id])[image_id].path)
        inverted = 255 - np.asarray(Image.open(path).convert("L"))
        Image.fromarray(inverted).save(folder / f"{number}.png")
    report = made.call("dataset.alike", dataset="digits@2", field=folder, network="pixels")
    verdicts = {(one.first, one.second): one.verdict for one in report.pairs}
    assert len(verdicts) == 6
    assert all(
        verdict == ("differ" if "field" in names else "no difference shown")
        for names, verdict in verdicts.items()
    )
    field = next(one for one in report.pairs if one.second == "field")
    assert field.auc.value > 0.95
    assert field.adjusted_p_value >= field.p_value
    assert "field" in page(made, report)


def test_a_list_is_answered_with_and_without_the_truth(made: Made, tmp_path: Path) -> None:
    ids = sorted(made.truth)[10:30]
    labels = made.labels()
    files = made.workspace.image_files(ids)
    for number, image_id in enumerate(ids[:3]):
        (tmp_path / f"{number}.png").write_bytes(Path(files[image_id].path).read_bytes())
    table = tmp_path / "list.csv"
    rows = [f"{number}.png,{labels[ids[number]]}" for number in range(3)]
    rows += [f"{image_id},{labels[image_id]}" for image_id in ids[3:]]
    table.write_text("\n".join(["image,label", *rows, "gone.png,class 1", "../outside.png,class 1"]) + "\n")
    report = made.call("model.ask", images=(table,), run="r-1")
    assert (report.answered, report.refused, report.with_truth) == (20, 2, 20)
    assert report.accuracy is not None
    with (made.workspace.root / report.csv).open(newline="") as file:
        written = list(csv.DictReader(file))
    assert len(written) == 22
    assert sum(row["right"] == "yes" for row in written) == round(20 * report.accuracy.value)
    assert "No picture 'gone.png'" in written[-2]["not answered because"]
    plain = made.call("model.ask", images=(tmp_path,), run="r-1", truth="none")
    assert (plain.answered, plain.accuracy) == (3, None)


def test_lists_that_say_nothing_are_refused(made: Made, tmp_path: Path) -> None:
    table = tmp_path / "list.csv"
    table.write_text("name\nx\n")
    with pytest.raises(Invalid, match="no column of pictures"):
        made.call("model.ask", images=(table,), run="r-1")
    table.write_text("image\ngone.png\n")
    with pytest.raises(Invalid, match="No answer to any of 1 picture: "):
        made.call("model.ask", images=(table,), run="r-1")
    with pytest.raises(NotFound, match="No file"):
        made.call("model.ask", images=(tmp_path / "none.csv",), run="r-1")
    assert not list(made.workspace.deliverables.rglob(".aside*"))


def test_before_there_is_an_earlier_evaluation_nothing_is_gained(made: Made) -> None:
    assert made.first.gained == ()
    assert made.first.must_pass == ()


def test_the_next_evaluation_says_what_the_change_gained_and_which_must_pass(made: Made) -> None:
    workspace = made.workspace
    for image_id in made.wrong:  # what people did with the suspects
        made.call("label.add", image=image_id, label=made.truth[image_id])
    left_out = sorted(set(made.truth) - made.wrong)[40:43]
    made.call("image.exclude", images=tuple(left_out))
    answers = load_predictions(workspace.runs_folder / "r-1", "test")
    right = answers.probabilities.argmax(1) == answers.labels
    must = [
        answers.image_ids[int(np.flatnonzero(right)[0])],
        answers.image_ids[int(np.flatnonzero(~right)[0])],
    ]
    made.call("image.require", images=tuple(must))
    version = made.call("dataset.freeze", dataset="digits", contract=CONTRACT).dataset
    made.call("model.train", dataset=version, recipe=RECIPE)
    report = made.call("model.evaluate", runs=("r-2",))
    said = "\n".join(report.gained)
    assert "Against r-1, on the" in said
    assert "digits@2 became digits@3: 3 pictures left, 20 pictures got another label" in said
    assert "both sides are judged by today's" in said
    assert "another seed moves this difference" in said
    assert report.must_pass[0].startswith("r-2 answers ")
    assert "must-pass" in page(made, report).lower()
    assert "Since the evaluation before" in page(made, report)
    assert any("Must-pass pictures:" in line for line in report.gained)


def test_a_must_pass_picture_that_fails_is_a_missed_limit_of_the_brief(made: Made) -> None:
    before = tuple(required(made.workspace))
    if before:
        made.call("image.require", images=before, undo=True)
    with (made.workspace.root / "darkroom.toml").open("a", encoding="utf-8") as file:
        file.write(BRIEF)
    workspace = Workspace(made.workspace.root, settings=made.workspace.settings)  # reads the file anew
    assert [gate.verdict for gate in hold_quality(workspace, ("r-1",))] == ["not measured"]
    labels = made.labels()
    wrong = sorted(labels)[8]
    other = next(label for label in sorted(set(labels.values())) if label != labels[wrong])
    call(workspace, "image.require", images=(wrong,), label=other)  # what no sound model answers
    [gate] = hold_quality(workspace, ("r-1",))
    assert (gate.verdict, gate.value) == ("fail", 1)
    assert wrong[:12] in gate.note
    assert "must-pass pictures" in quality_content(workspace)
    checked = call(workspace, "brief.check", run="r-1")
    assert [one.verdict for one in checked.gates if one.limit == "must_pass_wrong"] == ["fail"]
    assert checked.exit_code == 7


def test_a_forgotten_picture_is_taken_out_of_what_runs_answered(made: Made) -> None:
    folder = made.workspace.runs_folder / "r-1"
    image_id = sorted(made.truth)[9]
    must_pass_of(made.workspace, "r-1", {image_id: "class 1"})
    (folder / "error-groups-train.json").write_text(f'["{image_id}"]')
    assert image_id in (folder / "must-pass.json").read_text()
    changed = forget_answers(folder, [image_id])
    assert {folder / "must-pass.json", folder / "error-groups-train.json"} <= set(changed)
    assert image_id not in (folder / "must-pass.json").read_text()
    assert not (folder / "error-groups-train.json").exists()
