"""Ask a bundle or a model file about pictures: image bytes in, probabilities out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from darkroom.bundle import read_bundle
from darkroom.errors import Invalid, NotFound
from darkroom.images import prepare
from darkroom.records import BundleFile, ModelCard
from darkroom.serving.prediction import Prediction
from darkroom.serving.runtimes import RUNTIMES, Answer, Session, damaged, find, open_session, runtime_of

__all__ = ["Predictor"]


class Predictor:
    """A model, ready to answer; made by `open`.

    Args:
        session: the model file, opened.
        card: what the model knows about itself.
        path: the model file.
    """

    def __init__(self, session: Session, card: ModelCard, path: Path) -> None:
        _check(session, card, path)
        self.session, self.card, self.path = session, card, path
        self.runtime = runtime_of(path).version

    @classmethod
    def open(
        cls, path: Path, *, card: ModelCard | None = None, runtime: str = "auto", threads: int = 1
    ) -> Predictor:
        """Opens a bundle or a single model file.

        Args:
            path: folder of a bundle, or a model file.
            card: the model card, for a file that carries none.
            runtime: name in the table of runtimes; auto takes the first that is installed and has a file.
            threads: threads that one answer may use.

        Raises:
            NotFound: there is nothing at the path, or the bundle has no file for the runtime.
            Damaged: a file is not what was written.
            Unsupported: the model holds an operation that the runtime lacks.
            MissingExtra: the runtime is not installed.
        """
        if path.is_dir():
            bundle = read_bundle(path)
            card, path = card or bundle.card, path / _choice(bundle.manifest.files, runtime, path).path
        elif runtime != "auto" and runtime_of(path) != find(runtime):
            raise Invalid(
                "model.runtime-does-not-fit",
                "Runtime {runtime} takes files that end in {suffix}. Received: {path}.",
                runtime=runtime,
                suffix=find(runtime).suffix,
                path=path,
            )
        session = open_session(path, threads=threads)
        card = card or session.carried.card
        if card is None:
            raise damaged(path, "it carries no model card, and none was given")
        return cls(session, card, path)

    def predict(self, image: bytes) -> Prediction:
        """Answers to the encoded bytes of one picture.

        Raises:
            InvalidImage: the bytes are not a picture, or it is too large.
        """
        answer = self.predict_tensors(prepare(image, self.card.contract)[None])
        embedding = None if answer.embedding is None else tuple(answer.embedding[0].tolist())
        return self._said(answer.probabilities[0], embedding)

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
        best = int(probabilities.argmax())
        label, probability = self.card.labels[best], float(probabilities[best])
        point = self.card.operating_point
        return Prediction(
            label=label,
            probability=probability,
            sure=probability >= max(point.not_sure_below, point.thresholds.get(label, 0.0)),
            probabilities=dict(zip(self.card.labels, probabilities.tolist(), strict=True)),
            embedding=embedding,
            file=self.path.name,
            runtime=self.runtime,
        )


def _choice(files: tuple[BundleFile, ...], runtime: str, folder: Path) -> BundleFile:
    """Returns the file to run: of the runtime asked for, or of the first that is installed."""
    wanted = list(RUNTIMES.values()) if runtime == "auto" else [find(runtime)]
    found = [
        (one, file) for one in wanted for file in files if file.role == "model" and file.target == one.name
    ]
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
    classes = session.run(np.zeros((1, *session.input_shape), np.uint8)).probabilities.shape[1]
    if classes != len(card.labels):
        raise damaged(
            path, f"it gives {classes} probabilities for the {len(card.labels)} labels of its card"
        )
