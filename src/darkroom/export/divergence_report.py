"""Where two sides part: records of a comparison step by step, which can be read without torch."""

from __future__ import annotations

from typing import Literal

from darkroom.records import Fact, Table
from darkroom.records.numbers import number

__all__ = [
    "Certainty",
    "Divergence",
    "LayerPair",
    "StepCheck",
    "StepDifference",
    "shortened",
    "spoken_step",
]

LONGEST_NAME = 48
"""Characters of a layer's name that are shown."""

Certainty = Literal["exact", "likely", "open"]
"""Whether the cause gives the other side's values exactly, nearly, or is not known."""

STEPS = {
    "decode": "decode",
    "profile": "colour profile",
    "orient": "orientation",
    "alpha": "alpha",
    "colour": "colour",
    "channels": "channel order",
    "crop": "crop",
    "resize_horizontal": "resize, horizontal pass",
    "resize_vertical": "resize, vertical pass",
    "resize": "resize",
    "pad": "padding",
    "tensor": "tensor",
    "normalise": "normalise",
    "logits": "logits",
    "layer": "layer",
    "softmax": "softmax",
    "labels": "label order",
    "answer": "answer",
    "probabilities": "probabilities",
}


def shortened(name: str) -> str:
    """Returns the end of a layer's name; converters put the whole way to a module before it."""
    kept = name.rstrip(";").rpartition("/")[2]
    return kept if len(kept) <= LONGEST_NAME else f"…{kept[-LONGEST_NAME:]}"


def spoken_step(step: str) -> str:
    """Returns a step as a person says it."""
    if step.startswith("enhance_"):
        return f"enhancement {step.removeprefix('enhance_')}"
    return STEPS.get(step, step)


class StepCheck(Fact):
    """One step that both sides say something about."""

    step: str
    pictures: int
    """On how many pictures it was compared."""
    differing: int = 0
    """On how many it differs, given what the same side had before it."""
    largest: float = 0.0
    """Largest difference of a value; a level of 0 to 255 for pixels."""
    note: str = ""
    """What a reader must know."""


class StepDifference(Fact):
    """A step at which the sides part."""

    step: str
    """"decode", "profile", "orient", "alpha", "colour", "channels", "crop", "resize_horizontal", …,
    "normalise", "layer", "softmax", "labels"."""
    layer: str = ""
    """For a layer: its name on both sides."""
    pictures: tuple[str, ...]
    """The pictures that show it."""
    largest: float | None = None
    """Largest difference of a value; None where the shapes differ."""
    share: float | None = None
    """Share of the values that differ."""
    cause: str = ""
    """What was recognised: "squash-for-crop", "bgr", …; empty where nothing was."""
    certainty: Certainty = "open"
    """Whether that cause gives the other side's values."""
    words: str
    """What happens, in a sentence."""
    do: str = ""
    """What to do about it."""

    @property
    def title(self) -> str:
        """The step as a person says it."""
        return f"{spoken_step(self.step)} {self.layer}".strip()


class LayerPair(Fact):
    """One layer of one side and the layer of the other that was held against it."""

    layer: str
    operation: str = ""
    other: str = ""
    """Empty where the other side has no layer like it: fused, or computed otherwise."""
    other_operation: str = ""
    relative: float | None = None
    """Root mean square of the difference over that of the values."""
    largest: float | None = None
    """Largest difference of a value."""
    differs: bool = False


class Divergence(Fact):
    """Two sides, compared step by step."""

    side: str
    """What was looked at: a dump's side, or a file with its runtime."""
    reference: str
    """What it was held against."""
    pictures: tuple[str, ...]
    """Names of the pictures."""
    checks: tuple[StepCheck, ...] = ()
    """Each step that was compared, in order."""
    found: tuple[StepDifference, ...] = ()
    """Where they part, the first step first."""
    layers: tuple[LayerPair, ...] = ()
    """Layers held against each other, where both sides give them."""
    notes: tuple[str, ...] = ()
    """What could not be compared, and why."""

    @property
    def same(self) -> bool:
        """Whether nothing differs."""
        return not self.found

    @property
    def first(self) -> StepDifference | None:
        """The first step that differs."""
        return self.found[0] if self.found else None

    def check_table(self) -> Table:
        """Returns a row per step."""
        rows = tuple(
            (
                spoken_step(check.step),
                f"{check.pictures:,}",
                f"{check.differing:,}",
                number(check.largest, 2) if check.largest else "0",
                check.note or ("differs" if check.differing else "same"),
            )
            for check in self.checks
        )
        return Table(("step", "pictures", "differ", "largest difference", ""), rows)

    def layer_table(self, most: int = 1000) -> Table:
        """Returns a row per pair of layers."""
        rows = tuple(
            (
                shortened(pair.layer),
                pair.operation,
                shortened(pair.other) or "no layer like it",
                pair.other_operation,
                "" if pair.relative is None else number(pair.relative, 2),
                "differs" if pair.differs else "",
            )
            for pair in self.layers[:most]
        )
        columns = (self.reference, "computes", self.side, "computes", "relative difference", "")
        return Table(columns, rows, "Layers")
