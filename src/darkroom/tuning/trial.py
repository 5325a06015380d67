"""One trial of a search, and what a study was asked for: the records that lie in its folder."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime

from darkroom.records import Fact, FrozenMap, Gate, Record

__all__ = ["SMALLER_IS_BETTER", "Aim", "Metric", "StudyPlan", "Trial", "TrialState", "Value", "Variable"]

Value = bool | int | float | str

TrialState = Literal["running", "finished", "pruned", "failed", "refused", "repeated"]
"""pruned: stopped at the end of an epoch; refused: breaks a limit, and was not trained; repeated: asked for
what another trial was asked for."""

Aim = Literal["metric", "model_bytes", "memory_bytes", "latency_ms"]
Metric = Literal["val.accuracy", "val.loss", "val.mean_ap", "val.miou"]

SMALLER_IS_BETTER = ("val.loss", "model_bytes", "memory_bytes", "latency_ms")


class Variable(Fact):
    """One thing that trials differ in."""

    name: str
    """"recipe.learning_rate", "recipe.network", "width", "input_px"."""
    kind: Literal["int", "float", "choice"]
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Value, ...] = ()

    @property
    def words(self) -> str:
        """Where it is searched, as a person reads it."""
        if self.kind == "choice":
            return " | ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}{', by powers' if self.log else ''}"

    def holds(self, value: object) -> bool:
        """Says whether a value can be proposed."""
        if self.kind == "choice":
            return value in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high


class Trial(Fact):
    """One training of a search, as a line of trials.jsonl."""

    number: int
    """From 0 on, in the order in which they were asked for."""
    state: TrialState
    values: FrozenMap[str, Value]
    """What it was asked for, by variable."""
    run: str = ""
    """Its run; empty where nothing was trained."""
    dataset: str = ""
    """The dataset version that it trained on: another one for another input size."""
    figures: FrozenMap[str, float] = {}
    """"val.accuracy", "val.loss", "model_bytes", … of the epoch that was kept."""
    epochs: int = 0
    """Epochs that were trained."""
    reason: str = ""
    """Why it was pruned, failed, or refused."""
    gates: tuple[Gate, ...] = ()
    """The limits of the brief, where the search goes on until they hold."""
    attempts: int = 1
    """Processes that took it up; more than one after a kill."""
    began_at: AwareDatetime | None = None
    ended_at: AwareDatetime | None = None

    @property
    def counts(self) -> bool:
        """Whether it is one of the trials that the budget speaks of."""
        return self.state not in ("refused", "repeated")


class StudyPlan(Record):
    """What a study was asked for: study.json."""

    id: str
    """"s-1"."""
    key: str
    """sha256 of what decides which trials there are; the same request goes on with the same study."""
    dataset: str
    recipe: FrozenMap[str, Any]
    """The recipe that trials begin from, in full."""
    variables: tuple[Variable, ...]
    weights: FrozenMap[str, str] = {}
    """Network → pretrained weights that its trials begin with."""
    filtered: FrozenMap[str, str] = {}
    """Network → why none of its trials can be."""
    metric: Metric
    aims: tuple[str, ...]
    """What is made good, the metric first."""
    most_flops: int | None = None
    """Largest number of operations for one picture."""
    prune: Literal["median", "hyperband", "none"]
    seed: int
    created_at: AwareDatetime
