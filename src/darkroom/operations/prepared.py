"""Hand over a dataset version: its pictures with an annotation file per split, and its page."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

from darkroom import atomic
from darkroom.records import DatasetVersion
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    import numpy as np

    from darkroom.datasets import Exploration
    from darkroom.datasets.facts import DatasetFacts, Histogram

__all__ = ["deliver_dataset"]


def deliver_dataset(
    workspace: Workspace, version: DatasetVersion, pictures: Literal["link", "copy", "none"]
) -> str:
    """Writes `04-dataset` with a folder per split, and its page; returns the folder.

    Args:
        workspace: the project.
        version: the dataset version.
        pictures: put the pictures in as links, as copies, or not at all.
    """
    from darkroom.datasets import deliver, explore

    place = workspace.deliverables / "04-dataset"
    deliver(workspace, version, place, pictures=pictures)
    found = explore(workspace, version)
    atomic.write_bytes(place / "dataset.html", _page(workspace, version, found))
    atomic.write_text(place / "facts.json", found.facts.model_dump_json(indent=1) + "\n")
    return workspace.relative(place)


def _page(workspace: Workspace, version: DatasetVersion, found: Exploration) -> bytes:
    from darkroom.documents import dataset_page
    from darkroom.operations.deliverables import thumbnails

    catalogue = workspace.catalogue
    examples = {one.label: one.examples for one in found.facts.classes}
    pictures = thumbnails(workspace, (image_id for ids in examples.values() for image_id in ids))
    return dataset_page(
        project=workspace.project.project.name,
        version=version,
        examples={
            label: [pictures[image_id] for image_id in ids if image_id in pictures]
            for label, ids in examples.items()
        },
        means={label: _png(mean) for label, mean in found.means.items()},
        facts=tuple(_rows(found.facts)),
        warnings=found.facts.warnings,
        quarantined=[
            file for source in version.lineage.sources for file in catalogue.quarantine.of_source(source)
        ],
    )


def _rows(facts: DatasetFacts) -> Iterator[tuple[str, str]]:
    yield "Pictures", f"{facts.images:,}"
    yield "Width", _range(facts.width_px, "px")
    yield "Height", _range(facts.height_px, "px")
    yield "Width over height", _range(facts.aspect, "")
    yield "Enlarged by the contract", f"{facts.enlarged:,}"
    yield "Equal tensors with different labels", f"{len(facts.across_classes):,}"
    yield "Equal tensors in different splits", f"{len(facts.across_splits):,}"


def _range(histogram: Histogram, unit: str) -> str:
    """Returns from where to where a histogram's filled bins reach."""
    filled = [place for place, count in enumerate(histogram.counts) if count]
    if not filled:
        return "—"
    low, high = histogram.edges[filled[0]], histogram.edges[filled[-1] + 1]
    return f"{low:.4g} to {high:.4g} {unit}".strip()


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(file, "PNG")
    return file.getvalue()
