"""The page of a training: curves of every clone, recipe, augmentation, environment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from pydantic import BaseModel

from darkroom.documents.blocks import Drawing, Drawn, Section
from darkroom.documents.facts import TrainedClone
from darkroom.documents.figures import Form
from darkroom.documents.page import html, inline
from darkroom.documents.picture import picture
from darkroom.records import Gate, MetricPoint
from darkroom.statistics import spread

__all__ = ["curve_drawings", "curve_figures", "training_page"]


def training_page(
    *,
    project: str,
    clones: Sequence[TrainedClone],
    recipe: BaseModel | Mapping[str, Any],
    dataset: str = "",
    network: str = "",
    preview: bytes | None = None,
    environment: Mapping[str, Any] | None = None,
    gates: Sequence[Gate] = (),
    watched: Section | None = None,
) -> bytes:
    """Returns the page of one or several trainings of one recipe.

    Args:
        project: name of the project.
        clones: the trainings, at least one.
        recipe: how they were trained.
        dataset: name@version.
        network: name in the table of networks; the recipe's when not given.
        preview: encoded picture of what augmentation does.
        environment: machine and libraries, as environment.json holds them.
        gates: the limits on quality with their verdicts on the validation pictures.
        watched: what was watched while the first of them was trained.
    """
    plain = recipe.model_dump(mode="json") if isinstance(recipe, BaseModel) else dict(recipe)
    rows = _rows(clones)
    name, figure = _deciding(clones)
    known = [value for row in rows if row["kept"] and (value := getattr(row["kept"], name)) is not None]
    return html(
        "training",
        project=project,
        clones=clones,
        rows=rows,
        dataset=dataset,
        network=network or plain.get("network", "the network"),
        accuracy=spread(known) if known else None,
        deciding=name if figure else "",
        figure=figure,
        figures=curve_figures(clones),
        warnings=tuple(_warnings(rows)),
        preview=picture(preview),
        recipe=_sections("training", plain),
        environment=_sections("machine", environment or {}),
        gates=gates,
        watched=watched,
        frozen=plain.get("train_layers") == "last",
    )


def curve_figures(clones: Sequence[TrainedClone]) -> Iterator[dict[str, Any]]:
    """Yields the drawings of loss and accuracy over epochs, each with words below."""
    for one in curve_drawings(clones):
        yield {"drawing": inline(one.draw("svg")), "words": one.words}


def curve_drawings(clones: Sequence[TrainedClone]) -> Iterator[Drawing]:
    """Yields loss and accuracy over epochs as blocks, each with words below."""
    name, _ = _deciding(clones)
    shown = [("loss", "Loss; lower is better."), ("accuracy", "Accuracy: share of right answers.")]
    if name == "val_mean_ap":
        shown[1] = ("accuracy", "Accuracy: share of pictures whose labels are all right at 0.5.")
        shown.append(("mean_ap", "Mean AP: how well each label's probability ranks the pictures."))
    if name == "val_miou":
        shown[1] = ("accuracy", "Accuracy: share of right pixels.")
        shown.append(
            ("miou", "Mean IoU: overlap of what is answered and what is right, mean over classes.")
        )
    for figure, words in shown:
        title = f"{figure.capitalize()} per epoch, train and validation"
        yield Drawing(Drawn(partial(_drawn_curves, clones, figure, title)), title, words)


def _deciding(clones: Sequence[TrainedClone]) -> tuple[str, str]:
    """Returns the validation figure that decides, and what a person calls it; empty for the accuracy."""
    points = [point for clone in clones for point in clone.points]
    for name, figure in (("val_miou", "mean IoU"), ("val_mean_ap", "mean AP")):
        if any(getattr(point, name) is not None for point in points):
            return name, figure
    return "val_accuracy", ""


def _drawn_curves(clones: Sequence[TrainedClone], figure: str, title: str, form: Form) -> bytes:
    from darkroom.documents.figures import Curve, curves

    lines = [
        Curve(
            name,
            [point.epoch for point in clone.points],
            [getattr(point, f"{part}_{figure}") for point in clone.points],
            family,
            mark=clone.best_epoch if part == "val" else None,
        )
        for part, name, family in (("train", "train", "soft"), ("val", "validation", "accent"))
        for clone in clones
        if clone.points and not (figure in ("mean_ap", "miou") and part == "train")
    ]
    return curves(lines, title=title, x_title="epoch", y_title=figure, form=form)


def _rows(clones: Sequence[TrainedClone]) -> list[dict[str, Any]]:
    return [
        {
            "clone": clone,
            "kept": _kept(clone),
            "speed": _median([point.images_per_second for point in clone.points]),
            "duration_s": clone.duration_s or sum(point.duration_s for point in clone.points),
        }
        for clone in clones
    ]


def _kept(clone: TrainedClone) -> MetricPoint | None:
    by_epoch = {point.epoch: point for point in clone.points}
    return by_epoch.get(clone.best_epoch) or (clone.points[-1] if clone.points else None)


def _median(values: Sequence[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


def _warnings(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    late = [row["clone"].run for row in rows if _best_at_the_end(row)]
    if len(late) == 1:
        yield f"{late[0]} was best in its last epoch: it may not be done. Try more epochs."
    elif late:
        yield f"{', '.join(late)} were best in their last epoch: they may not be done. Try more epochs."
    for row in rows:
        points = row["clone"].points
        if points and any(point.train_loss != point.train_loss for point in points):
            yield f"{row['clone'].run} diverged: its loss is no number. Lower the learning rate."


def _best_at_the_end(row: Mapping[str, Any]) -> bool:
    kept, clone = row["kept"], row["clone"]
    ended = kept is not None and kept.epoch == clone.points[-1].epoch
    return ended and not clone.stopped_early and len(clone.points) > 1


def _sections(title: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Returns plain values first, then one section for each nested mapping."""
    plain = [
        (_spoken(name), _shown(value)) for name, value in values.items() if not isinstance(value, Mapping)
    ]
    nested = [
        {"title": _spoken(name), "facts": [(_spoken(key), _shown(value)) for key, value in inner.items()]}
        for name, inner in values.items()
        if isinstance(inner, Mapping)
    ]
    return ([{"title": title, "facts": plain}] if plain else []) + nested


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(_shown, value)) or "none"
    return "none" if value is None or value == "" else str(value)
