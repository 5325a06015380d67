"""Find the model that a prediction asks, and ask it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from darkroom.errors import InvalidConfig, InvalidImage, NotFound, Unsupported
from darkroom.formats import is_picture
from darkroom.images import Transform, apply_contract, decode
from darkroom.operation import library_versions
from darkroom.operations.operating_points import point_of
from darkroom.operations.prediction import (
    PredictedImage,
    PredictedLabels,
    PredictReport,
    RefusedFile,
)
from darkroom.records import ModelCard, OperatingPoint
from darkroom.serving import Answer
from darkroom.tasks.calibration import scaled
from darkroom.tasks.operating import decide
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.catalogue import CataloguedBundle
    from darkroom.domain import DomainAnswer

__all__ = ["Model", "answer_of", "ask", "model_for"]


class Model(NamedTuple):
    """What is asked."""

    name: str
    """File or run."""
    runtime: str
    """Library that runs it, with its version."""
    card: ModelCard
    answer: Callable[[np.ndarray], Answer]
    """From a tensor (height, width, channels) to the answer of a batch of one."""
    checked: Callable[[np.ndarray, Transform, Answer], DomainAnswer | None]
    """From tensor, geometry and answer to what the domain check says."""


def ask(
    workspace: Workspace,
    images: tuple[Path, ...],
    *,
    using: str,
    run: str | None,
    bundle: str | None,
    inline: bool = False,
    epoch: int | None = None,
) -> PredictReport:
    """Asks a model about pictures.

    Args:
        workspace: the project.
        images: files, or folders of them.
        using: "auto", "torch", or the name of a runtime.
        run: ask this run's best weights.
        bundle: ask this bundle.
        inline: put masks into the answer as well.
        epoch: ask the weights that the run had after this epoch, 0 for its newest, also while it trains.

    Raises:
        NotFound: there is no such picture, no model yet, or no weights of that epoch.
        InvalidConfig: an epoch without a run.
        InvalidImage: no file is a picture that can be read.
    """
    model = model_for(workspace, using, run, bundle) if epoch is None else _earlier(workspace, run, epoch)
    report = PredictReport(model=model.name, runtime=model.runtime)
    if model.card.task == "segmentation":
        from darkroom.operations.mask_asking import ask_masks

        masks, refused = ask_masks(workspace, model, _files(images), inline=inline)
        report = report.model_copy(update={"masks": masks, "refused": refused})
    else:
        report = report.model_copy(update=_answers(model, _files(images)))
    if not (report.images or report.masks or report.label_sets):
        raise InvalidImage(
            "predict.no-picture",
            "{path}: {why}",
            path=report.refused[0].image,
            why=report.refused[0].why,
        )
    return report


def _answers(model: Model, files: Iterator[Path]) -> dict[str, tuple[Any, ...]]:
    """Returns the answers to whole pictures, and the files that no answer was given for, by field."""
    from darkroom.operations.label_set_asking import predicted_labels

    sets = model.card.task == "multi-label"
    answered: list[PredictedImage | PredictedLabels] = []
    refused: list[RefusedFile] = []
    for path in files:
        try:
            answered.append(
                predicted_labels(path, model) if sets else answer_of(model, str(path), path.read_bytes())
            )
        except (InvalidImage, Unsupported, OSError) as error:
            refused.append(RefusedFile(image=str(path), why=str(error)))
    return {"label_sets" if sets else "images": tuple(answered), "refused": tuple(refused)}


def model_for(workspace: Workspace, using: str, run: str | None, bundle: str | None) -> Model:
    """Returns what is asked: one bundle, or the run that it was made of.

    Args:
        workspace: the project.
        using: "auto", "torch", or the name of a runtime.
        run: ask this run's best weights.
        bundle: ask this bundle; the newest when neither is given.

    Raises:
        NotFound: there is no model yet.
    """
    found = _bundle(workspace, run, bundle)
    if using == "torch" or (using == "auto" and (found is None or (run and not bundle))):
        return _torch_model(workspace, run or (found and found.run_id) or _newest_run(workspace))
    if found is None:
        raise NotFound(
            "predict.no-bundle",
            "There is no bundle with a file for {using} yet.",
            do="Make one: darkroom run",
            using=using,
        )
    return _bundle_model(workspace, found, using)


def _bundle(workspace: Workspace, run: str | None, bundle: str | None) -> CataloguedBundle | None:
    """Returns the bundle named, or the newest (of a run)."""
    if bundle is not None:
        return workspace.catalogue.bundles.get(bundle)
    bundles = workspace.catalogue.bundles.list(run_id=run)
    return bundles[-1] if bundles else None


def _bundle_model(workspace: Workspace, bundle: CataloguedBundle, using: str) -> Model:
    from darkroom.operations.bundling import refuse_lost_folder
    from darkroom.serving import Predictor

    folder = workspace.root / bundle.path
    refuse_lost_folder(folder, bundle.id)
    predictor = Predictor.open(folder, runtime=using, threads=1)

    return Model(
        name=predictor.path.relative_to(workspace.root).as_posix(),
        runtime=predictor.runtime,
        card=predictor.card,
        answer=lambda tensor: predictor.predict_tensors(tensor[None]),
        checked=predictor.checked,
    )


def _earlier(workspace: Workspace, run: str | None, epoch: int) -> Model:
    """Returns the weights of one epoch of a run, which may still be trained."""
    from darkroom.operations.snapshots import snapshot_of

    if run is None:
        raise InvalidConfig(
            "predict.epoch-of-no-run",
            "epoch = {epoch} names an epoch, and no run was named.",
            do="Say whose: darkroom predict photo.jpg --run r-1 --epoch {epoch}",
            epoch=epoch,
        )
    path, saved = snapshot_of(workspace, run, epoch)
    return _torch_model(workspace, run, path, name=f"{run} after epoch {saved}")


def _torch_model(workspace: Workspace, run: str, path: Path | None = None, name: str = "") -> Model:
    from darkroom.domain import DomainCheck
    from darkroom.networks.image_model import ImageModel
    from darkroom.networks.predictor import predict_with_embedding
    from darkroom.networks.saved import load
    from darkroom.operations.run_weights import refuse_lost_run
    from darkroom.operations.sketching import sketch_of

    found = workspace.catalogue.runs.get(run)
    point = OperatingPoint()  # what was chosen for the best epoch says nothing of another one
    if path is None:
        refuse_lost_run(workspace, found)
        path = workspace.runs_folder / found.id / "checkpoints" / "best.safetensors"
        point = point_of(workspace, found.id)
    network, card = load(path)
    model = ImageModel.of(network, card)
    card = card.model_copy(update={"operating_point": point})
    sketch = sketch_of(workspace, found.id)
    domain = None if sketch is None else DomainCheck(sketch)

    def checked(tensor: np.ndarray, photo: Transform, found: Answer) -> DomainAnswer | None:
        if domain is None:
            return None
        return domain.check(tensor, photo, None if found.embedding is None else found.embedding[0])

    return Model(
        name=name or run,
        runtime=f"torch {library_versions(('torch',))['torch']}",
        card=card,
        answer=lambda tensor: Answer(*predict_with_embedding(model, [tensor[None]])),
        checked=checked,
    )


def _newest_run(workspace: Workspace) -> str:
    finished = workspace.catalogue.runs.list(state="finished")
    if not finished:
        raise NotFound("predict.no-model", "There is no trained model yet.", do="Train one: darkroom run")
    return finished[-1].id


def _files(images: tuple[Path, ...]) -> Iterator[Path]:
    for path in images:
        if path.is_dir():
            inside = sorted(
                found for found in path.rglob("*") if found.is_file() and is_picture(found.name)
            )
            if not inside:
                raise NotFound(
                    "predict.empty-folder",
                    "No picture in the folder {path}.",
                    do="Name pictures, or a folder that holds some: darkroom predict photo.jpg",
                    path=path,
                )
            yield from inside
        elif path.is_file():
            yield path
        else:
            raise NotFound(
                "predict.no-file",
                "No file {path}.",
                do="Name a picture, or a folder of pictures: darkroom predict photo.jpg",
                path=path,
            )


def answer_of(model: Model, name: str, data: bytes) -> PredictedImage:
    """Returns what a model for whole pictures says of one.

    Args:
        model: what is asked.
        name: what the picture is called in the answer.
        data: its encoded bytes.

    Raises:
        InvalidImage: it is no picture that can be read.
    """
    card = model.card
    prepared = apply_contract(decode(data), card.contract)
    answer = model.answer(prepared.tensor)
    point, probabilities = card.operating_point, answer.probabilities[:1]
    found = decide(probabilities, card.labels, point)
    at_point = scaled(probabilities, point.temperature)[0]
    return PredictedImage(
        image=name,
        label=card.labels[int(found.answers[0])],
        probability=float(found.confidences[0]),
        sure=bool(found.sure[0]),
        probabilities=dict(zip(card.labels, at_point.tolist(), strict=True)),
        domain=model.checked(prepared.tensor, prepared.transform, answer),
    )
