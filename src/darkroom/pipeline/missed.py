"""Remember the stage at which the last `darkroom run` missed a limit, so that status can say so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import AwareDatetime, ValidationError

from darkroom import atomic
from darkroom.operations.handed_over import spoken_taken_back
from darkroom.pipeline.plan import StagePlan
from darkroom.records import Record, Result, missed_gates, now
from darkroom.workspace import Workspace

__all__ = ["MissedStage", "forget_missed", "keep_missed", "last_missed"]


class MissedStage(Record):
    """A stage that ran and missed a limit."""

    stage: str
    fingerprint: str
    """Of what decides its result; while it is the same the miss still stands."""
    missed_at: AwareDatetime
    why: tuple[str, ...] = ()
    """The limits that are missed, in words."""
    taken_back: tuple[str, ...] = ()
    """What had been handed over before and was removed, as paths inside the project."""

    def stands(self, plan: StagePlan) -> bool:
        """Says whether nothing that decides the result of a stage changed since it missed."""
        return (plan.entry.name, plan.fingerprint) == (self.stage, self.fingerprint)

    def lines(self, *, stands: bool) -> tuple[str, ...]:
        """Returns the miss in words; one that no longer stands still says what was taken back."""
        why = tuple(f"{self.stage} missed a limit. {line}" for line in self.why) if stands else ()
        return tuple(filter(None, (*why, spoken_taken_back(self.taken_back))))


def keep_missed(
    workspace: Workspace, plan: StagePlan, results: Sequence[Result], taken_back: tuple[str, ...]
) -> None:
    """Keeps that a stage missed a limit; what an earlier `darkroom run` took back is still said."""
    before = last_missed(workspace)
    known = before.taken_back if before else ()
    earlier = [path for path in known if not (workspace.root / path).exists()]
    gates = [gate for result in results for gate in missed_gates(getattr(result, "gates", ()))]
    found = MissedStage(
        stage=plan.entry.name,
        fingerprint=plan.fingerprint,
        missed_at=now(),
        why=tuple(gate.sentence for gate in gates),
        taken_back=tuple(dict.fromkeys((*earlier, *taken_back))),
    )
    atomic.write_text(_file(workspace), found.model_dump_json(indent=1) + "\n")


def forget_missed(workspace: Workspace, stage: str) -> None:
    """Removes what is remembered of a miss of a stage: it is up to date again."""
    before = last_missed(workspace)
    if before is not None and before.stage == stage:
        _file(workspace).unlink(missing_ok=True)


def last_missed(workspace: Workspace) -> MissedStage | None:
    """Returns the last miss; None where there is none, or nothing that can be read."""
    try:
        return MissedStage.model_validate_json(_file(workspace).read_bytes())
    except (OSError, ValidationError):
        return None


def _file(workspace: Workspace) -> Path:
    return workspace.hidden / "missed.json"
