"""The domain check through a project: a sketch, a bundle that carries it, answers, a forgotten picture."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from darkroom.bundle import read_bundle
from darkroom.bundle.writer import replace_files
from darkroom.domain import DomainCheck, read_sketch, write_sketch
from darkroom.domain.learning import NO_FEATURES
from darkroom.errors import Damaged
from darkroom.operation import find_operation
from darkroom.operations.export import ConvertReport
from darkroom.records import ModelCard
from darkroom.serving import Answer, Predictor
from darkroom.workspace import Workspace
from tests.domain.digits import CONTRACT, digits

CLASSES = 2


def call(workspace: Workspace, name: str, **values: object) -> Any:
    operation = find_operation(name)
    return operation.call(workspace, operation.validate(values))


def write(folder: Path, tensors: np.ndarray) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04d}.png" for number in range(len(tensors))]
    for path, tensor in zip(paths, tensors, strict=True):
        Image.fromarray(tensor[:, :, 0]).save(path)
    return paths


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a trained run, its sketch, and a bundle that carries it."""
    root = tmp_path_factory.mktemp("domain") / "project"
    root.mkdir()
    (root / "darkroom.toml").write_text('[project]\nname = "digits"\n')
    for label in range(CLASSES):
        write(root / "pictures" / f"class {label}", digits()[label:240:CLASSES])
    with Workspace(root) as workspace:
        source = call(workspace, "source.add", folder=root / "pictures").source
        call(workspace, "dataset.freeze", dataset="digits", sources=(source,), contract=CONTRACT)
        call(workspace, "model.train", dataset="digits@1", recipe={"epochs": 1, "batch_size": 16})
        call(workspace, "model.domain", run="r-1")
        report = call(workspace, "export.convert", run="r-1", targets=("onnx",), embedding=True)
        assert report.sketched
    return root


@pytest.fixture
def copy(made: Path, tmp_path: Path) -> Workspace:
    shutil.copytree(made, tmp_path / "project")
    return Workspace(tmp_path / "project")


def test_the_report_states_the_rate_that_so_few_pictures_can_keep(copy: Workspace) -> None:
    with copy as workspace:
        report = call(workspace, "model.domain", run="r-1")
        count = workspace.catalogue.datasets.get("digits@1").counts
        assert [used for used, *_ in report.false_alarms] == ["statistics and features", "statistics"]
        for _, expected, measured in report.false_alarms:
            assert expected.value == pytest.approx(1 / (count["val"] + 1))
            assert measured is not None
            assert measured.count == count["test"]
        assert any("cannot show a rate of 1.00%" in remark for remark in report.remarks)
        page = (workspace.root / report.path).read_text()
        assert "False alarms" in page
        assert "data:image/png" in page


def test_a_bundle_carries_the_sketch_with_its_role_and_hash(copy: Workspace) -> None:
    with copy as workspace:
        bundle = read_bundle(workspace.bundles_folder / "b-1")
        assert [file.path for file in bundle.of_role("domain")] == ["domain/rows.npz", "domain/sketch.json"]
        kept = workspace.runs_folder / "r-1" / "domain"
        assert read_sketch(bundle.folder / "domain").facts == read_sketch(kept).facts


def test_card_and_bundle_keep_how_often_the_check_is_wrong(copy: Workspace) -> None:
    with copy as workspace:
        report = call(workspace, "model.domain", run="r-1")
        of_run = json.loads((workspace.runs_folder / "r-1" / "model-card.json").read_text())
        bundle = read_bundle(workspace.bundles_folder / "b-1")
        for card in (ModelCard.model_validate(of_run), bundle.card):
            assert [(one.used, one.expected, one.measured) for one in card.false_alarms] == list(
                report.false_alarms
            )
            assert {(one.asked, one.held_out) for one in card.false_alarms} == {(0.01, "val")}
        words = " ".join((bundle.folder / "README.txt").read_text().split())
        expected = report.false_alarms[0][1]
        assert f"by statistics and features, {expected} of pictures like val are called different" in words


def test_a_network_without_usable_features_is_checked_by_statistics_and_it_is_said(copy: Workspace) -> None:
    import torch

    from darkroom.networks.saved import load, save

    with copy as workspace:
        weights = workspace.runs_folder / "r-1" / "checkpoints" / "best.safetensors"
        network, card = load(weights)
        with torch.no_grad():
            next(network.parameters()).fill_(torch.inf)
        save(weights, network, card)
        report = call(workspace, "model.domain", run="r-1")
        assert [used for used, *_ in report.false_alarms] == ["statistics"]
        assert NO_FEATURES in report.remarks
        sketch = DomainCheck(read_sketch(workspace.runs_folder / "r-1" / "domain"))
        found = sketch.check(np.invert(digits()[300]), None, np.full(84, np.nan))
        assert (found.used, found.reasons[0].name) == ("statistics", "polarity")


def test_asked_with_torch_a_sketch_without_rows_answers_by_statistics(copy: Workspace) -> None:
    with copy as workspace:
        folder = workspace.runs_folder / "r-1" / "domain"
        sketch = read_sketch(folder)
        write_sketch(folder, sketch.without(frozenset(sketch.facts.image_ids)))
        strange = write(workspace.root / "strange", np.invert(digits()[300:301]))
        [one] = call(workspace, "predict", images=strange, using="torch", run="r-1").images
        assert (one.domain.used, one.domain.nearest) == ("statistics", ())
        assert one.domain.reasons[0].name == "polarity"


@pytest.mark.parametrize("using", ["onnx", "torch"])
def test_each_answer_says_whether_the_picture_looks_like_training(copy: Workspace, using: str) -> None:
    which = {"bundle": "b-1"} if using == "onnx" else {"run": "r-1"}
    with copy as workspace:
        plain = write(workspace.root / "plain", digits()[300:320])
        strange = write(workspace.root / "strange", np.invert(digits()[300:303]))
        report = call(workspace, "predict", images=plain, using=using, **which)
        assert sum(one.domain.in_domain for one in report.images) >= 18
        report = call(workspace, "predict", images=strange, using=using, **which)
        for one in report.images:
            assert one.domain.used == "statistics and features"
            assert one.domain.reasons[0].name == "polarity"
            assert workspace.catalogue.images.many([near.image_id for near in one.domain.nearest])
        shown = "\n".join(str(line) for line in report.display())
        assert "in training 100 % had a dark background" in shown
        assert "could be done: freeze with contract.enhance" in shown
        assert "0 of 3 look in-domain; 3 differ (polarity 3" in shown


def test_an_answer_without_embedding_is_checked_by_statistics_alone(copy: Workspace) -> None:
    with copy as workspace:
        predictor = Predictor.open(workspace.bundles_folder / "b-1")
        strange = np.invert(digits()[300])
        answer = predictor.predict_tensors(strange[None])
        assert answer.embedding is not None
        for one, used in (
            (answer, "statistics and features"),
            (Answer(answer.probabilities, None), "statistics"),
        ):
            found = predictor.checked(strange, None, one)
            assert found is not None
            assert found.used == used
            assert found.reasons[0].name == "polarity"


def test_the_page_shows_pictures_and_their_nearest_of_training(copy: Workspace) -> None:
    with copy as workspace:
        write(workspace.root / "some", np.concatenate([digits()[300:302], np.invert(digits()[302:304])]))
        report = call(workspace, "predict", images=(workspace.root / "some",), page=True)
        page = (workspace.root / report.page).read_text()
        assert page.count("data:image/png") == 4 * (1 + 5)
        assert "in training 100 % had a dark background" in page
        assert all(near.image_id in page for one in report.images for near in one.domain.nearest)


def test_a_bundle_without_a_sketch_answers_as_before(copy: Workspace) -> None:
    with copy as workspace:
        folder = workspace.bundles_folder / "b-1"
        replace_files(folder, {"domain/sketch.json": b"", "domain/rows.npz": b""})
        [picture] = write(workspace.root / "strange", digits()[300:301])
        assert Predictor.open(folder).predict(picture.read_bytes()).domain is None
        report = call(workspace, "predict", images=(picture,), bundle="b-1")
        assert any("darkroom model domain" in str(line) for line in report.display())


def test_converting_without_a_sketch_says_how_to_make_one() -> None:
    report = ConvertReport(bundle="b-1", run="r-1", rows=())
    assert list(report.notes())[-1].endswith("darkroom model domain --run r-1")
    assert list(report.model_copy(update={"sketched": True}).notes()) == []


def test_another_sketch_makes_the_conversion_stale_and_the_same_one_does_not(copy: Workspace) -> None:
    convert = find_operation("export.convert")
    with copy as workspace:

        def read() -> dict[str, str]:
            assert convert.inputs is not None
            return dict(convert.inputs(workspace, **convert.validate({"run": "r-1"}).model_dump()))

        before = read()
        call(workspace, "model.domain", run="r-1")
        assert read() == before
        call(workspace, "model.domain", run="r-1", false_alarm_rate=0.2)
        assert read() != before


def test_a_damaged_sketch_is_refused_with_the_command_that_makes_it_again(copy: Workspace) -> None:
    with copy as workspace:
        [picture] = write(workspace.root / "some", digits()[300:301])
        (workspace.runs_folder / "r-1" / "domain" / "rows.npz").write_bytes(b"no")
        with pytest.raises(Damaged, match="darkroom model domain"):
            call(workspace, "predict", images=(picture,), using="torch")
        (workspace.bundles_folder / "b-1" / "domain" / "rows.npz").write_bytes(b"no")
        with pytest.raises(Damaged, match=r"domain/rows\.npz in the bundle"):
            call(workspace, "predict", images=(picture,), using="onnx")


@pytest.mark.slow
def test_training_that_swaps_light_and_dark_knows_both(copy: Workspace) -> None:
    with copy as workspace:
        recipe = {"epochs": 1, "batch_size": 16, "augment": {"invert": 0.5}}
        run = call(workspace, "model.train", dataset="digits@1", recipe=recipe).run
        call(workspace, "model.domain", run=run)
        trait = read_sketch(workspace.runs_folder / run / "domain").trait("polarity")
        assert trait is not None
        assert 0.6 <= trait.below_zero <= 0.9
        strange = write(workspace.root / "strange", np.invert(digits()[300:310]))
        report = call(workspace, "predict", images=strange, run=run)
        assert not any("polarity" in [r.name for r in one.domain.reasons] for one in report.images)


def test_a_forgotten_picture_leaves_sketches_and_bundles_whole(copy: Workspace) -> None:
    with copy as workspace:
        sketch = read_sketch(workspace.runs_folder / "r-1" / "domain")
        image_id = sketch.facts.image_ids[2]
        numbers = sketch.rows.features[2].tobytes()  # type: ignore[index]
        shutil.copytree(workspace.bundles_folder / "b-1", workspace.deliverables / "09-mobile" / "bundle")
        near = write(workspace.root / "asked", digits()[300:310])
        call(workspace, "predict", images=near, page=True)
        call(workspace, "image.forget", images=(image_id,))
        left = [
            path
            for path in workspace.root.rglob("*")
            if path.is_file()
            and path.suffix not in (".db", ".db-wal")
            and (image_id.encode() in path.read_bytes() or numbers in path.read_bytes())
        ]
        assert left == []
        for folder in (workspace.bundles_folder / "b-1", workspace.deliverables / "09-mobile" / "bundle"):
            bundle = read_bundle(folder)
            assert len(read_sketch(folder / "domain").facts.image_ids) == len(sketch.facts.image_ids) - 1
        assert workspace.catalogue.bundles.get("b-1").manifest.id == bundle.manifest.id
        answer = call(workspace, "predict", images=near[:1], bundle="b-1").images[0].domain
        assert answer is not None
        assert image_id not in [one.image_id for one in answer.nearest]


def test_what_stages_answered_names_no_forgotten_picture(copy: Workspace) -> None:
    from darkroom.records import StageRecord, now

    with copy as workspace:
        image_id = read_sketch(workspace.runs_folder / "r-1" / "domain").facts.image_ids[0]
        record = StageRecord.model_validate(
            {
                "name": "asked",
                "operation": "predict",
                "fingerprint": "f",
                "parts": {},
                "result": {"results": [{"near": image_id}]},
                "finished_at": now(),
            }
        )
        workspace.catalogue.stages.save(record)
        call(workspace, "image.forget", images=(image_id,))
        kept = workspace.catalogue.stages.last("asked")
        assert kept is not None
        assert image_id not in json.dumps(kept.model_dump(mode="json"))
