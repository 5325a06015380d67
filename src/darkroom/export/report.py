"""What converting and comparing leave behind: records that can be read without torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import AwareDatetime

from darkroom.records import BundleModel, Fact, Gate, Interval, Limits, Record, Split, Table, Task
from darkroom.records.numbers import number

__all__ = [
    "Conversion",
    "ComparedPictures",
    "ConvertedFile",
    "FailedConversion",
    "FileParity",
    "Flip",
    "GoldenParity",
    "Latency",
    "MemoryUse",
    "ParityReport",
    "PixelFlips",
    "PixelParity",
    "SplitParity",
]


class ConvertedFile(Fact):
    """A model file, written and not yet compared."""

    path: Path
    """The file."""
    target: str
    """Name in the table of exporters."""
    precision: str = "float32"
    """What its weights are written as."""
    recipe: str = "plain"
    """Name of the recipe that it was written by."""
    size_bytes: int = 0
    """Its length."""
    duration_s: float = 0.0
    """How long writing it took."""

    @classmethod
    def in_bundle(cls, folder: Path, model: BundleModel) -> ConvertedFile:
        """Returns a model of the bundle in a folder."""
        return cls(
            path=folder / model.path,
            target=model.target,
            precision=model.precision,
            size_bytes=model.size_bytes,
        )


class FailedConversion(Fact):
    """A file that could not be written, and why."""

    target: str
    """Name in the table of exporters."""
    precision: str
    """What its weights would have been written as."""
    kind: str
    """Class of the error, for example "MissingExtra"."""
    id: str
    """Id of the message."""
    message: str
    """What happened."""
    hint: str = ""
    """What to do next."""


class Conversion(Fact):
    """What one request to convert gave."""

    files: tuple[ConvertedFile, ...]
    """What was written."""
    failures: tuple[FailedConversion, ...] = ()
    """What was not."""


class Flip(Fact):
    """An image on which a file answers another class than PyTorch."""

    image_id: str
    truth: str
    """Class that the label says."""
    reference_answer: str
    """PyTorch's answer."""
    answer: str
    """The file's answer."""
    margin: float
    """By how much PyTorch prefers its answer to the next best, in probability."""


class PixelFlips(Fact):
    """An image of which a file answers some pixels otherwise than PyTorch."""

    image_id: str
    pixels: int
    """How many."""
    margin: float
    """The most by which PyTorch prefers its answer to the next best among them, in probability."""
    where: str = ""
    """Which pixels, packed by `pooled.packed`; of the first images alone."""


class PixelParity(Fact):
    """How the masks of one file compare with PyTorch's, pixel by pixel."""

    count: int
    """Pixels of all images."""
    differing: int
    """Pixels with another answer."""
    images: int
    """Images with such a pixel."""
    largest_margin: float = 0.0
    """The most by which PyTorch prefers its answer among the differing pixels, in probability."""
    flips: tuple[PixelFlips, ...] = ()
    """The first of these images, in their order."""
    miou: float | None = None
    """Mean IoU of the file; None where nothing is said about any pixel."""
    reference_miou: float | None = None
    """Mean IoU of PyTorch."""
    miou_difference: Interval | None = None
    """That of the file less PyTorch's, drawn in pairs."""


class Latency(Fact):
    """How long one answer to one tensor takes, on this host."""

    p50_ms: float
    """Half of the answers were faster."""
    p95_ms: float
    """All but one in twenty were faster."""
    threads: int
    """Threads that an answer could use."""
    rounds: int
    """How many answers were timed, in turn with the other files'."""


class MemoryUse(Fact):
    """Resident memory of a process that answers once, on this host."""

    baseline_bytes: int
    """With interpreter and runtime library loaded, before the file is opened."""
    peak_bytes: int
    """The most while the file was opened and one tensor answered."""

    @property
    def added_bytes(self) -> int:
        """What file, runtime and answer took: the peak less the baseline."""
        return self.peak_bytes - self.baseline_bytes


class GoldenParity(Fact):
    """What a file makes of the golden vectors."""

    count: int
    """How many there are."""
    wrong_tensors: tuple[str, ...] = ()
    """Vectors whose picture does not become the tensor that is written."""
    wrong_answers: tuple[str, ...] = ()
    """Vectors whose probabilities differ by more than the limit."""
    max_abs: float = 0.0
    """Largest difference of a probability."""

    @property
    def ok(self) -> bool:
        """Whether all vectors hold."""
        return not self.wrong_tensors and not self.wrong_answers


class SplitParity(Fact):
    """How one file compares with PyTorch on the pictures of one split."""

    split: Split
    count: int
    """How many pictures."""
    agreement: float
    """Share of them with the same answer; for masks of the pixels."""
    difference: Interval | None = None
    """Accuracy of the file less PyTorch's, drawn in pairs; for masks mean IoU."""


class ComparedPictures(Fact):
    """Pictures of one split that files were asked about."""

    split: Split
    count: int
    of: int = 0
    """How many the split has; 0 where that was not noted."""

    @property
    def seen(self) -> str:
        """What the network knows of them: "trained on", "chosen by", or nothing."""
        return SEEN.get(self.split, "")


class FileParity(Fact):
    """How one file compares with PyTorch on the same tensors."""

    file: str
    """Name of the file."""
    target: str
    """Name in the table of exporters."""
    precision: str
    """What its weights are written as."""
    size_bytes: int
    """Length of the file."""
    runtime: str
    """Library that ran it, with its version."""
    agreement: float = 0.0
    """Share of the images with the same top-1 answer, or the same labels; for masks of the pixels."""
    flip_count: int = 0
    """Images with another top-1 answer; for masks pixels."""
    flips: tuple[Flip, ...] = ()
    """The first of them, in the order of the images."""
    max_abs: float = 0.0
    """Largest difference of a probability."""
    mean_abs: float = 0.0
    """Mean difference of a probability."""
    psnr_db: float | None = None
    """10·log10(1 / mean squared difference); none where nothing differs."""
    embedding_max_abs: float | None = None
    """Largest difference in the embedding, where the file gives it and PyTorch was asked for it."""
    embedding_not_finite: int = 0
    """How many numbers of its embeddings are NaN or infinite."""
    not_finite: int = 0
    """Probabilities that are NaN or infinite."""
    accuracy: float = 0.0
    """Share of the images that the file answers as their label says; for masks of the pixels."""
    accuracy_difference: Interval | None = None
    """Accuracy of the file less PyTorch's, image by image."""
    by_split: tuple[SplitParity, ...] = ()
    """The same for the pictures of each split, where those of several were pooled."""
    pixels: PixelParity | None = None
    """For masks: pixel by pixel."""
    load_ms: float = 0.0
    """From the file to ready to answer, with its library loaded."""
    latency: Latency | None = None
    """Of one tensor."""
    memory: MemoryUse | None = None
    """Of one prediction; none where it was not measured."""
    golden: GoldenParity = GoldenParity(count=0)
    """The golden vectors."""
    failures: tuple[str, ...] = ()
    """What does not hold, in words; empty for a file that may be handed over."""

    @property
    def passes(self) -> bool:
        """Whether the file may be handed over."""
        return not self.failures


class ParityReport(Record):
    """The proof that files answer as PyTorch does, or what speaks against it."""

    files: tuple[FileParity, ...]
    """Each file that was compared."""
    image_count: int
    """Images that all were asked about."""
    pictures: tuple[ComparedPictures, ...] = ()
    """Of which splits they are."""
    labels: tuple[str, ...]
    """Names of the classes."""
    reference: str
    """What they were compared with, with its version."""
    reference_accuracy: float
    """Share of the images that PyTorch answers as their label says; for masks of the pixels."""
    task: Task = "classification"
    """What the files answer."""
    reference_latency: Latency | None = None
    """Of one tensor in PyTorch, timed in turn with the files."""
    limits: Limits
    """What had to hold."""
    host: str
    """Where latencies and memory were measured; a phone's are unmeasured."""
    created_at: AwareDatetime
    gates: tuple[Gate, ...] = ()
    """Each limit of the brief with its verdict, as it was when the bundle was verified."""

    @property
    def passes(self) -> bool:
        """Whether all files may be handed over."""
        return bool(self.files) and all(file.passes for file in self.files)

    @property
    def failures(self) -> tuple[str, ...]:
        """What does not hold, in words, each with its file."""
        return tuple(f"{file.file}: {why}" for file in self.files for why in file.failures)

    @property
    def pool(self) -> str:
        """Which pictures were compared, in words; empty where that was not noted."""
        said = [
            f"{one.count:,} of {one.split}{f' ({one.seen})' if one.seen else ''}" for one in self.pictures
        ]
        return ", ".join(said)

    def table(self) -> Table:
        """Returns one row per file: size, agreement, difference, latency here, verdict."""
        rows = tuple(_row(file) for file in self.files)
        return Table(
            (
                "file",
                "size",
                AGREEMENT[self.task],
                "max difference",
                "latency here",
                "verdict",
            ),
            rows,
            f"{self.image_count:,} images, compared with {self.reference}",
        )


SEEN: dict[Split, str] = {"test": "", "val": "the network was chosen by them", "train": "trained on"}
"""What a network knows of the pictures of a split."""

AGREEMENT: dict[Task, str] = {
    "classification": "top-1 agreement",
    "multi-label": "same labels",
    "segmentation": "equal pixels",
}
"""What the share of equal answers is called."""


def _row(file: FileParity) -> tuple[str, ...]:
    latency = "" if file.latency is None else f"{file.latency.p50_ms:.2f} ms"
    return (
        file.file,
        f"{file.size_bytes / 1e6:.2f} MB",
        f"{file.agreement:.4f}" if file.pixels is None else f"{file.agreement:.6f}",
        number(file.max_abs, 2),
        latency,
        "passes" if file.passes else "fails",
    )
