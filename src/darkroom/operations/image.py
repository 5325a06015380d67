"""List single pictures, page by page, in any allowed order."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from darkroom.operation import SourceRef, operation
from darkroom.operations.class_names import refuse_unknown_class
from darkroom.records import ClassLabel, Fact, Result, Split, State, Table
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.records import AnnotationValue, Image

__all__ = ["ListedImage", "list_images"]

Sort = Literal[
    "added", "-added", "id", "-id", "size", "-size", "width", "-width", "height", "-height",
    "pixels", "-pixels", "taken", "-taken",
]  # fmt: skip
Limit = Annotated[int, Field(ge=1, le=1000)]


class ListedImage(Fact):
    """One picture of a list."""

    id: str
    path: str
    """Where it lies, source first: "s-1/roses/a.jpg"; empty for a picture that lies nowhere any more."""
    width_px: int
    height_px: int
    size_bytes: int
    taken_at: AwareDatetime | None
    """When the camera says that it was taken."""
    label: str
    """Its class; empty without one."""
    state: str
    """Its state, where it has no class: "unlabelled", "none_of_these", "unusable", "skipped"."""
    split: str
    """Its split; empty while it was in no dataset."""


class ImagesReport(Result):
    """One page of pictures."""

    images: tuple[ListedImage, ...]
    next: str | None
    """Give it as `after` for the page that follows; nothing on the last page."""
    more: str
    """The command for the page that follows; empty on the last page."""

    def display(self) -> Iterator[str | Table]:
        """Yields the page, and how to get the next one."""
        if not self.images:
            yield "No picture fits."
            return
        yield Table(
            ("picture", "file", "pixels", "bytes", "taken", "label", "split"),
            tuple(
                (
                    one.id[:12],
                    one.path,
                    f"{one.width_px}×{one.height_px}",
                    f"{one.size_bytes:,}",
                    one.taken_at.strftime("%Y-%m-%d %H:%M") if one.taken_at else "",
                    one.label or f"({one.state.replace('_', ' ')})",
                    one.split,
                )
                for one in self.images
            ),
        )
        if self.more:
            yield f"More: {self.more}"


@operation("image.list")
def list_images(
    workspace: Workspace,
    *,
    sort: Sort = "added",
    after: str | None = None,
    limit: Limit = 50,
    source: SourceRef | None = None,
    label: str | None = None,
    state: Literal["unlabelled", "none_of_these", "unusable", "skipped"] | None = None,
    split: Split | None = None,
) -> ImagesReport:
    """List pictures, page by page; a page far inside comes as quickly as the first.

    Args:
        sort: by what; with a minus before it the other way round. Pictures without a time come first.
        after: where the page before ended, as it was given with that page.
        limit: pictures on a page.
        source: only those of this source.
        label: only those with this class.
        state: only those in this state; unlabelled ones are those that nobody answered yet.
        split: only those of this split.
    """
    from darkroom.catalogue.images import ImageFilter

    catalogue = workspace.catalogue
    if source is not None:
        catalogue.sources.get(source)
    if label is not None:
        refuse_unknown_class(workspace, label)
    where = ImageFilter(source=source, label=label, state=state, split=split)
    page = catalogue.images.page(after=after, limit=limit, sort=sort, where=where)
    asked = {"sort": sort, "limit": limit, "source": source, "label": label, "state": state, "split": split}
    return ImagesReport(
        images=tuple(_listed(workspace, page.items, source)),
        next=page.next,
        more=_command({**asked, "after": page.next}) if page.next else "",
    )


def _listed(workspace: Workspace, images: tuple[Image, ...], source: str | None) -> Iterator[ListedImage]:
    catalogue, ids = workspace.catalogue, [image.id for image in images]
    places = catalogue.locations.of_images(ids)
    answers = {one.image_id: one.value for one in catalogue.annotations.current("class", ids)}
    splits = catalogue.splits.assigned(f"image:{image_id}" for image_id in ids)
    for image in images:
        mine = [one for one in places.get(image.id, []) if source in (None, one.source_id)]
        label, state = _said(answers.get(image.id))
        yield ListedImage(
            id=image.id,
            path=f"{mine[0].source_id}/{mine[0].path}" if mine else "",
            width_px=image.width_px,
            height_px=image.height_px,
            size_bytes=image.size_bytes,
            taken_at=image.camera.taken_at,
            label=label,
            state=state,
            split=splits.get(f"image:{image.id}", ""),
        )


def _said(value: AnnotationValue | None) -> tuple[str, str]:
    """Returns class and state, one of which is empty."""
    if isinstance(value, ClassLabel):
        return value.label, ""
    return "", value.state if isinstance(value, State) else "unlabelled"


def _command(asked: Mapping[str, Any]) -> str:
    defaults = {"sort": "added", "limit": 50}
    options = [
        f"--{name}={shlex.quote(str(value))}"
        if str(value).startswith("-")
        else f"--{name} {shlex.quote(str(value))}"
        for name, value in asked.items()
        if value is not None and value != defaults.get(name)
    ]
    return " ".join(["darkroom image list", *options])
