"""Hand over what each stage made: pages and folders under `deliverables/`, written whole."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darkroom import atomic
from darkroom.errors import DarkroomError
from darkroom.operations.kept import kept_json, kept_toml
from darkroom.operations.papers import Papers, deliver_papers
from darkroom.operations.run_costs import took
from darkroom.records import DatasetVersion, Gate, Run, content_id
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.documents import TrainedClone
    from darkroom.documents.blocks import Paper, Section
    from darkroom.evaluation import ClonesSummary, Evaluation
    from darkroom.export import ParityReport
    from darkroom.networks.start import NetworkStart
    from darkroom.operations.network import DescribeReport
    from darkroom.training import Augment

__all__ = [
    "deliver_evaluation",
    "deliver_network",
    "deliver_parity",
    "deliver_preview",
    "deliver_training",
    "evaluation_page_of",
    "thumbnails",
    "trained_clones",
    "training_page_of",
    "write_evaluation",
]

THUMBNAIL_PX = 160

KEPT_OF_A_RUN = ("metrics.jsonl", "config.toml", "model-card.json", "gates-val.json", "network.py")


def deliver_network(
    workspace: Workspace, version: DatasetVersion, network: str, dropout: float, start: NetworkStart
) -> DescribeReport:
    """Builds a network for a dataset, fills it with its weights, and writes its page.

    Raises:
        NotFound: there is no such network.
        InvalidConfig: it does not take the dataset's tensors.
    """
    from darkroom.documents import Layer, model_page
    from darkroom.networks import find
    from darkroom.networks.summary import embedding_size, layers
    from darkroom.operations.network import DescribeReport

    entry, contract = find(network), version.contract
    options: dict[str, float | int | str | bool] = (
        {"dropout": dropout} if "dropout" in entry.options else {}
    )
    built = start.network(
        network,
        channels=contract.channels,
        size=(contract.height_px, contract.width_px),
        classes=len(version.classes),
        options=options,
    )
    rows = [Layer(*facts) for facts in layers(built, contract.shape)]
    page = model_page(
        project=workspace.project.project.name,
        network=entry,
        contract=contract,
        labels=version.classes,
        parameters=built.parameter_count,
        layers=rows,
        options=options,
    )
    return DescribeReport(
        network=network,
        parameters=built.parameter_count,
        embedding_size=embedding_size(built, contract.shape),
        weights=start.origin.source,
        layers=tuple(
            (row.name, row.kind, "×".join(map(str, row.output)), f"{row.parameters:,}") for row in rows
        ),
        path=_write(workspace, "05-model/model.html", page),
    )


def deliver_training(workspace: Workspace, runs: list[Run], gates: Sequence[Gate] = ()) -> str:
    """Writes the page of one or several trainings of one recipe; returns its path.

    Beside it lies each run's metrics, config, best weights, and how it stood to the brief on val.
    """
    from darkroom.documents import training_page

    first = workspace.runs_folder / runs[0].id
    config = kept_toml(first / "config.toml")
    page = training_page(
        project=workspace.project.project.name,
        clones=trained_clones(workspace, runs),
        recipe=config.get("recipe", {}),
        dataset=runs[0].dataset,
        preview=_read(first / "augmentation.png"),
        environment=kept_json(first / "environment.json"),
        gates=gates,
        watched=_watched(workspace, runs[0]),
    )
    for run in runs:
        with atomic.write_folder(workspace.deliverables / "06-training" / run.id) as aside:
            _copy_run(workspace.runs_folder / run.id, aside)
    return _write(workspace, training_page_of([run.id for run in runs]), page)


def _watched(workspace: Workspace, run: Run) -> Section | None:
    """Returns what was watched while a run was trained."""
    from darkroom.documents.watching import watch_section
    from darkroom.operations.watching import watched_of

    found = watched_of(workspace, run)
    return watch_section(found, thumbnails(workspace, found.image_ids))


def training_page_of(runs: Sequence[str]) -> str:
    """Returns the place of the page of some trainings, inside the deliverables."""
    return f"06-training/{_listed(runs)}.html"


def evaluation_page_of(runs: Sequence[str], split: str) -> str:
    """Returns the place of the page of some evaluations, inside the deliverables."""
    return f"07-evaluation/{_listed(runs)}-{split}.html"


def deliver_evaluation(
    workspace: Workspace,
    evaluations: list[Evaluation],
    clones: ClonesSummary,
    *,
    gates: Sequence[Gate] = (),
    looks: str = "",
    more: Sequence[Section] = (),
) -> tuple[str, Papers]:
    """Writes the page of an evaluation, the same as .docx and PDF, and its figures as JSON.

    Args:
        workspace: the project.
        evaluations: one per run.
        clones: their summary.
        gates: the limits of the brief with their verdicts.
        looks: how often these pictures were looked at, over all runs, in words.
        more: further sections.

    Returns:
        The page's path, and what lies beside it.
    """
    from darkroom.documents import evaluation_page, evaluation_paper

    facts = {
        "evaluations": evaluations,
        "clones": clones,
        "pictures": thumbnails(workspace, (one.image_id for found in evaluations for one in found.worst)),
        "gates": gates,
        "human": workspace.project.brief.human_baseline,
        "looks_in_all": looks,
        "more": more,
    }
    return write_evaluation(workspace, facts, evaluation_page, evaluation_paper)


def write_evaluation(
    workspace: Workspace, facts: Mapping[str, Any], page: Callable[..., bytes], paper: Callable[..., Paper]
) -> tuple[str, Papers]:
    """Writes the page of an evaluation of any task, the same as .docx and PDF, and its figures as JSON.

    Args:
        workspace: the project.
        facts: what page and paper are made of: evaluations, clones, gates and more.
        page: makes the page.
        paper: makes the paper.

    Returns:
        The page's path, and what lies beside it.
    """
    facts = {"project": workspace.project.project.name, **facts}
    figures = {
        "gates": [gate.model_dump(mode="json") for gate in facts["gates"]],
        "clones": facts["clones"].model_dump(mode="json"),
        "runs": [one.model_dump(mode="json") for one in facts["evaluations"]],
    }
    sources = [one.source for one in facts["evaluations"]]
    place = evaluation_page_of([one.run for one in sources], sources[0].split)
    figures_place = place.removesuffix(".html") + ".json"
    _write(workspace, figures_place, (json.dumps(figures, indent=1) + "\n").encode())
    papers = deliver_papers(workspace, place, paper(**facts))
    return _write(workspace, place, page(**facts)), papers


def deliver_parity(workspace: Workspace, bundle: str, run: str, report: ParityReport) -> str:
    """Writes the page of a comparison and the comparison as JSON; returns the page's path."""
    from darkroom.documents import parity_page
    from darkroom.operations.compared_pictures import drawn_flips
    from darkroom.operations.precision_choice import kept_precisions

    flips = [flip.image_id for file in report.files for flip in file.flips]
    flips += [flip.image_id for file in report.files if file.pixels for flip in file.pixels.flips[:24]]
    page = parity_page(
        project=workspace.project.project.name,
        report=report,
        bundle=bundle,
        pictures=thumbnails(workspace, flips) | drawn_flips(workspace, run, report),
        tried=kept_precisions(workspace, bundle),
    )
    _write(workspace, "09-mobile/parity.json", (report.model_dump_json(indent=1) + "\n").encode())
    return _write(workspace, "09-mobile/parity.html", page)


def deliver_preview(workspace: Workspace, version: DatasetVersion, augment: Augment, seed: int) -> str:
    """Writes a contact sheet of augmented training pictures; returns its path."""
    import numpy as np
    from PIL import Image

    from darkroom.datasets import render
    from darkroom.training.augment import preview

    images = render(workspace, version).split("train")
    chosen = np.linspace(0, len(images) - 1, min(8, len(images))).astype(int)
    masks = images.gather_masks(chosen) if version.task == "segmentation" else None
    sheet = preview(images.gather(chosen), augment, seed=seed, masks=masks)
    file = io.BytesIO()
    Image.fromarray(sheet.squeeze(2) if sheet.shape[2] == 1 else sheet).save(file, "PNG")
    return _write(workspace, "06-augmentation.png", file.getvalue())


def trained_clones(workspace: Workspace, runs: Iterable[Run]) -> list[TrainedClone]:
    """Returns what pages show of trainings."""
    from darkroom.documents import TrainedClone
    from darkroom.training.run_folder import read_metrics

    runs = list(runs)
    costs = {run: tuple(cells) for run, *cells in took(runs)}
    return [
        TrainedClone(
            run=run.id,
            seed=run.seed,
            points=read_metrics(workspace.runs_folder / run.id),
            best_epoch=int(run.metrics.get("best_epoch", 0)),
            duration_s=run.metrics.get("duration_s"),
            took=costs.get(run.id, ()),
        )
        for run in runs
    ]


def thumbnails(workspace: Workspace, image_ids: Iterable[str], *, most: int = 96) -> dict[str, bytes]:
    """Returns small copies of pictures by id; one that cannot be read is left out."""
    from darkroom.images import thumbnail

    found: dict[str, bytes] = {}
    for image_id in list(dict.fromkeys(image_ids))[:most]:
        try:
            found[image_id] = thumbnail(workspace.read_image(image_id), THUMBNAIL_PX)
        except DarkroomError:
            continue
    return found


def _listed(runs: Sequence[str]) -> str:
    """Returns runs as a file name that says which they are: "r-1-r-2-r-3"."""
    named = "-".join(runs)
    return named if len(named) <= 100 else f"{runs[0]}-and-{len(runs) - 1}-more-{content_id(runs)[:8]}"


def _copy_run(folder: Path, place: Path) -> None:
    for name in (*KEPT_OF_A_RUN, "checkpoints/best.safetensors"):
        if (folder / name).is_file():
            (place / Path(name).name).write_bytes((folder / name).read_bytes())


def _write(workspace: Workspace, name: str, data: bytes) -> str:
    path = workspace.deliverables / name
    atomic.write_bytes(path, data)
    return workspace.relative(path)


def _read(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
