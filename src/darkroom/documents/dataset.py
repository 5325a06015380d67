"""The page of a dataset version: balance, examples, what was left out, and what to be wary of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from darkroom.documents.page import html, inline
from darkroom.documents.picture import picture
from darkroom.documents.wording import listed
from darkroom.records import SPLITS, DatasetVersion, Quarantined

__all__ = ["dataset_page"]

LARGEST_TABLE = 40
"""With more classes the histogram is drawn as well."""

FEWEST_PICTURES = 10
"""Per class and split, to say anything about it."""

LARGEST_IMBALANCE = 10
"""Times as many pictures in the largest class as in the smallest."""


def dataset_page(
    *,
    project: str,
    version: DatasetVersion,
    examples: Mapping[str, Sequence[bytes]] | None = None,
    means: Mapping[str, bytes] | None = None,
    facts: Sequence[tuple[str, str]] = (),
    warnings: Sequence[str] = (),
    quarantined: Sequence[Quarantined] = (),
) -> bytes:
    """Returns the page of a dataset version.

    Args:
        project: name of the project.
        version: the version.
        examples: encoded thumbnails by class.
        means: encoded mean picture by class.
        facts: further facts, each with its name: sizes, proportions, sources, …
        warnings: what to be wary of, beside what the histogram shows by itself.
        quarantined: files that were set aside.
    """
    splits = [split for split in SPLITS if version.counts.get(split)]
    rows = [
        {
            "label": label,
            "counts": [version.histogram.get(split, {}).get(label, 0) for split in splits],
        }
        for label in version.classes
    ]
    rows = [row | {"together": sum(row["counts"])} for row in rows]
    return html(
        "dataset",
        project=project,
        version=version,
        splits=splits,
        total=max(1, sum(version.counts.values())),
        rows=rows,
        most=max([1, *(row["together"] for row in rows)]),
        histogram_figure=_histogram(version),
        pixels=_pixels(version, splits),
        examples=_examples(version.classes, examples or {}, means or {}),
        facts=facts,
        warnings=(*_warnings(version, splits), *warnings),
        left_out=version.lineage.left_out,
        quarantined=quarantined,
        shown_quarantined=50,
    )


def _pixels(version: DatasetVersion, splits: Sequence[str]) -> list[dict[str, object]]:
    """Returns each class's share of the pixels that masks say something about, split by split."""
    if not version.pixels:
        return []
    totals = {split: max(1, sum(version.pixels.get(split, {}).values())) for split in splits}
    return [
        {
            "label": label,
            "shares": [version.pixels.get(split, {}).get(label, 0) / totals[split] for split in splits],
        }
        for label in version.classes
    ]


def _histogram(version: DatasetVersion) -> str:
    from darkroom.documents.figures import histogram

    if len(version.classes) <= LARGEST_TABLE:
        return ""
    counts = {split: dict(rows) for split, rows in version.histogram.items()}
    return inline(histogram(counts, version.classes, title="Pictures per class and split"))


def _examples(
    classes: Sequence[str], examples: Mapping[str, Sequence[bytes]], means: Mapping[str, bytes]
) -> list[dict[str, object]]:
    return [
        {
            "label": label,
            "mean": picture(means.get(label)),
            "pictures": [picture(data) for data in examples.get(label, ())],
        }
        for label in classes
        if examples.get(label) or label in means
    ]


def _warnings(version: DatasetVersion, splits: Sequence[str]) -> Iterator[str]:
    for split in splits:
        counts = {label: version.histogram.get(split, {}).get(label, 0) for label in version.classes}
        none = [f"“{label}”" for label, count in counts.items() if count == 0]
        few = [f"“{label}”" for label, count in counts.items() if 0 < count < FEWEST_PICTURES]
        if none and split in ("train", "val", "test"):
            yield f"No picture of {listed(none)} in {split}: collect some, or leave the class out."
        if few and split in ("train", "val", "test"):
            yield f"Fewer than {FEWEST_PICTURES} pictures of {listed(few)} in {split}: too few to say much."
    together = [sum(rows.get(label, 0) for rows in version.histogram.values()) for label in version.classes]
    if together and max(together) > LARGEST_IMBALANCE * max(1, min(together)):
        yield (
            f"The largest class has {max(together)} pictures, the smallest {min(together)}: look at recall "
            "and F1 of each class, not at accuracy alone."
        )
    for split in ("val", "test"):
        if not version.counts.get(split):
            yield f"There are no pictures in {split}."
