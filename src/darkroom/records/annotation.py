"""The annotation log: events that say who or what said what about an image, and when.

Nothing in the log is ever changed. The current state of an image is the last event of each slot that
no later event undoes. A slot is the question that an event answers ("class", "mask", …), so that a
picture can hold a class and a mask side by side.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from darkroom.records.record import Fact, Record

__all__ = [
    "AnnotationEvent",
    "AnnotationValue",
    "Asked",
    "Author",
    "BoxesLabel",
    "ClassLabel",
    "ClassesLabel",
    "CurrentAnnotation",
    "LabelledBox",
    "LabelledPolygon",
    "MaskLabel",
    "PolygonsLabel",
    "Slot",
    "State",
    "Undo",
]

Slot = Literal["class", "classes", "mask", "boxes", "polygons", "review", "must-pass"]
"""The question that an annotation answers. "review": what should people look at again, and why;
"must-pass": which class must every later model answer here."""


class Author(Fact):
    """Who or what gave an annotation."""

    kind: Literal["person", "run", "import", "service", "script"]
    """What sort of author."""
    name: str
    """Name of the person, id of the run, path of the import, …"""


class ClassLabel(Fact):
    """One class for the whole picture."""

    kind: Literal["class"] = "class"
    label: str
    """Name of the class."""


class ClassesLabel(Fact):
    """Several classes for one picture, none or all of which may hold."""

    kind: Literal["classes"] = "classes"
    labels: tuple[str, ...]
    """Names of the classes that hold, sorted."""


class MaskLabel(Fact):
    """A class for each pixel: an 8-bit grey PNG of class indices, of the picture's upright size."""

    kind: Literal["mask"] = "mask"
    blob: str
    """sha256 of the PNG in the blobs."""
    classes: tuple[str, ...]
    """Name of each index, from 0 on."""
    ignore: int | None = 255
    """Index that means "not said"."""


class LabelledBox(Fact):
    """A box of one class: x_min, y_min, x_max, y_max in pixels of the upright picture, half-open."""

    label: str
    box: tuple[float, float, float, float]


class BoxesLabel(Fact):
    """Boxes in one picture."""

    kind: Literal["boxes"] = "boxes"
    boxes: tuple[LabelledBox, ...]


class LabelledPolygon(Fact):
    """A polygon of one class: its outer ring and its holes, each as (x, y) points in upright pixels."""

    label: str
    rings: tuple[tuple[tuple[float, float], ...], ...]


class PolygonsLabel(Fact):
    """Polygons in one picture."""

    kind: Literal["polygons"] = "polygons"
    polygons: tuple[LabelledPolygon, ...]


class State(Fact):
    """A picture for which a slot has no answer, and why."""

    kind: Literal["state"] = "state"
    state: Literal["unlabelled", "none_of_these", "unusable", "skipped"]
    """"unlabelled" takes an earlier answer back."""
    rule: str | None = None
    """For "unusable": the brief's rule that the picture breaks."""


class Asked(Fact):
    """A picture that was sent to people: they look at it again. An answer that comes later ends it."""

    kind: Literal["asked"] = "asked"
    why: str = ""
    """Why it was sent."""
    proposed: str = ""
    """The class that it may be."""


class Undo(Fact):
    """Takes one earlier event back."""

    kind: Literal["undo"] = "undo"
    event: str
    """Id of the event that no longer counts."""


AnnotationValue = Annotated[
    ClassLabel | ClassesLabel | MaskLabel | BoxesLabel | PolygonsLabel | State | Asked | Undo,
    Field(discriminator="kind"),
]


class AnnotationEvent(Record):
    """One entry of the log."""

    id: str
    """ULID made by the client."""
    key: str
    """Idempotency key made by the client: the same key is written once."""
    image_id: str
    """The image."""
    slot: Slot
    """The question that the value answers."""
    value: AnnotationValue
    """What was said."""
    author: Author
    """Who or what said it."""
    at: AwareDatetime
    """When it was said."""
    confidence: float | None = None
    """How sure the author was, 0..1."""
    based_on: int | None = None
    """Sequence of the event that the author saw as current; 0 for "none yet"; None: not looked at."""
    sequence: int = 0
    """Place in the log, from 1 on; given by the catalogue."""


class CurrentAnnotation(Fact):
    """What holds for an image in one slot now."""

    image_id: str
    slot: Slot
    value: AnnotationValue
    author: Author
    confidence: float | None = None
    sequence: int
    """Sequence of the event that holds."""
