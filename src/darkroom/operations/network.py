"""Operations on networks: the table, the pretrained weights on this machine, the layers of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from darkroom.networks.weights_file import WeightsFacts
from darkroom.operation import DatasetRef, Produced, UserCode, operation
from darkroom.operations.network_budget import COLUMNS as BUDGET
from darkroom.operations.run_weights import LIBRARIES
from darkroom.operations.starting import check_network, start_of, starting_inputs
from darkroom.records import Limits, Result, Table
from darkroom.workspace import Workspace

__all__ = ["describe", "networks", "weights"]


MANY_LAYERS = 40
"""With more layers the shell shows blocks; the page and --json show each layer."""


class NetworksReport(Result):
    """The table of networks."""

    rows: tuple[tuple[str, ...], ...]
    """Name, input, parameters, operations, licence, what it is good for."""
    budget: tuple[tuple[str, ...], ...] = ()
    """Where a limit or a dataset is named: name, input, file as float32 and as int8, operations, latency on
    a phone, and whether the brief can be met; all estimated from the table."""

    def display(self) -> Iterator[str | Table]:
        """Yields the table, short enough that its last column can be read, and the licences."""
        rows = tuple(
            (name, f"{side.partition('×')[0]} px", _short(parameters), _short(flops), summary)
            for name, side, parameters, flops, _, summary in self.rows
        )
        yield Table(("network", "input", "parameters", "flops", "good for"), rows)
        if self.budget:
            narrow = [place for place, name in enumerate(BUDGET) if name != "latency on a phone"]
            rows = tuple(tuple(row[place] for place in narrow) for row in self.budget)
            said = "Before training, estimated from the table; latency on a phone: unmeasured"
            yield Table(tuple(BUDGET[place] for place in narrow), rows, said)
            yield "Memory is that of the weights alone. Once trained: darkroom export verify, export bench"
        yield f"Licences: {_by_licence(self.rows)}. Exact numbers: darkroom model networks --json"


class DescribeReport(Result):
    """A network made ready for a dataset."""

    network: str
    parameters: int
    """How many trained numbers."""
    embedding_size: int
    weights: str
    """Where its weights began."""
    layers: tuple[tuple[str, ...], ...]
    """Name, kind, output shape, parameters."""
    path: Produced
    """The deliverable."""

    def display(self) -> Iterator[str | Table]:
        """Yields the layers."""
        size = f"{self.parameters:,} parameters, embedding of {self.embedding_size}"
        yield f"{self.network}: {size}, weights: {self.weights}"
        if len(self.layers) > MANY_LAYERS:
            yield Table(("block", "layers", "output", "parameters"), _blocks(self.layers))
        else:
            yield Table(("layer", "kind", "output", "parameters"), self.layers)
        yield f"Page: {self.path}"


class WeightsReport(Result):
    """Pretrained weights that are on this machine."""

    places: tuple[str, ...]
    """Where they are looked for."""
    rows: tuple[tuple[str, ...], ...]
    """Name, network, input, mean, deviation, licence, source."""
    problems: tuple[tuple[str, ...], ...]
    """File, and why it cannot be used."""

    def display(self) -> Iterator[str | Table]:
        """Yields a line for each, as names are long, what is wrong with others, and the places."""
        for name, network, side, mean, std, licence, source in self.rows:
            known = f"{licence or 'licence unknown'}; {source or 'source unknown'}"
            yield f"{name}: for {network}, {side}, mean {mean}, std {std}; {known}"
        for path, why in self.problems:
            yield f"Cannot be used: {path}. {why}"
        if not self.rows:
            yield "No usable weights yet. How to get some: docs/guide/networks-and-weights.md"
        if self.places:
            yield f"Looked in {', '.join(self.places)}; DARKROOM_WEIGHTS adds places."
        else:
            yield "Nowhere to look: there is no project here, and DARKROOM_WEIGHTS names no place."


def _by_licence(rows: tuple[tuple[str, ...], ...]) -> str:
    """Returns the licences in words: the commonest, then each other one with its networks."""
    common, *others = (licence for licence, _ in Counter(row[4] for row in rows).most_common())
    named = (f"{other} for {', '.join(row[0] for row in rows if row[4] == other)}" for other in others)
    return "; ".join((common, *named))


def _short(number: str) -> str:
    """Returns a whole number with three digits that count: "61.7 k", "3.50 M", "30.9 G"."""
    value = int(number.replace(",", ""))
    for size, unit in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if value >= size:
            digits = max(0, 3 - len(str(value // size)))
            return f"{value / size:.{digits}f} {unit}"
    return str(value)


def _blocks(layers: tuple[tuple[str, ...], ...]) -> tuple[tuple[str, ...], ...]:
    """Returns layers summed up by numbered block or part of the body: name, count, output, parameters."""
    blocks: dict[str, list[tuple[str, ...]]] = {}
    for row in layers:
        parts = row[0].split(".")
        numbered = len(parts) > 2 and parts[2].isdigit()
        blocks.setdefault(".".join(parts[: 3 if numbered else 2]), []).append(row)
    return tuple(
        (name, str(len(rows)), rows[-1][2], f"{sum(int(row[3].replace(',', '')) for row in rows):,}")
        for name, rows in blocks.items()
    )


@operation("model.weights", anywhere=True)
def weights(workspace: Workspace) -> WeightsReport:
    """List the pretrained weights in the project's folder weights/ and the places of DARKROOM_WEIGHTS.

    Without a project the places of DARKROOM_WEIGHTS alone are looked in.
    """
    from darkroom.networks.weights import survey_weights, weights_places

    places = weights_places(workspace.settings, workspace.root if workspace.is_project else None)
    found = survey_weights(places)
    return WeightsReport(
        places=tuple(str(place) + ("" if place.exists() else " (not there)") for place in places),
        rows=tuple(_weights_row(one.facts) for one in found if one.facts is not None),
        problems=tuple((str(one.path), one.problem) for one in found if one.facts is None),
    )


def _weights_row(facts: WeightsFacts) -> tuple[str, ...]:
    mean, std = (
        "/".join(f"{number:.3g}" for number in numbers)
        for numbers in (facts.normalisation.mean, facts.normalisation.std)
    )
    return (facts.name, facts.network, f"{facts.input_px} px", mean, std, facts.licence, facts.source)


@operation("model.networks", anywhere=True, later=("dataset", "most_flops"))
def networks(
    workspace: Workspace,
    *,
    dataset: DatasetRef | None = None,
    most_flops: Annotated[int, Field(gt=0)] | None = None,
) -> NetworksReport:
    """List the networks that can be trained, with their facts; works without a project too.

    Inside a project whose brief limits model_bytes or memory_bytes, or with one of the options, a second
    table says which of them can meet that, before any is trained.

    Args:
        dataset: the dataset to be trained on, for the size of the input, the classes and the task.
        most_flops: most operations for one picture.
    """
    from darkroom.networks import NETWORKS
    from darkroom.operations.network_budget import budget_rows

    limits = workspace.project.brief.limits if workspace.is_project else Limits()
    version = workspace.catalogue.datasets.get(dataset) if dataset else None
    asked = version is not None or most_flops is not None
    limited = limits.model_bytes is not None or limits.memory_bytes is not None
    return NetworksReport(
        budget=budget_rows(NETWORKS.values(), limits, version, most_flops) if asked or limited else (),
        rows=tuple(
            (
                entry.name,
                "×".join(map(str, entry.typical_input)),
                f"{entry.parameters:,}",
                f"{entry.flops:,}",
                entry.licence,
                entry.summary,
            )
            for entry in NETWORKS.values()
        ),
    )


def _described(
    workspace: Workspace, *, network: str, network_file: Path | None, weights: str, **_: Any
) -> Mapping[str, str]:
    return starting_inputs(workspace, network, network_file, weights)


@operation("model.describe", stage=5, inputs=_described, libraries=LIBRARIES)
def describe(
    workspace: Workspace,
    *,
    dataset: DatasetRef,
    network: str = "lenet5",
    dropout: float = 0.0,
    weights: str = "",
    network_file: UserCode | None = None,
) -> DescribeReport:
    """Make a network ready for a dataset and summarise it, layer by layer.

    Args:
        dataset: the dataset version whose tensors and classes it must fit.
        network: name in the table of networks, "timm/NAME", or "custom" with network_file.
        dropout: share of values set to zero while training.
        weights: name of pretrained weights to fill it with; empty for fresh ones.
        network_file: for custom, the Python file that defines it.
    """
    from darkroom.operations.deliverables import deliver_network

    version = workspace.catalogue.datasets.get(dataset)
    check_network(network, version.contract)
    start = start_of(workspace, network, network_file, weights)
    return deliver_network(workspace, version, network, dropout, start)
