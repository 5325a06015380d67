"""Ask a model about pictures: `darkroom predict photo.jpg`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from darkroom.errors import NotFound
from darkroom.operation import BundleRef, LocalPath, RunRef, operation
from darkroom.records import Fact, Result, Table
from darkroom.workspace import Workspace

__all__ = ["predict"]


class PredictedImage(Fact):
    """The answer to one picture."""

    image: str
    label: str
    probability: float
    probabilities: dict[str, float]


class RefusedFile(Fact):
    """A file that no answer was given for."""

    image: str
    why: str


class PredictReport(Result):
    """Answers to pictures."""

    model: str
    """File or run that answered."""
    runtime: str
    images: tuple[PredictedImage, ...]
    refused: tuple[RefusedFile, ...] = ()
    """Files of the folders named that are no pictures which can be read."""

    def display(self) -> Iterator[str | Table]:
        """Yields each picture's label and the largest probabilities."""
        for found in self.images:
            ranked = sorted(found.probabilities.items(), key=lambda pair: -pair[1])[:5]
            others = "  ".join(f"{label} {share:.4f}" for label, share in ranked)
            yield f"{found.image}: {found.label}   {others}"
        for file in self.refused:
            yield f"{file.image}: not answered. {file.why}"
        yield f"Answered by {self.model} ({self.runtime})"


@operation("predict", stage=8, positional=("images",))
def predict(
    workspace: Workspace,
    *,
    images: tuple[LocalPath, ...],
    using: Literal["auto", "torch", "onnx", "litert"] = "auto",
    run: RunRef | None = None,
    bundle: BundleRef | None = None,
) -> PredictReport:
    """Ask a model about pictures; all files of a bundle give the same answer as the run.

    Args:
        images: the pictures, or folders of them.
        using: what answers; auto takes the bundle's first file, or the run where there is no bundle.
        run: ask this run's best weights.
        bundle: ask this bundle; the newest when neither is given.
    """
    from darkroom.operations.asking import ask

    if not images:
        raise NotFound(
            "predict.no-images", "No picture was named.", do="Say which: darkroom predict photo.jpg"
        )
    return ask(workspace, images, using=using, run=run, bundle=bundle)
