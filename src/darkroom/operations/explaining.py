"""Show where a run looked on one picture, and what its layers gave: `darkroom model explain`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from darkroom.errors import InvalidConfig, NotFound, nearest
from darkroom.operation import LocalPath, PictureName, Produced, RunRef, operation
from darkroom.operations.run_weights import LIBRARIES
from darkroom.records import ClassLabel, Fact, Result, Table
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents.blocks import Section
    from darkroom.evaluation.saliency import Heat, LayerMap
    from darkroom.images import Transform
    from darkroom.records import ModelCard

__all__ = ["explain"]

SIDE_PX = 640
"""Longest side of the photos on the page."""


class ExplainedClass(Fact):
    """Where a picture speaks for one class."""

    label: str
    probability: float
    layer: str
    """The layer whose maps were weighed."""
    map_height: int
    map_width: int
    """Of the layer's maps: the heat is no finer than that."""
    peak_x: float
    peak_y: float
    """Where the heat is largest, on the upright photo, in pixels; −1 where nothing speaks for the class."""


class ExplainReport(Result):
    """Where a run looked on one picture."""

    image: str
    run: RunRef
    epoch: str
    """Whose weights answered: "best", or the snapshot."""
    label: str
    """What the picture is labelled; empty where nobody said."""
    classes: tuple[ExplainedClass, ...]
    """The answer first."""
    layers: tuple[tuple[str, ...], ...]
    """Layer, kind, size of what it gave, share of it that is 0 or less."""
    path: Produced
    """The page."""

    def display(self) -> Iterator[str | Table]:
        """Yields the classes and the layers."""
        said = f", labelled {self.label}" if self.label else ""
        yield f"{self.image}{said}, by {self.run} ({self.epoch})"
        rows = tuple(
            (
                one.label,
                f"{one.probability:.4f}",
                one.layer,
                f"{one.map_width}×{one.map_height}",
                "nothing speaks for it" if one.peak_x < 0 else f"{one.peak_x:.0f}, {one.peak_y:.0f}",
            )
            for one in self.classes
        )
        yield Table(("class", "probability", "layer", "map", "hottest at (px)"), rows)
        yield f"Heat says where, not why; it is no finer than the map. Page: {self.path}"


@operation("model.explain", stage=7, positional=("image",), libraries=LIBRARIES)
def explain(
    workspace: Workspace,
    *,
    run: RunRef,
    image: PictureName | None = None,
    file: LocalPath | None = None,
    answers: tuple[str, ...] = (),
    epoch: Annotated[int, Field(ge=0, le=10_000)] = 0,
    layer: str | None = None,
    layers: tuple[str, ...] = (),
) -> ExplainReport:
    """Show which parts of a picture speak for an answer (Grad-CAM), and what each layer gave.

    Args:
        run: the run.
        image: a picture of the project: its id, the beginning of its id, or its file.
        file: instead, the file of a picture that is not of the project.
        answers: the classes; when none is named, the two most probable and what the picture is labelled.
        epoch: the snapshot of that epoch; 0 for the best.
        layer: name of the layer whose maps are weighed; the last with a map when not given.
        layers: names of layers to draw; spread evenly over all when none is named.
    """
    from darkroom.evaluation.saliency import grad_cam, layer_maps
    from darkroom.images import apply_contract, decode, upright_photo
    from darkroom.networks.image_model import ImageModel
    from darkroom.networks.saved import load

    data, image_id, label = picture_named(workspace, image, file)
    path, weights = weights_of(workspace, run, epoch)
    network, card = load(path)
    _refuse_other_tasks(card, run)
    model = ImageModel.of(network, card)
    decoded = decode(data)
    prepared = apply_contract(decoded, card.contract)
    chosen = _classes(card, model, prepared.tensor, answers, label)
    heats = grad_cam(model, prepared.tensor, chosen, layer=layer)
    maps = layer_maps(model, prepared.tensor, layers=layers)
    rows = _rows(card, chosen, heats, prepared.transform)
    name = f"07-evaluation/explain-{run}-{image_id[:12]}.html"
    who = f"{run}, {weights}"
    page = _deliver(workspace, name, who, label, rows, heats, maps, upright_photo(decoded), prepared)
    return ExplainReport(
        image=str(image or file),
        run=run,
        epoch=weights,
        label=label,
        classes=rows,
        layers=tuple(_layer_row(one) for one in maps),
        path=page,
    )


def _refuse_other_tasks(card: ModelCard, run: str) -> None:
    if card.task != "classification":
        raise InvalidConfig(
            "explain.other-task",
            "Grad-CAM is of one answer for the whole picture; {run} answers {task}.",
            do="darkroom predict PICTURE --run {run} shows what it answers.",
            run=run,
            task=card.task,
        )


def _rows(
    card: ModelCard, chosen: Sequence[int], heats: Sequence[Heat], transform: Transform
) -> tuple[ExplainedClass, ...]:
    pairs = zip(chosen, heats, strict=True)
    return tuple(_explained(card.labels[one], heat, transform) for one, heat in pairs)


def _layer_row(one: LayerMap) -> tuple[str, ...]:
    return (one.name, one.kind, "×".join(map(str, one.shape)), f"{one.silent:.0%}")


def picture_named(workspace: Workspace, image: str | None, file: Path | None) -> tuple[bytes, str, str]:
    """Returns the bytes of a picture, its id, and its label, which a file outside the project has not.

    Raises:
        NotFound: there is no such picture.
        InvalidConfig: not exactly one of the two is named.
    """
    import hashlib

    from darkroom.operations.image_names import images_named

    if (image is None) == (file is None):
        raise InvalidConfig(
            "explain.one-of-two",
            "Name a picture of the project, or a file. Received: {what}.",
            do="darkroom model explain PICTURE --run RUN, or: --file photo.jpg --run RUN",
            what="neither" if image is None else "both",
        )
    if file is not None:
        if not file.is_file():
            raise NotFound(
                "explain.no-file",
                "No file {path}.",
                do="Name the file of a picture: --file photo.jpg",
                path=file,
            )
        data = file.read_bytes()
        return data, hashlib.sha256(data).hexdigest(), ""
    (image_id,) = images_named(workspace, [image or ""])
    held = next(iter(workspace.catalogue.annotations.current("class", [image_id])), None)
    label = held.value.label if held is not None and isinstance(held.value, ClassLabel) else ""
    return workspace.read_image(image_id), image_id, label


def weights_of(workspace: Workspace, run: str, epoch: int = 0) -> tuple[Path, str]:
    """Returns a run's weights of an epoch, 0 for the best, and how they are called.

    Raises:
        NotFound: the run has no weights, or kept none of that epoch.
    """
    from darkroom.operations.run_weights import refuse_lost_run

    refuse_lost_run(workspace, workspace.catalogue.runs.get(run))
    folder = workspace.runs_folder / run / "checkpoints"
    name = f"epoch-{epoch:03d}" if epoch else "best"
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        kept = sorted(int(one.stem[6:]) for one in folder.glob("epoch-*.safetensors"))
        raise NotFound(
            "explain.no-snapshot",
            "Run {run} kept no snapshot of epoch {epoch}. Kept: {kept}.",
            do="Name one of them, or leave epoch out; recipe.snapshot_every keeps more.",
            run=run,
            epoch=epoch,
            kept=", ".join(map(str, kept)) or "none beside the best epoch",
        )
    return path, f"epoch {epoch}" if epoch else "best"


def _classes(card: ModelCard, model, tensor: np.ndarray, answers: Sequence[str], label: str) -> list[int]:
    from darkroom.networks.predictor import predict

    for name in answers:
        if name not in card.labels:
            raise InvalidConfig(
                "explain.unknown-class",
                "The run knows no class {name!r}.{meant} Known: {known}.",
                do="Name one of these.",
                name=name,
                meant=nearest(name, card.labels),
                known=", ".join(card.labels),
            )
    if answers:
        return [card.labels.index(name) for name in dict.fromkeys(answers)]
    best = np.argsort(-predict(model, [tensor[None]])[0], kind="stable")[:2].tolist()
    named = [card.labels.index(label)] if label in card.labels else []
    return list(dict.fromkeys([*best, *named]))


def _explained(label: str, heat: Heat, transform: Transform) -> ExplainedClass:
    x = y = -1.0
    if heat.values.max() > 0:
        row, column = np.unravel_index(int(heat.values.argmax()), heat.values.shape)
        x, y = transform.to_original(float(column) + 0.5, float(row) + 0.5)
    return ExplainedClass(
        label=label,
        probability=heat.probability,
        layer=heat.layer,
        map_height=heat.grid[0],
        map_width=heat.grid[1],
        peak_x=x,
        peak_y=y,
    )


def _deliver(
    workspace: Workspace,
    place: str,
    who: str,
    label: str,
    rows: Sequence[ExplainedClass],
    heats: Sequence[Heat],
    maps: Sequence[LayerMap],
    photo: np.ndarray,
    prepared,
) -> str:
    from darkroom.operations.found_pages import deliver_found

    said = f", labelled {label}" if label else ""
    lead = (
        f"{place.rpartition('-')[2].removesuffix('.html')}{said}: answered {rows[0].label} "
        f"({rows[0].probability:.2f}) by {who}. Warm is what speaks for a class; it says where, not why."
    )
    sections = (_heat_section(rows, heats, photo, prepared), _layer_section(maps))
    return deliver_found(
        workspace, place, kind=f"Where it looked · {who}", lead=lead, sections=sections, papers=False
    )[0]


def _heat_section(
    rows: Sequence[ExplainedClass], heats: Sequence[Heat], photo: np.ndarray, prepared
) -> Section:
    from darkroom.documents.blocks import Pictures, Section, Shown, Text

    small, shrink = _smaller(photo)
    seen = prepared.tensor if prepared.tensor.shape[2] == 3 else prepared.tensor.repeat(3, 2)
    items = [
        Shown(_png(small), "The photo."),
        Shown(_png(seen), f"What the network sees, {seen.shape[1]}×{seen.shape[0]} px."),
    ]
    for row, heat in zip(rows, heats, strict=True):
        items.append(
            Shown(
                _png(_over(small, heat.values, prepared.transform, shrink)),
                f"{row.label}, {row.probability:.2f}"
                + ("" if heat.values.max() > 0 else ": nothing speaks for it"),
            )
        )
    words = (
        f"Grad-CAM on the layer {heats[0].layer}, whose maps are {heats[0].grid[1]}×{heats[0].grid[0]}: "
        "the heat is no finer than that. Each picture is brought to its own largest value."
    )
    return Section("heat", "Where it looked", (Text(words), Pictures(tuple(items))))


def _layer_section(maps: Sequence[LayerMap]) -> Section:
    from darkroom.documents.blocks import Block, Fold, Pictures, Section, Shown, Text
    from darkroom.images.heat import tiles

    blocks: list[Block] = [
        Text(
            "What layers gave for this picture, from the first to the last: the mean of all channels, then "
            "the channels that vary most. Dark is each map's least value, light its largest."
        )
    ]
    for one in maps:
        size = "×".join(map(str, one.shape))
        title = f"{one.name} ({one.kind}), {size}; {one.silent:.0%} of it is 0 or less"
        if not len(one.channels):
            strip = one.mean.repeat(8, 0)
            blocks.append(
                Fold(title, (Pictures((Shown(_png(tiles([strip], least_px=1)), "All values."),)),))
            )
            continue
        items = (
            Shown(_png(tiles([one.mean], least_px=160)), "Mean of all channels, without their signs."),
            Shown(
                _png(tiles(list(one.channels), columns=4, least_px=40)),
                f"Channels {', '.join(map(str, one.numbers))}.",
            ),
        )
        blocks.append(Fold(title, (Pictures(items),)))
    return Section("layers", "Layer by layer", tuple(blocks))


def _smaller(photo: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns a photo of at most `SIDE_PX` or so, every n-th pixel, and n."""
    step = max(1, -(-max(photo.shape[:2]) // SIDE_PX))
    return photo[::step, ::step], step


def _over(small: np.ndarray, values: np.ndarray, transform: Transform, step: int) -> np.ndarray:
    """Lays heat on the photo: each pixel takes the value of the tensor's pixel that it lies in."""
    from darkroom.images.heat import heat_over

    counts = np.rint(values * 255).astype(np.uint8)
    laid = transform.mask_to_original(counts)[::step, ::step]
    return heat_over(small, laid.astype(np.float32) / 255)


def _png(pixels: np.ndarray) -> bytes:
    from darkroom.serving.mask_prediction import png_of

    return png_of(np.ascontiguousarray(pixels))
