"""The ten stages of an image model's life as a board: what is done, missed, stale, missing or not built."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from darkroom.errors import DarkroomError, NotFound
from darkroom.locks import is_held
from darkroom.operation import find_operation
from darkroom.operations.forgotten import spoken_marks
from darkroom.operations.judged import count_looks
from darkroom.pipeline.agreement import disagreements
from darkroom.pipeline.missed import MissedStage, last_missed
from darkroom.pipeline.plan import StagePlan, plan_stage
from darkroom.pipeline.references import StageResults, produced_paths
from darkroom.records import Fact, MarkKind, Result, Slot, StageEntry, Table
from darkroom.workspace import Workspace

__all__ = ["LIFE_CYCLE", "Board", "BoardRow", "read_board"]

LIFE_CYCLE = (
    "problem",
    "research",
    "collect",
    "label and prepare",
    "model",
    "train",
    "evaluate",
    "tune and try",
    "convert",
    "deploy",
)
"""The ten stages, from 1 on."""

HOLDING: tuple[MarkKind, ...] = ("dataset", "run", "bundle")
"""What can have held a picture that was forgotten."""

BUILT = frozenset({1, 3, 4, 5, 6, 7, 8, 9})
"""Stages that some operation does. Asking the operations themselves would load every module of them, which
takes longer than all the rest of a board; a test holds this against them."""

TRYING = LIFE_CYCLE.index("tune and try") + 1

RowState = Literal["done", "missed", "stale", "missing", "not built"]


class BoardRow(Fact):
    """One of the ten stages."""

    number: int
    title: str
    state: RowState
    """missed: it ran, and a limit does not hold; not built: this version has nothing for it yet."""
    why: str = ""
    """Why it is not done, or what to do."""
    owner: str = ""
    approval: str = ""
    """Who said yes, and when."""
    deliverables: tuple[str, ...] = ()
    """Paths inside the project."""

    @property
    def handed_over(self) -> str:
        """The deliverables, a line each, without the folder that holds them all."""
        return "\n".join(path.removeprefix("deliverables/") for path in self.deliverables)


class Board(Result):
    """The ten stages of a project."""

    project: str
    images: int
    """Pictures in the catalogue."""
    labelled: int
    """Pictures with a class; with a mask where none has a class and some have masks."""
    slot: str = "class"
    """What was counted: "class" or "mask"."""
    rows: tuple[BoardRow, ...]
    at_work: str = ""
    """What a `darkroom run` is doing right now; empty when none is at work."""
    forgotten: tuple[str, ...] = ()
    """Which datasets, runs and bundles held a picture that was forgotten since, in words."""
    looks: tuple[str, ...] = ()
    """How often the test pictures of each dataset version were looked at, over all runs."""
    missed: tuple[str, ...] = ()
    """Which limit the last `darkroom run` missed, and what was taken back for it."""
    problems: tuple[str, ...] = ()
    """What is wrong with stages of darkroom.toml that are none of the ten, and where two disagree."""

    def display(self) -> Iterator[str | Table]:
        """Yields the board."""
        what = next((said for name, said in SLOTS if name == self.slot), "a class")
        yield f"{self.project}: {self.images:,} pictures, {self.labelled:,} with {what}"
        if self.at_work:
            yield self.at_work
        rows = [
            (str(row.number), row.title, row.state, row.handed_over, row.owner, row.approval, row.why)
            for row in self.rows
        ]
        columns = ("", "stage", "state", "in deliverables/", "owner", "approved", "because")
        filled = [place for place in range(len(columns)) if any(row[place] for row in rows)]
        yield Table(
            tuple(columns[place] for place in filled),
            tuple(tuple(row[place] for place in filled) for row in rows),
        )
        yield from self.missed
        yield from self.looks
        yield from self.problems
        yield from self.forgotten


SLOTS: tuple[tuple[Slot, str], ...] = (("class", "a class"), ("classes", "labels"), ("mask", "a mask"))
"""What pictures may have been given, and what it is called."""


def _answered(workspace: Workspace, slot: Slot) -> int:
    """Returns how many pictures have an answer; "none of these" is one where several may hold."""
    found = workspace.catalogue.annotations.counts(slot)
    return found.answered + (found.states.get("none_of_these", 0) if slot == "classes" else 0)


def read_board(workspace: Workspace) -> Board:
    """Reads the state of all ten stages; runs nothing."""
    missed = last_missed(workspace)
    states = _stage_states(workspace, missed)
    catalogue = workspace.catalogue
    counts = {slot: _answered(workspace, slot) for slot, _ in SLOTS}
    slot = next((slot for slot, _ in SLOTS if counts[slot]), "class")
    return Board(
        project=workspace.project.project.name,
        images=catalogue.images.count(),
        labelled=counts[slot],
        slot=slot,
        rows=tuple(_row(workspace, number, title, states) for number, title in enumerate(LIFE_CYCLE, 1)),
        at_work=_at_work(workspace),
        missed=_missed(missed, states),
        looks=tuple(_looks(workspace)),
        forgotten=tuple(line for kind in HOLDING for line in spoken_marks(workspace, kind)),
        problems=(*_problems(states), *disagreements(workspace.project.stage)),
    )


def _looks(workspace: Workspace) -> Iterator[str]:
    """Yields a line per dataset version whose test pictures were looked at."""
    for dataset in dict.fromkeys(run.dataset for run in workspace.catalogue.runs.list()):
        looks = count_looks(workspace, dataset)
        if looks.count:
            yield f"test of {dataset} was looked at {looks.words}."


def _problems(states: list[_Seen]) -> Iterator[str]:
    return (f"{seen.name}: {seen.why}" for seen in states if seen.number is None and seen.wrong)


def _missed(missed: MissedStage | None, states: list[_Seen]) -> tuple[str, ...]:
    """Returns the last miss in words, while the stage that missed is not up to date again."""
    if missed is None:
        return ()
    states_now = {seen.name: seen.state for seen in states}
    if states_now.get(missed.stage, "done") == "done":
        return ()
    return missed.lines(stands=states_now[missed.stage] == "missed")


def _at_work(workspace: Workspace) -> str:
    """Returns what another process is doing to this project, in words."""
    if not is_held(workspace.run_lock):
        return ""
    for run in reversed(workspace.catalogue.runs.list(state="running")):
        metrics = workspace.runs_folder / run.id / "metrics.jsonl"
        epochs = metrics.read_bytes().count(b"\n") if metrics.is_file() else 0
        return f"A `darkroom run` is at work: it trains {run.id}, {epochs} epochs are done."
    return "A `darkroom run`, or somebody who deletes, is at work."


class _Seen(Fact):
    """What was found about one entry of darkroom.toml."""

    name: str
    number: int | None
    state: RowState
    why: str = ""
    paths: tuple[str, ...] = ()
    wrong: bool = False
    """Whether the entry itself is wrong."""


def _stage_states(workspace: Workspace, missed: MissedStage | None) -> list[_Seen]:
    given = StageResults()
    seen: list[_Seen] = []
    unfinished: set[str] = set()
    for entry in workspace.project.stage:
        if _waits(entry, unfinished):
            last = workspace.catalogue.stages.last(entry.name)
            state: RowState = "stale" if last else "missing"
            seen.append(
                _Seen(
                    name=entry.name,
                    number=_number(entry),
                    state=state,
                    why="waits for a stage before it",
                )
            )
            unfinished.add(f"@{entry.name}")
            continue
        found = _examine(workspace, entry, given, missed)
        seen.append(found)
        if found.state != "done":
            unfinished.add(f"@{entry.name}")
    return seen


def _number(entry: StageEntry) -> int | None:
    """Returns which of the ten stages an entry of darkroom.toml belongs to, None where nobody knows."""
    try:
        return find_operation(entry.operation).stage
    except NotFound:
        return None


def _examine(
    workspace: Workspace, entry: StageEntry, given: StageResults, missed: MissedStage | None
) -> _Seen:
    try:
        plan = plan_stage(workspace, entry, given)
    except DarkroomError as error:
        return _Seen(name=entry.name, number=_number(entry), state="stale", why=error.message, wrong=True)
    results = list(plan.last.result["results"]) if plan.last else []
    if plan.state == "done":
        given.put(entry.name, plan.operation, results)
    paths = [path for result in results for path in produced_paths(plan.operation, result)]
    state, why = _standing(plan, missed)
    return _Seen(
        name=entry.name,
        number=plan.operation.stage,
        state=state,
        why=why,
        paths=tuple(path for path in paths if (workspace.root / path).exists()),
    )


def _standing(plan: StagePlan, missed: MissedStage | None) -> tuple[RowState, str]:
    if plan.state != "done" and missed is not None and missed.stands(plan):
        return "missed", "a limit is missed"
    return plan.state, "; ".join(plan.why[:2])


def _waits(entry: StageEntry, unfinished: set[str]) -> bool:
    texts = [
        text
        for value in entry.request.values()
        for text in (value if isinstance(value, list | tuple) else [value])
    ]
    return any(text in unfinished for text in texts if isinstance(text, str))


def _row(workspace: Workspace, number: int, title: str, states: list[_Seen]) -> BoardRow:
    brief = workspace.project.brief
    approvals = [
        f"{approval.by}, {approval.on}"
        for approval in brief.approvals
        if approval.stage in (title, str(number))
    ]
    mine = [seen for seen in states if seen.number == number]
    state, why = _sum_up(workspace, number, mine)
    return BoardRow(
        number=number,
        title=title,
        state=state,
        why=why,
        owner=brief.owner,
        approval="; ".join(approvals),
        deliverables=tuple(dict.fromkeys(path for seen in mine for path in seen.paths)),
    )


def _sum_up(workspace: Workspace, number: int, mine: list[_Seen]) -> tuple[RowState, str]:
    if number == 1:
        if workspace.project.brief.statement:
            return "done", ""
        return "missing", "say it under [brief] in darkroom.toml"
    if number not in BUILT:
        return "not built", ""
    if not mine and number == TRYING:
        return (
            "missing",
            "search for a better recipe with a stage model.tune; or ask about pictures of your own, which "
            "is not recorded: darkroom predict photo.jpg",
        )
    if not mine:
        return "missing", "no stage of darkroom.toml does this"
    for state in ("missed", "missing", "stale"):
        reasons = [f"{seen.name}: {seen.why}" for seen in mine if seen.state == state]
        if reasons:
            return state, "; ".join(reasons)
    return "done", ""
