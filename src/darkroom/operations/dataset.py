"""Operations on datasets: freeze a version, list them, look at one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from darkroom.datasets.plan import SplitPlan
from darkroom.operation import DatasetRef, Produced, SourceRef, operation
from darkroom.operations.forgotten import forgotten_content, spoken_marks
from darkroom.records import SPLITS, Contract, DatasetVersion, Result, Table
from darkroom.workspace import Workspace

__all__ = ["freeze", "list_datasets", "show"]


class FreezeReport(Result):
    """A frozen dataset version."""

    dataset: DatasetRef
    counts: dict[str, int]
    """Pictures per split."""
    histogram: tuple[tuple[str, ...], ...]
    """Class, then pictures per split; of masks, those that show it somewhere. Of several labels, the last
    row counts the pictures that have none."""
    pixels: tuple[tuple[str, ...], ...] = ()
    """Of masks: class, then share of the pixels per split."""
    balance: tuple[str, ...] = ()
    """Of masks and of several labels: classes that a split lacks, or hardly has, in words."""
    splits: tuple[str, ...]
    left_out: dict[str, int]
    """Pictures that were left out, by reason."""
    forgotten: int = 0
    """Pictures that it held and that were forgotten since it was frozen."""
    path: Produced
    """The deliverable."""

    def display(self) -> Iterator[str | Table]:
        """Yields the histogram and what was left out."""
        yield f"{self.dataset}: {sum(self.counts.values()):,} pictures"
        if self.pixels:
            yield Table(("class", *self.splits), self.histogram, "Pictures that show a class")
            yield Table(("class", *self.splits), self.pixels, "Share of the pixels")
        else:
            yield Table(("class", *self.splits), self.histogram)
        yield from self.notes()
        yield f"Folder: {self.path}"

    def notes(self) -> Iterator[str]:
        """Yields what was left out, and what is rare in masks."""
        yield from self.balance
        for reason, count in self.left_out.items():
            yield f"Left out of {self.dataset}, {reason}: {count:,}"
        if self.forgotten:
            words = "its hash no longer reproduces"
            yield f"Forgotten since {self.dataset} was frozen: {self.forgotten:,}; {words}"


class DatasetsReport(Result):
    """The dataset versions of a project."""

    rows: tuple[tuple[str, ...], ...]
    marked: tuple[str, ...] = ()
    """Which versions held a picture that was forgotten since, in words."""

    def display(self) -> Iterator[str | Table]:
        """Yields the table."""
        yield Table(("dataset", "task", "classes", "pictures", "tensor", "frozen"), self.rows)
        yield from self.marked


def _catalogue_state(workspace: Workspace, *, sources: tuple[str, ...], **_: Any) -> Mapping[str, str]:
    """Returns what a freeze would see: the pictures that lie in the sources, and what is said of them."""
    catalogue = workspace.catalogue
    names = sources or tuple(source.id for source in catalogue.sources.list())
    count, digest = catalogue.locations.content(names)
    return {
        "pictures": str(count),
        "picture ids": digest,
        "annotations": str(catalogue.annotations.last_sequence()),
        **forgotten_content(workspace),
    }


@operation("dataset.freeze", slow=True, stage=4, inputs=_catalogue_state, libraries=("pillow",))
def freeze(
    workspace: Workspace,
    *,
    dataset: str,
    sources: tuple[SourceRef, ...] = (),
    task: Literal["classification", "multi-label", "segmentation"] = "classification",
    classes: tuple[str, ...] = (),
    contract: Contract = Contract(),
    plan: SplitPlan = SplitPlan(),
    pictures: Literal["link", "copy", "none"] = "link",
) -> FreezeReport:
    """Freeze the labelled pictures as a dataset version, split without leaks, and render them.

    A picture or group keeps its split for ever. Unchanged content gives the version that is there.

    Args:
        dataset: name of the dataset; versions count up by themselves.
        sources: where the pictures come from; all when none is named.
        task: what a model trained on it answers.
        classes: the classes in the order of the output; found and sorted when none is named.
        contract: how pictures become tensors.
        plan: how pictures are split.
        pictures: put the pictures into the deliverable as links, as copies, or not at all.
    """
    from darkroom.datasets import freeze as frozen
    from darkroom.datasets import render
    from darkroom.operations.prepared import deliver_dataset

    version = frozen(
        workspace, name=dataset, sources=sources, task=task, classes=classes, contract=contract, plan=plan
    )
    render(workspace, version)
    return _report(version, deliver_dataset(workspace, version, pictures))


@operation("dataset.list")
def list_datasets(workspace: Workspace) -> DatasetsReport:
    """List the dataset versions."""
    return DatasetsReport(
        rows=tuple(
            (
                version.ref,
                version.task,
                str(len(version.classes)),
                f"{sum(version.counts.values()):,}",
                "×".join(map(str, version.contract.shape)),
                version.created_at.strftime("%Y-%m-%d %H:%M"),
            )
            for version in workspace.catalogue.datasets.list()
        ),
        marked=spoken_marks(workspace, "dataset"),
    )


@operation("dataset.show", positional=("dataset",))
def show(
    workspace: Workspace, *, dataset: DatasetRef, pictures: Literal["link", "copy", "none"] = "link"
) -> FreezeReport:
    """Show one dataset version, and hand its folder and page over again.

    Args:
        dataset: the dataset version.
        pictures: put the pictures into the deliverable as links, as copies, or not at all.
    """
    from darkroom.operations.prepared import deliver_dataset

    version = workspace.catalogue.datasets.get(dataset)
    return _report(version, deliver_dataset(workspace, version, pictures))


def _without_labels(version: DatasetVersion, splits: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Returns the row of pictures that have none of the labels."""
    if version.task != "multi-label":
        return ()
    return (("(none of them)", *(f"{version.empty.get(split, 0):,}" for split in splits)),)


def _report(version: DatasetVersion, path: str) -> FreezeReport:
    from darkroom.datasets.exploration import balance_of

    splits = tuple(split for split in SPLITS if version.counts.get(split))
    totals = {split: max(1, sum(version.pixels.get(split, {}).values())) for split in splits}
    return FreezeReport(
        dataset=version.ref,
        counts=dict(version.counts),
        splits=splits,
        histogram=(
            *(
                (label, *(f"{version.histogram.get(split, {}).get(label, 0):,}" for split in splits))
                for label in version.classes
            ),
            *_without_labels(version, splits),
        ),
        pixels=tuple(
            (
                label,
                *(f"{version.pixels.get(split, {}).get(label, 0) / totals[split]:.2%}" for split in splits),
            )
            for label in version.classes
            if version.pixels
        ),
        balance=tuple(balance_of(version)) if version.task != "classification" else (),
        left_out=dict(version.lineage.left_out),
        forgotten=version.forgotten,
        path=path,
    )
