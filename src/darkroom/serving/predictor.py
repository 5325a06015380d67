"""Ask a bundle or a model file about pictures: image bytes in, probabilities out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from darkroom.bundle import Bundle, read_bundle
from darkroom.domain import DomainAnswer, DomainCheck, read_sketch
from darkroom.errors import Invalid, NotFound
from darkroom.images import Transform, apply_contract, decode
from darkroom.records import BundleModel, ModelCard
from darkroom.serving.label_set_prediction import LabelSetPrediction
from darkroom.serving.mask_prediction import MaskPrediction, mask_on_photo
from darkroom.serving.prediction import Prediction
from darkroom.serving.runtimes import (
    RUNTIMES,
    Answer,
    Session,
    damaged,
    find,
    is_model,
    open_session,
    runtime_of,
)
from darkroom.tasks.calibration import scaled
from darkroom.tasks.label_sets import given, holds_from, names_of
from darkroom.tasks.operating import decide

__all__ = ["Predictor"]


class Predictor:
    """A model, ready to answer; made by `open`.

    Args:
        session: the model file, opened.
        card: what the model knows about itself.
        path: the model file.
        domain: holds pictures against the sketch of the training pictures; None where there is none.
    """

    def __init__(
        self, session: Session, card: ModelCard, path: Path, domain: DomainCheck | None = None
    ) -> None:
        _check(session, card, path)
        self.session, self.card, self.path, self.domain = session, card, path, domain
        self.runtime = session.runtime

    @classmethod
    def open(
        cls, path: Path, *, card: ModelCard | None = None, runtime: str = "auto", threads: int = 1
    ) -> Predictor:
        """Opens a bundle or a single model file.

        Args:
            path: folder of a bundle, or a model: a file, or the folder of a .mlpackage.
            card: the model card, for a file that carries none.
            runtime: name in the table of runtimes; auto takes the first that is installed and has a file.
            threads: threads that one answer may use.

        Raises:
            NotFound: there is nothing at the path, or the bundle has no file for the runtime.
            Damaged: a file is not what was written.
            Unsupported: the model holds an operation that the runtime lacks.
            MissingExtra: the runtime is not installed.
        """
        domain = None
        if path.is_dir() and not is_model(path):
            bundle = read_bundle(path)
            domain = domain_of(bundle)
            card, path = card or bundle.card, path / _choice(bundle.models, runtime, path).path
        elif runtime != "auto" and runtime_of(path) != find(runtime):
            raise Invalid(
                "model.runtime-does-not-fit",
                "Runtime {runtime} takes files that end in {suffix}. Received: {path}.",
                do="Leave the runtime out: the ending of the file decides.",
                runtime=runtime,
                suffix=find(runtime).suffix,
                path=path,
            )
        session = open_session(path, threads=threads)
        card = card or session.carried.card
        if card is None:
            raise damaged(path, "it carries no model card, and none was given")
        return cls(session, card, path, domain)

    def predict(self, image: bytes) -> Prediction:
        """Answers to the encoded bytes of one picture with one class.

        A model for masks is asked with `predict_mask`, one for several labels with `predict_labels`.

        Raises:
            InvalidImage: the bytes are not a picture, or it is too large.
            Invalid: the model answers masks, or several labels.
        """
        if self.card.task == "multi-label":
            raise Invalid(
                "predictor.label-sets",
                "{file} answers any number of labels per picture, not one class.",
                do="Ask it with predict_labels.",
                file=self.path.name,
            )
        if self.card.task == "segmentation":
            raise Invalid(
                "predictor.masks",
                "{file} answers masks, not classes of whole pictures.",
                do="Ask it with predict_mask.",
                file=self.path.name,
            )
        prepared = apply_contract(decode(image), self.card.contract)
        answer = self.predict_tensors(prepared.tensor[None])
        said = self._said(
            answer.probabilities[0],
            None if answer.embedding is None else tuple(answer.embedding[0].tolist()),
        )
        return said.model_copy(update={"domain": self.checked(prepared.tensor, prepared.transform, answer)})

    def predict_labels(self, image: bytes) -> LabelSetPrediction:
        """Answers to the encoded bytes of one picture with the labels that it has.

        Raises:
            InvalidImage: the bytes are not a picture, or it is too large.
            Invalid: the model answers one class, or masks.
        """
        if self.card.task != "multi-label":
            raise Invalid(
                "predictor.no-label-sets",
                "{file} answers {task}, not any number of labels.",
                do="Ask it with {method}.",
                file=self.path.name,
                task=self.card.task,
                method="predict_mask" if self.card.task == "segmentation" else "predict",
            )
        prepared = apply_contract(decode(image), self.card.contract)
        answer = self.predict_tensors(prepared.tensor[None])
        labels, point, row = self.card.labels, self.card.operating_point, answer.probabilities[0]
        return LabelSetPrediction(
            labels=names_of(given(row[None], labels, point)[0], labels),
            probabilities=dict(zip(labels, row.tolist(), strict=True)),
            thresholds=dict(zip(labels, holds_from(labels, point).tolist(), strict=True)),
            embedding=None if answer.embedding is None else tuple(answer.embedding[0].tolist()),
            domain=self.checked(prepared.tensor, prepared.transform, answer),
            file=self.path.name,
            runtime=self.runtime,
        )

    def predict_mask(self, image: bytes) -> MaskPrediction:
        """Answers with a mask of the photo's size to the encoded bytes of one picture.

        Raises:
            InvalidImage: the bytes are not a picture, or it is too large.
            Invalid: the model answers for whole pictures, or with NaN.
        """
        if self.card.task != "segmentation":
            raise Invalid(
                "predictor.no-masks",
                "{file} answers {task}, not masks.",
                do="Ask it with predict.",
                file=self.path.name,
                task=self.card.task,
            )
        decoded = decode(image)
        prepared = apply_contract(decoded, self.card.contract)
        answer = self.predict_tensors(prepared.tensor[None])
        mask, photo = mask_on_photo(answer.probabilities[0], prepared.transform, decoded, self.card.labels)
        return MaskPrediction(
            mask=mask,
            photo=photo,
            labels=self.card.labels,
            file=self.path.name,
            runtime=self.runtime,
            domain=self.checked(prepared.tensor, prepared.transform, answer),
        )

    def checked(
        self, tensor: np.ndarray, photo: Transform | None, answer: Answer, place: int = 0
    ) -> DomainAnswer | None:
        """Says whether a picture looks like the training pictures; None where there is no sketch of them.

        Args:
            tensor: (height, width, channels) uint8.
            photo: the geometry of the contract for the photo, where it is known.
            answer: what the model answered, with the embedding where the file gives it.
            place: of the picture in the answer.
        """
        if self.domain is None:
            return None
        embedding = None if answer.embedding is None else answer.embedding[place]
        return self.domain.check(tensor, photo, embedding)

    def predict_tensors(self, tensors: np.ndarray) -> Answer:
        """Answers to (N, height, width, channels) uint8, as the contract makes them.

        Raises:
            Invalid: the tensors have another shape or type.
        """
        if tensors.dtype != np.uint8 or tensors.shape[1:] != self.card.contract.shape:
            raise Invalid(
                "tensor.shape",
                "Expected tensors uint8 (N, {expected}). Received: {dtype} {shape}.",
                expected=", ".join(map(str, self.card.contract.shape)),
                dtype=tensors.dtype,
                shape=tensors.shape,
            )
        return self.session.run(tensors)

    def _said(self, probabilities: np.ndarray, embedding: tuple[float, ...] | None) -> Prediction:
        point = self.card.operating_point
        found = decide(probabilities[None], self.card.labels, point)
        at_point = scaled(probabilities[None], point.temperature)[0]
        return Prediction(
            label=self.card.labels[int(found.answers[0])],
            probability=float(found.confidences[0]),
            sure=bool(found.sure[0]),
            probabilities=dict(zip(self.card.labels, at_point.tolist(), strict=True)),
            embedding=embedding,
            file=self.path.name,
            runtime=self.runtime,
        )


def domain_of(bundle: Bundle) -> DomainCheck | None:
    """Returns the check against a bundle's sketch; None where it holds none.

    Raises:
        Damaged: the sketch is not what was written.
        Unsupported: a newer Darkroom wrote it.
    """
    found = bundle.of_role("domain")
    return DomainCheck(read_sketch((bundle.folder / found[0].path).parent)) if found else None


def _choice(models: tuple[BundleModel, ...], runtime: str, folder: Path) -> BundleModel:
    """Returns the model to run: of the runtime asked for, or of the first that is installed.

    Of several precisions float32 comes first: another one is opened by the path of its file.
    """
    wanted = list(RUNTIMES.values()) if runtime == "auto" else [find(runtime)]
    exact_first = sorted(models, key=lambda model: model.precision != "float32")
    found = [(one, model) for one in wanted for model in exact_first if model.target == one.name]
    if not found:
        raise NotFound(
            "predictor.no-file",
            "The bundle {folder} holds no file for {runtimes}.",
            do="Convert the run for it: darkroom export convert --run RUN",
            folder=folder,
            runtimes=" or ".join(one.title for one in wanted),
        )
    for one, file in found:
        if one.installed:
            return file
    found[0][0].require()
    return found[0][1]


def _check(session: Session, card: ModelCard, path: Path) -> None:
    if session.input_shape != card.contract.shape:
        raise damaged(
            path, f"it takes {session.input_shape}, and its model card says {card.contract.shape}"
        )
    shape = session.run(np.zeros((1, *session.input_shape), np.uint8)).probabilities.shape
    size = session.input_shape[:2] if card.task == "segmentation" else ()
    if shape[1:-1] != size:
        kind = "masks of its input's size" if size else "one probability per class"
        raise damaged(path, f"it gives {shape[1:]}, and its model card says that it answers with {kind}")
    classes = shape[-1]
    if classes != len(card.labels):
        raise damaged(
            path, f"it gives {classes} probabilities for the {len(card.labels)} labels of its card"
        )
