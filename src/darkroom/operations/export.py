"""Operations that take a model to other platforms: convert, verify, inspect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from darkroom.bundle.inspection import BundleInspection
from darkroom.operation import BundleRef, LocalPath, Produced, RunRef, operation
from darkroom.operations.brief_limits import card_words
from darkroom.operations.gates import verdict_content
from darkroom.operations.handed_over import spoken_taken_back
from darkroom.operations.operating_points import point_content
from darkroom.operations.run_weights import LIBRARIES
from darkroom.operations.sketch_content import sketch_content
from darkroom.records import Gate, Result, Table, content_id, gate_table
from darkroom.workspace import Workspace

__all__ = ["convert", "inspect", "verify"]

EXPORT_LIBRARIES = (
    *LIBRARIES,
    "onnx",
    "onnxscript",
    "onnxruntime",
    "litert-torch",
    "ai-edge-litert",
    "ai-edge-quantizer",
    "executorch",
    "coremltools",
)


Precision = Literal["float32", "float16", "dynamic-int8", "weight-int8", "int8", "palette6", "palette4"]

TRIED = ("target", "precision", "recipe", "size", "same answers", "loss in points", "latency here", "")


class ConvertReport(Result):
    """Files for other platforms, not compared yet."""

    bundle: BundleRef
    run: RunRef
    rows: tuple[tuple[str, ...], ...]
    """Target, precision, file, size, or why it failed."""
    sketched: bool = False
    """Whether the bundle can say if a picture looks like the training pictures."""
    tried: tuple[tuple[str, ...], ...] = ()
    """Every file that was tried: target, precision, recipe, size, same answers, loss, latency, standing."""
    chosen: tuple[str, ...] = ()
    """Which file was chosen for each target, and why."""

    def display(self) -> Iterator[str | Table]:
        """Yields one row per file."""
        yield Table(
            ("target", "precision", "file", "size", ""), self.rows, f"{self.bundle} from {self.run}"
        )
        if self.tried:
            yield Table(TRIED, self.tried, "Every file that was tried, compared with PyTorch")
        yield from self.chosen
        yield (
            "Not compared yet on test: darkroom export verify"
            if self.tried
            else ("Not compared yet: darkroom export verify")
        )
        yield from self.notes()

    def notes(self) -> Iterator[str]:
        """Yields what the bundle lacks."""
        if not self.sketched:
            yield (
                "The bundle makes no domain check: there is no sketch of the training pictures. "
                f"Make one first: darkroom model domain --run {self.run}"
            )


class VerifyReport(Result):
    """The proof that the files answer as the evaluation did."""

    bundle: BundleRef
    passed: bool
    masks: bool = False
    """Whether masks were compared, pixel by pixel."""
    agreement: str = "top-1 agreement"
    """What the share of equal answers is called: "top-1 agreement", "same labels", "equal pixels"."""
    images: int
    pictures: str = ""
    """Of which splits they are, and what the network has seen of them."""
    rows: tuple[tuple[str, ...], ...]
    """Format, size, agreement, largest difference, latency, verdict."""
    why: tuple[str, ...] = ()
    """Limits that are missed, in words."""
    unproven: tuple[str, ...] = ()
    """Limits that nothing was shown for, in words: too few pictures, or not measured."""
    gates: tuple[Gate, ...] = ()
    """Every limit of the brief with its verdict."""
    path: Produced = ""
    """Where the bundle was handed over."""
    taken_back: tuple[str, ...] = ()
    """What had been handed over before and was removed, as a limit is missed."""
    page: Produced = ""
    compared_with: str = "PyTorch"
    """What the files were compared with."""
    remarks: tuple[str, ...] = ()
    """What a reader of the figures must know."""
    target: str = ""
    """"armv7" where the files ran on 32-bit ARM; empty for this host."""

    @property
    def exit_code(self) -> int:
        """7 when a limit is missed."""
        return 0 if self.passed else 7

    def display(self) -> Iterator[str | Table]:
        """Yields one row per file and the verdict."""
        same = "equal pixels" if self.masks else self.agreement
        columns = ("format", "size", same, "max difference", "latency p50", "verdict")
        of_which = f": {self.pictures}" if self.pictures else ""
        yield Table(
            columns, self.rows, f"Compared with {self.compared_with} on {self.images:,} pictures{of_which}"
        )
        if self.gates:
            yield gate_table(self.gates)
        yield f"Page: {self.page}"
        yield from self.notes()

    def notes(self) -> Iterator[str]:
        """Yields the verdict: where the bundle is, or why it is not handed over."""
        yield from self.remarks
        yield from self.why
        yield from self.unproven
        if self.target:
            yield f"{'Every limit holds' if self.passed else 'A limit is missed'} on {self.target}."
        elif self.passed:
            yield f"Bundle: {self.path}"
        else:
            yield "The bundle is not handed over: a limit is missed."
            if self.taken_back:
                yield spoken_taken_back(self.taken_back)


def _read_by_convert(
    workspace: Workspace, *, run: str, precision: tuple[str, ...] = ("float32",), **_: Any
) -> Mapping[str, str]:
    """Returns what else travels: words of the brief, the operating point, the sketch of the domain.

    The limits decide as well where there are several files to choose from.
    """
    limits = {"brief.limits": content_id(workspace.project.brief.limits)}
    return {
        **card_words(workspace),
        **point_content(workspace, (run,)),
        **sketch_content(workspace, run),
        **(limits if any(one != "float32" for one in precision) else {}),
    }


@operation("export.convert", slow=True, stage=9, inputs=_read_by_convert, libraries=EXPORT_LIBRARIES)
def convert(
    workspace: Workspace,
    *,
    run: RunRef,
    targets: tuple[Literal["onnx", "litert", "executorch", "coreml"], ...] = ("onnx", "litert"),
    precision: tuple[Precision, ...] = ("float32",),
    embedding: bool = False,
) -> ConvertReport:
    """Convert a run's best weights: uint8 pixels in, probabilities out.

    Args:
        run: the run.
        targets: formats to write: ONNX, LiteRT (.tflite), ExecuTorch (.pte), Core ML (.mlpackage).
        precision: what numbers are written as. float32 is what was trained; float16 and weight-int8 store
            the weights smaller; dynamic-int8 multiplies whole numbers as well; int8 is calibrated on train
            pictures; palette6 and palette4 are Core ML's. Beside float32 several recipes are tried; val
            pictures decide which is kept, and the table shows all.
        embedding: give the vector before the last layer as a second output.
    """
    from darkroom.operations.bundling import make_bundle

    return make_bundle(workspace, run, targets, precision, embedding=embedding)


@operation(
    "export.verify",
    slow=True,
    stage=9,
    inputs=verdict_content,
    libraries=EXPORT_LIBRARIES,
    later=("target",),
)
def verify(
    workspace: Workspace, *, bundle: BundleRef | None = None, target: Literal["host", "armv7"] = "host"
) -> VerifyReport:
    """Compare each file with PyTorch on every test picture, and hand the bundle over if all agree.

    With fewer than 1,000 test pictures those of val and train are compared as well, up to 1,000.
    The limits under [brief.limits] must hold as well, on the pictures that were compared and evaluated: the
    last check before a model leaves. A missed one ends with exit code 7, and nothing is handed over.

    Args:
        bundle: the bundle; the newest when not given.
        target: where the files run: on this host, or the .tflite files on 32-bit ARM in what armv7-setup
            built, on the golden vectors and 200 pictures; nothing is handed over then.
    """
    from darkroom.operations.bundling import verify_bundle

    if target == "armv7":
        from darkroom.operations.armv7 import verify_on_armv7

        return verify_on_armv7(workspace, bundle)
    return verify_bundle(workspace, bundle)


@operation("export.inspect", positional=("bundle",))
def inspect(workspace: Workspace, *, bundle: LocalPath) -> BundleInspection:
    """Show what is in a bundle and check its hashes.

    Args:
        bundle: folder of the bundle.
    """
    from darkroom.bundle import inspect as inspected

    return inspected(bundle)
