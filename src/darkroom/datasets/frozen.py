"""Freeze the labelled pictures of a project as a dataset version that never changes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from darkroom.datasets.candidates import SEPARATOR, SLOTS, Candidates, find_candidates
from darkroom.datasets.plan import SOURCE_SPLITS, STICKY_SPLITS, SplitPlan
from darkroom.datasets.split import Placement, place, split_keys
from darkroom.errors import Conflict, Frozen, Invalid
from darkroom.records import (
    SPLITS,
    Contract,
    DatasetVersion,
    Lineage,
    Member,
    Split,
    Task,
    canonical_json,
    now,
)
from darkroom.workspace import Workspace

__all__ = ["freeze", "labels_of"]

Counts = Mapping[str, Mapping[str, int]]
"""Split → class → how many."""

_TRIES = 5
_CONTRACT, _PLAN = Contract(), SplitPlan()


def freeze(
    workspace: Workspace,
    *,
    name: str,
    sources: Sequence[str] = (),
    task: Task = "classification",
    classes: Sequence[str] = (),
    contract: Contract = _CONTRACT,
    plan: SplitPlan = _PLAN,
    exclude: Iterable[str] = (),
) -> DatasetVersion:
    """Freezes what is labelled now; content that was frozen under this name before gives that version.

    Args:
        workspace: the project.
        name: name of the dataset.
        sources: ids of the sources; all when none is named.
        task: what a model trained on it answers.
        classes: the classes in the order of the model's output; found and sorted when none is named.
        contract: how its pictures become tensors.
        plan: how pictures without a split get one.
        exclude: ids of pictures to leave out.

    Raises:
        NotFound: there is no such source.
        Invalid: too little is labelled for a model: one class only, a class without pictures, a split
            that would be empty.
    """
    _check_name(name)
    found = find_candidates(workspace, sources=sources, task=task, classes=classes, exclude=exclude)
    if not found.labelled:
        raise _nothing_labelled(workspace, found, task, name)
    _check_candidates(found, task, name)
    placement = _placed(workspace, found, plan)
    found.left_out.update({"group crosses splits": len(placement.crossing)})
    return _written(workspace, name, task, contract, found, _members(found, placement))


def labels_of(member: Member, task: Task) -> tuple[str, ...]:
    """Returns the classes of a member; none for a mask."""
    if task == "segmentation":
        return ()
    if task == "multi-label":
        return tuple(label for label in member.label.split(SEPARATOR) if label)
    return (member.label,)


def _written(
    workspace: Workspace,
    name: str,
    task: Task,
    contract: Contract,
    found: Candidates,
    members: list[Member],
) -> DatasetVersion:
    """Writes the next version, or returns the one that holds the same."""
    content = _content_id(task, found.classes, contract, members)
    for _ in range(_TRIES):
        versions = [one for one in workspace.catalogue.datasets.list() if one.name == name]
        # A version with a hole, left by a picture that was forgotten, is no longer what its id says.
        same = next((one for one in versions if one.id == content and not one.forgotten), None)
        if same is not None:
            return same
        histogram, pixels = _counted(workspace, members, task, found.classes)
        version = DatasetVersion(
            name=name,
            version=max((one.version for one in versions), default=0) + 1,
            id=content,
            task=task,
            classes=found.classes,
            contract=contract,
            counts={split: count for split in SPLITS if (count := _count(members, split))},
            histogram=histogram,
            pixels=pixels,
            empty=_empty(members, task),
            lineage=Lineage(
                parent=versions[-1].ref if versions else None,
                sources=found.sources,
                last_sequence=found.last_sequence,
                left_out={reason: count for reason, count in sorted(found.left_out.items()) if count},
            ),
            created_at=now(),
        )
        try:
            return workspace.catalogue.datasets.freeze(version, members)
        except Frozen:
            continue  # another process took this number in between
    raise Conflict(
        "dataset.too-many-freezers",
        "Dataset {name} is being frozen elsewhere.",
        do="Wait until the other one has ended, then: darkroom run",
        name=name,
    )


def _placed(workspace: Workspace, found: Candidates, plan: SplitPlan) -> Placement:
    splits = workspace.catalogue.splits
    keys = split_keys(found.labelled)
    by_source = splits.assigned(keys, SOURCE_SPLITS) if plan.respect_source_splits else {}
    held: dict[str, Split] = splits.assigned(keys, STICKY_SPLITS)
    if found.of_masks:
        plan = plan.model_copy(update={"stratify": False})  # no two pictures have the same mask
    placement = place(found.labelled, plan, held=held, by_source=by_source, sets=found.of_sets)
    _check_splits(placement, plan)
    if placement.new:
        # What another process gave in between holds.
        held |= splits.assign(placement.new, STICKY_SPLITS)
        placement = place(found.labelled, plan, held=held, by_source=by_source, sets=found.of_sets)
    return placement


def _members(found: Candidates, placement: Placement) -> list[Member]:
    order = {split: place for place, split in enumerate(SPLITS)}
    kept = (one for one in found.labelled if one.image_id in placement.splits)
    ranked = sorted(kept, key=lambda one: (order[placement.splits[one.image_id]], one.image_id))
    return [
        Member(
            image_id=one.image_id,
            split=placement.splits[one.image_id],
            label=one.label,
            group=one.group,
            sequence=one.sequence,
        )
        for one in ranked
    ]


def _content_id(task: Task, classes: tuple[str, ...], contract: Contract, members: list[Member]) -> str:
    digest = hashlib.sha256(canonical_json([task, classes, contract]).encode())
    for one in members:
        digest.update(canonical_json([one.image_id, one.split, one.label, one.group]).encode())
    return digest.hexdigest()


def _count(members: list[Member], split: Split) -> int:
    return sum(one.split == split for one in members)


def _counted(
    workspace: Workspace, members: list[Member], task: Task, classes: tuple[str, ...]
) -> tuple[Counts, Counts]:
    """Returns pictures and pixels by split and class; pixels of masks only.

    Raises:
        InvalidLabel: a mask does not fit its picture or the classes.
        Invalid: all pixels of the masks are of one class, or none is said.
    """
    if task != "segmentation":
        return _histogram(members, task, classes), {}
    from darkroom.datasets.masks import count_masks

    counts = count_masks(workspace, members, classes)
    shown = [name for name in classes if any(of_split[name] for of_split in counts.pixels.values())]
    if len(shown) < 2:
        raise Invalid(
            "dataset.masks-of-one-class",
            "All masks together show {shown}; a model needs at least two classes to choose from.",
            do="Look at the masks: do their values stand in classes.txt as they should?",
            shown=f"{shown[0]!r} alone" if shown else "nothing that is said",
        )
    return counts.pictures, counts.pixels


def _histogram(members: list[Member], task: Task, classes: tuple[str, ...]) -> Counts:
    counts: dict[str, Counter[str]] = {}
    for one in members:
        counts.setdefault(one.split, Counter()).update(labels_of(one, task))
    return {split: {label: of_split[label] for label in classes} for split, of_split in counts.items()}


def _empty(members: list[Member], task: Task) -> dict[str, int]:
    """Returns how many pictures of each split have no label, where that is an answer."""
    return dict(Counter(one.split for one in members if not one.label)) if task == "multi-label" else {}


def _check_name(name: str) -> None:
    if not name or name != name.strip() or set(name) & set("@/\\\0"):
        raise Invalid(
            "dataset.name",
            "A dataset cannot be called {name!r}: expected a name without @, / and \\.",
            do="Call it for example: darkroom dataset freeze --dataset shoes",
            name=name,
        )


def _nothing_labelled(workspace: Workspace, found: Candidates, task: Task, name: str) -> Invalid:
    left_out = ", ".join(f"{reason}: {count}" for reason, count in sorted(found.left_out.items()))
    annotations = workspace.catalogue.annotations
    other = next(
        (one for one in SLOTS if one != task and any(True for _ in annotations.current(SLOTS[one]))), ""
    )
    if other:
        return Invalid(
            "dataset.labelled-for-another-task",
            "Nothing to freeze as {name} for {task}: the labels of these pictures are for {other}. "
            "Left out: {left_out}.",
            do='Write task = "{other}" in the stage that freezes, or add: --task {other}',
            name=name,
            task=task,
            other=other,
            left_out=left_out,
        )
    return Invalid(
        "dataset.nothing-labelled",
        "Nothing to freeze as {name}: no picture has a label. Left out: {left_out}.",
        do="Put the pictures into one folder per class, then: darkroom source add FOLDER",
        name=name,
        left_out=left_out or "nothing",
    )


def _check_candidates(found: Candidates, task: Task, name: str) -> None:
    if len(set(found.classes)) != len(found.classes):
        raise Invalid(
            "dataset.class-twice",
            "A class of dataset {name} is named twice.",
            do="Name each class once: --classes cat,dog; without --classes they are found.",
            name=name,
        )
    if task != "multi-label" and len(found.classes) < 2:
        raise Invalid(
            "dataset.one-class",
            "Dataset {name} has one class only, {label!r}; a model needs at least two to choose from.",
            do="Add a class, for example a folder with pictures of something else.",
            name=name,
            label=next(iter(found.classes), ""),
        )
    if task == "classification":
        _check_classes(found, name)
    if task == "multi-label":
        _check_sets(found, name)


def _check_sets(found: Candidates, name: str) -> None:
    """Refuses labels that no picture has."""
    shown = {label for one in found.labelled for label in one.label.split(SEPARATOR)}
    absent = [label for label in found.classes if label not in shown]
    if absent or not found.classes:
        raise Invalid(
            "dataset.no-picture-of-label",
            "None of the {count} pictures of dataset {name} has {labels}.",
            do="Add pictures that have it, or leave it out.",
            name=name,
            labels=" or ".join(repr(label) for label in absent[:5]) or "a label",
            count=len(found.labelled),
        )


def _check_classes(found: Candidates, name: str) -> None:
    counts = Counter(one.label for one in found.labelled)
    empty = [label for label in found.classes if not counts[label]]
    if empty:
        raise Invalid(
            "dataset.empty-class",
            "No picture of {labels} in dataset {name}.",
            do="Add pictures of it, or leave the class out.",
            labels=", ".join(repr(label) for label in empty[:5]),
            name=name,
        )
    if max(counts.values()) == 1:
        raise Invalid(
            "dataset.too-few",
            "Dataset {name} has one picture per class; nothing would be left to check the training with.",
            do="Add pictures: three per class at the very least, better a hundred.",
            name=name,
        )


def _check_splits(placement: Placement, plan: SplitPlan) -> None:
    asked = {"train": 1.0, "val": plan.val_share, "test": plan.test_share}
    there = set(placement.splits.values())
    empty = [split for split, share in asked.items() if share > 0 and split not in there]
    if empty:
        raise Invalid(
            "dataset.empty-split",
            "With {count} pictures nothing would lie in {splits}.",
            do="Add pictures or groups, or set the share of that split to 0.",
            count=len(placement.splits),
            splits=" and ".join(empty),
        )
