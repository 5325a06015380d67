"""A dump: what one side made of some pictures, step by step, as data; docs/dump.md states each field."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from darkroom.records import Contract, Fact, FrozenMap, Record

__all__ = [
    "ANSWERS",
    "DUMP_VERSION",
    "INDEX",
    "KIND",
    "PIXEL_STEPS",
    "Dump",
    "DumpLayer",
    "DumpPicture",
    "DumpSide",
    "is_known",
    "step_order",
]

DUMP_VERSION = 1
INDEX = "dump.json"
KIND = "darkroom-dump"

PIXEL_STEPS = (
    "decode",
    "orient",
    "alpha",
    "colour",
    "crop",
    "resize_horizontal",
    "resize_vertical",
    "resize",
    "pad",
)
"""Steps of the contract in their order, (H, W, C) uint8. `resize` is what both passes leave, for a side
that does not part them. `enhance_…` and `tensor` follow."""

ENHANCE = "enhance_"
ANSWERS = ("logits", "probabilities")
"""Answers, (classes) or (h, w, classes), float32."""


class DumpSide(Fact):
    """Who made the dump."""

    platform: str = ""
    """System, device: "Android 14, Pixel 6"."""
    library: str = ""
    """What ran the steps: "darkroom-java 0.1", "my own code"."""
    runtime: str = ""
    """What ran the model: "litert 2.3.0"."""
    versions: FrozenMap[str, str] = {}
    """Further libraries with their versions."""
    file: str = ""
    """Name of the model file that answered; empty for PyTorch."""
    target: str = ""
    """Its format as in a bundle: "onnx", "litert", …; "pytorch" for the network itself."""
    precision: str = "float32"
    """What its weights are written as."""
    file_sha256: str = ""
    """Hash of the model file, where it is one file."""

    @property
    def title(self) -> str:
        """The side in a few words."""
        said = [part for part in (self.library, self.runtime, self.platform) if part]
        return ", ".join(dict.fromkeys(said)) or "a side that does not name itself"


class DumpLayer(Fact):
    """What one layer of the network gave for one picture."""

    name: str
    """Name of the layer, or of its output in the file."""
    operation: str = ""
    """What it computes: "Conv", "FULLY_CONNECTED", …"""
    array: str
    """The .npy file inside the dump, float32, without the batch."""


class DumpPicture(Fact):
    """What became of one picture."""

    name: str
    """What it is called; unique in the dump."""
    sha256: str = ""
    """Of the encoded bytes."""
    original: str = ""
    """The file inside the dump that holds the encoded bytes; empty where they are left out."""
    orientation: Annotated[int, Field(ge=1, le=8)] | None = None
    """The EXIF orientation that the side read, 1 to 8; left out where it does not know."""
    steps: FrozenMap[str, str] = {}
    """Name of a step → the .npy file inside the dump; any of them may be left out."""
    layers: tuple[DumpLayer, ...] = ()
    """Layers of the network in the order in which they ran."""
    answer: str = ""
    """The class that the side told its user, by name."""


class Dump(Record):
    """What a dump says: the content of `dump.json`."""

    schema_version: int = DUMP_VERSION
    kind: Literal["darkroom-dump"] = KIND
    """What this file is."""
    side: DumpSide = DumpSide()
    """Who made it."""
    created_at: AwareDatetime | None = None
    bundle: str = ""
    """Id of the bundle whose model answered, from its bundle.json."""
    contract: Contract | None = None
    """The contract that the side followed, where it knows it."""
    labels: tuple[str, ...] = ()
    """Names of the classes, in the order of the side's probabilities."""
    pictures: tuple[DumpPicture, ...] = ()


def is_known(step: str) -> bool:
    """Returns whether a dump of this version may hold such a step."""
    return step in (*PIXEL_STEPS, "tensor", "normalise", *ANSWERS) or step.startswith(ENHANCE)


def step_order(contract: Contract) -> tuple[str, ...]:
    """Returns the steps up to the tensor in the order in which the contract takes them."""
    return (*PIXEL_STEPS, *(f"{ENHANCE}{name}" for name in contract.enhance), "tensor")
