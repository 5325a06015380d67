"""Operation that takes in a model file from elsewhere, as if it were one of ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from darkroom.operation import BundleRef, DatasetRef, LocalPath, operation
from darkroom.operations.export import EXPORT_LIBRARIES
from darkroom.records import Contract, Result, Table, Task
from darkroom.workspace import Workspace

__all__ = ["adopt"]


class AdoptReport(Result):
    """A model from elsewhere in a bundle of ours, not compared yet."""

    bundle: BundleRef
    file: str
    """Name of the file in the bundle."""
    target: str
    precision: str
    """What its weights are written as."""
    size_bytes: int
    came_as_bytes: int
    """Size of the file as it came."""
    input: tuple[int, int, int]
    """Height, width and channels of its tensor."""
    labels: int
    """How many."""
    adapted: tuple[str, ...] = ()
    """What was laid around it, in words; nothing for a file that takes and gives what ours do."""

    def display(self) -> Iterator[str | Table]:
        """Yields what it is and what was laid around it."""
        shape = "×".join(map(str, self.input))
        yield Table(
            ("file", "precision", "size", "as it came", "input", "labels"),
            (
                (
                    self.file,
                    self.precision,
                    f"{self.size_bytes / 1e6:.2f} MB",
                    f"{self.came_as_bytes / 1e6:.2f} MB",
                    shape,
                    str(self.labels),
                ),
            ),
            f"{self.bundle}, adopted",
        )
        yield from self.adapted
        yield f"Not compared yet: darkroom export verify --bundle {self.bundle}"


@operation("export.adopt", slow=True, stage=9, positional=("file",), libraries=EXPORT_LIBRARIES)
def adopt(
    workspace: Workspace,
    *,
    file: LocalPath,
    labels: LocalPath,
    contract: Contract = Contract(),
    task: Task = "classification",
    mean: tuple[float, ...] = (),
    std: tuple[float, ...] = (),
    answers: Literal["auto", "probabilities", "logits", "classes"] = "auto",
    dataset: DatasetRef | None = None,
    licence: str = "",
) -> AdoptReport:
    """Take in an .onnx or .tflite file from elsewhere: bundled, verified and measured like our own.

    What it needs is laid around it as operations of its graph, and each such step is said: scaling of the
    pixels, a quantised input or answer, a softmax, numbers of classes. The bundle's file then takes the
    contract's uint8 tensor and gives probabilities; verify compares it with the file as it came.

    Args:
        file: the model file.
        labels: text file with a label per line, in the order of the answer.
        contract: how a picture becomes the tensor; a size that is left out is that of the file.
        task: what it answers.
        mean: for a floating point input, per channel or one for all: input = (pixel / 255 − mean) / std.
        std: the same.
        answers: what its numbers are; auto looks at them.
        dataset: pictures to verify it on; accuracy is shown where its classes are among the labels.
        licence: licence of the model.
    """
    from darkroom.operations.adopting import adopt_file

    return adopt_file(workspace, file, labels, contract, task, (mean, std), answers, dataset, licence)
