"""The model card: what a trained model is, knows, and is not for; the facts that leave with it."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from darkroom.records.contract import Contract
from darkroom.records.dataset import Task
from darkroom.records.record import Fact, FrozenMap, Record
from darkroom.records.run import Interval

__all__ = [
    "BundleFile",
    "BundleManifest",
    "BundleModel",
    "FalseAlarms",
    "ModelCard",
    "Normalisation",
    "OperatingPoint",
    "WeightsOrigin",
]


class Normalisation(Fact):
    """x = (p / 255 − mean) / std for each channel; part of the exported graph.

    With a mean picture x = p / 255 − picture. The picture is the tensor `mean_image` (H, W, C) float32 in
    the file of the weights, so that a card stays small; `mean` is then its mean per channel.
    """

    kind: Literal["mean-std", "mean-pixel", "mean-image", "none"] = "mean-std"
    """What was measured; where no picture is subtracted, `mean` and `std` say all."""
    mean: tuple[float, ...]
    """Per channel, 0..1."""
    std: tuple[float, ...]
    """Per channel, 0..1."""
    source: str = ""
    """"train split of digits@1", "weights", …"""
    image_sha256: str = ""
    """For mean-image: sha256 of the mean picture's values, little-endian."""


class WeightsOrigin(Fact):
    """Where the weights began."""

    source: str = "random"
    """"random", a run, a file, a hub's name."""
    licence: str = ""
    sha256: str = ""
    """Of the file that was loaded."""


class OperatingPoint(Fact):
    """From which probability on an answer counts, and at which temperature probabilities are read."""

    temperature: float = 1.0
    """Probabilities are raised to the power 1/temperature and divided by their sum; 1 leaves them as they
    are. The thresholds are held against what comes of it."""
    thresholds: FrozenMap[str, float] = {}
    """Per class; a class without one wins by being the largest. Of several labels: from which probability
    on each is given, 0.5 for one without; they are held against the probabilities as they are."""
    not_sure_below: float = 0.0
    """Answers below this are given as "not sure"."""
    chosen_on: str = ""
    """The pictures that it was chosen on, "val of digits@1"; empty for the one that changes nothing."""


class FalseAlarms(Fact):
    """How often the domain check calls a picture different that is like those of training."""

    used: str
    """What the check rests on: "statistics and features", or "statistics"."""
    asked: float
    """Share that was asked for, over all properties together."""
    expected: Interval
    """Share to be expected on pictures like the held-out ones, which its threshold was chosen on."""
    held_out: str = ""
    """The held-out pictures: "val"."""
    measured: Interval | None = None
    """Share on the test pictures, which had no say; None where there were none."""


class ModelCard(Record):
    """All facts that a platform or a person needs about one trained model."""

    task: Task
    labels: tuple[str, ...]
    """Names of the classes in the order of the output."""
    network: str
    """Name in the table of networks, "timm/NAME", or "custom"."""
    code_sha256: str = ""
    """For "custom": sha256 of the Python file that defines the network, `network.py` of the run."""
    options: FrozenMap[str, float | int | str | bool] = {}
    """What the network was built with: dropout, width, …"""
    parameters: int = 0
    """How many trained numbers."""
    contract: Contract
    """From decoded pixels to the tensor."""
    normalisation: Normalisation
    """From the tensor to the network's input; inside the exported graph."""
    operating_point: OperatingPoint = OperatingPoint()
    false_alarms: tuple[FalseAlarms, ...] = ()
    """Of the domain check that comes with the model; empty where none does."""
    run: str = ""
    """Run that trained it."""
    epoch: int = 0
    """Epoch whose weights these are."""
    seed: int = 0
    trained_in: str = ""
    """Arithmetic while training: "float32", "bfloat16", "float16"; the weights are float32."""
    dataset: str = ""
    """name@version."""
    dataset_id: str = ""
    """sha256 of the dataset version."""
    weights: WeightsOrigin = WeightsOrigin()
    """Where the weights began."""
    forgotten: int = 0
    """Pictures that it was trained or judged on, and that were forgotten since."""
    adapted: tuple[str, ...] = ()
    """For a model that came from elsewhere: what was laid around it, in words."""
    metrics: FrozenMap[str, Interval] = {}
    """"val.accuracy", "test.accuracy", …, each with its interval."""
    intended_use: str = ""
    not_for: str = ""
    human_review: str = ""
    """Which answers a person must look at."""
    licence: str = ""
    """Licence of the model."""
    created_at: AwareDatetime
    versions: FrozenMap[str, str] = {}
    """Versions of the libraries that made it."""


class BundleFile(Fact):
    """One file of a bundle."""

    path: str
    """Relative to the bundle, with forward slashes."""
    sha256: str
    size_bytes: int
    role: str
    """"model", "contract", "card", "golden", "report", …"""
    target: str = ""
    """For a model: "onnx", "litert", …"""
    precision: str = ""
    """For a model: "float32", …"""
    package: str = ""
    """For a file of a model that is a folder: that folder, relative to the bundle; else empty."""


class BundleModel(Fact):
    """One model of a bundle: a file, or a folder of files."""

    path: str
    """The file or the folder, relative to the bundle, with forward slashes."""
    target: str
    """"onnx", "litert", …"""
    precision: str
    """"float32", …"""
    size_bytes: int
    """Of all its files."""


class BundleManifest(Record):
    """The list of what is in a bundle, with hashes; `bundle.json`."""

    id: str
    """sha256 over the rest of the manifest, the files' hashes among it, in hex."""
    name: str
    """Name of the project."""
    run: str
    dataset: str
    task: Task
    created_at: AwareDatetime
    files: tuple[BundleFile, ...]

    @property
    def models(self) -> tuple[BundleModel, ...]:
        """The models in their order; the files of one that is a folder count as one."""
        found: dict[str, BundleModel] = {}
        for file in self.files:
            if file.role != "model":
                continue
            place = file.package or file.path
            before = found[place].size_bytes if place in found else 0
            found[place] = BundleModel(
                path=place,
                target=file.target,
                precision=file.precision,
                size_bytes=before + file.size_bytes,
            )
        return tuple(found.values())
