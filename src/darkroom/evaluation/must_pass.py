"""Pictures that may never fail: what a run answers to them, kept with the run; and the gate on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from darkroom import atomic
from darkroom.evaluation.held import Wanted, blank
from darkroom.records import Gate, Record
from darkroom.records.record import Fact

__all__ = [
    "LIMIT",
    "KeptAnswer",
    "MustPass",
    "MustPassAnswer",
    "forget_must_pass",
    "keep_answers",
    "kept_answers",
    "must_pass_gates",
]

LIMIT = "must_pass_wrong"
FILE = "must-pass.json"


class KeptAnswer(Fact):
    """What a run says of one picture."""

    answer: str
    probability: float


class _Kept(Record):
    weights_sha256: str
    answers: dict[str, KeptAnswer]
    """By picture."""


class MustPassAnswer(Fact):
    """One picture of the must-pass list, as one run answers it."""

    image_id: str
    truth: str
    answer: str
    """The class that was answered; empty where the picture cannot be read."""
    probability: float
    split: str
    """Where the picture lies in the run's dataset; empty where it does not."""

    @property
    def right(self) -> bool:
        """Whether the right class was answered."""
        return self.answer == self.truth


class MustPass(Fact):
    """The must-pass list, as one run answers it."""

    run: str
    answers: tuple[MustPassAnswer, ...]

    @property
    def wrong(self) -> tuple[MustPassAnswer, ...]:
        """Those that are answered wrongly, or cannot be read."""
        return tuple(one for one in self.answers if not one.right)

    @property
    def trained_on(self) -> int:
        """How many of them the run learnt from: these prove little."""
        return sum(one.split == "train" for one in self.answers)


def kept_answers(run_folder: Path, weights_sha256: str) -> dict[str, KeptAnswer]:
    """Returns what a run with these weights has said of pictures so far; nothing where that is unknown."""
    try:
        found = _Kept.model_validate_json((run_folder / FILE).read_bytes())
    except (OSError, ValidationError):
        return {}
    return found.answers if found.weights_sha256 == weights_sha256 else {}


def keep_answers(run_folder: Path, weights_sha256: str, answers: Mapping[str, KeptAnswer]) -> None:
    """Keeps what a run says of pictures.

    Raises:
        StorageFailed: the disk is full or refuses.
    """
    kept = _Kept(weights_sha256=weights_sha256, answers=dict(answers))
    atomic.write_text(run_folder / FILE, kept.model_dump_json(indent=1) + "\n")


def forget_must_pass(run_folder: Path, image_ids: frozenset[str]) -> list[Path]:
    """Takes pictures out of what is kept; returns the files that changed."""
    path = run_folder / FILE
    if not path.is_file():
        return []
    try:
        found = _Kept.model_validate_json(path.read_bytes())
    except ValidationError:
        path.unlink(missing_ok=True)
        return [path]
    left = {name: one for name, one in found.answers.items() if name not in image_ids}
    if len(left) == len(found.answers):
        return []
    keep_answers(run_folder, found.weights_sha256, left)
    return [path]


def must_pass_gates(found: Sequence[MustPass], bound: int, *, alike: bool) -> tuple[Gate, ...]:
    """Returns a gate per run: how many pictures of the list it answers wrongly.

    Of clones the worst decides, since any of them may be handed over; of runs of different recipes one that
    holds is enough, since one of them is going to be chosen.

    Args:
        found: the list as each run answers it.
        bound: the largest number of wrong answers.
        alike: whether the runs are clones.
    """
    wanted = Wanted(LIMIT, "", float(bound), at_most=True)
    gates = [_gate(wanted, one) for one in found]
    if len(gates) < 2:
        return tuple(gates)
    wrong = [len(one.wrong) for one in found]
    if alike:
        worst = wrong.index(max(wrong))
        return tuple(
            gate.model_copy(update={"decides": place == worst}) for place, gate in enumerate(gates)
        )
    all_fail = all(gate.verdict == "fail" for gate in gates)
    return tuple(gate.model_copy(update={"decides": all_fail}) for gate in gates)


def _gate(wanted: Wanted, one: MustPass) -> Gate:
    if not one.answers:
        return blank(
            wanted, one.run, "", "no picture is on the list: darkroom image require PICTURE"
        ).model_copy(update={"unit": "pictures"})
    count = len(one.wrong)
    shown = ", ".join(wrong.image_id[:12] for wrong in one.wrong[:5])
    more = f" and {count - 5} more" if count > 5 else ""
    said = [f"wrong: {shown}{more}"] if count else []
    if one.trained_on:
        said.append(f"{one.trained_on} of {len(one.answers)} were trained on, and prove little")
    return blank(wanted, one.run, "must-pass", "; ".join(said)).model_copy(
        update={
            "unit": "pictures",
            "value": float(count),
            "verdict": "fail" if count > wanted.bound else "pass",
            "missed_by": count - wanted.bound if count > wanted.bound else None,
        }
    )
