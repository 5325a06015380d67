"""A study's folder: what was asked for, Optuna's journal, and its trials in a form that anyone can read.

study.json       what was asked for
optuna.jsonl     Optuna's journal: what was proposed, reported and told
trials.jsonl     one line for each trial, written anew whenever one begins or ends
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filelock import FileLock
from pydantic import ValidationError

from darkroom import atomic
from darkroom.records import Contract, now
from darkroom.tuning.budget import Budget
from darkroom.tuning.journal import JOURNAL, damaged, load_optuna, open_storage, quiet, readable
from darkroom.tuning.recipes import base_values, propose
from darkroom.tuning.trial import SMALLER_IS_BETTER, StudyPlan, Trial, Value, Variable

if TYPE_CHECKING:
    import optuna
    from optuna.pruners import BasePruner

__all__ = ["Asked", "Study", "make_study", "read_plan"]

PLAN, TRIALS = "study.json", "trials.jsonl"

MOST_ATTEMPTS = 3
"""A trial whose process ended so often without a word is given up: it may end the next one as well."""

MOST_REPEATS = 30
"""So many proposals in a row that were there already: the space is used up."""

FACTS = "facts"
SESSION = "session"
SEED_STEP = 1_000_003
"""A prime, so that the seeds of two studies do not run into each other."""


class Asked(NamedTuple):
    """A trial that is to be trained now."""

    trial: Trial
    handle: Any
    """Optuna's trial."""
    reported: set[int]
    """Epochs that an earlier process reported."""


class Study:
    """A study that trials are taken from and told to, by several processes at once.

    Args:
        folder: of the study.
        session: of the call that works on it; a running trial of another session lost its process.

    Raises:
        MissingExtra: Optuna is not installed.
        Damaged: a file of the folder is not what was written.
    """

    def __init__(self, folder: Path, session: str = "") -> None:
        self.folder = folder
        self.plan = read_plan(folder)
        self._session = session
        self._ended: dict[int, Trial] = {}  # they never change again
        self._lock = FileLock(folder / "study.lock")
        with self._lock, readable(folder):
            self._optuna = _opened(folder, self.plan)

    @property
    def several_aims(self) -> bool:
        """Whether more than the metric is made good."""
        return len(self.plan.aims) > 1

    def trials(self) -> tuple[Trial, ...]:
        """Returns the trials so far, in the order in which they were asked for.

        Raises:
            Damaged: the journal is not what was written.
        """
        with readable(self.folder):
            return tuple(self._trial(one) for one in self._frozen() if one.state.name != "WAITING")

    def ask(self, budget: Budget) -> Asked | None:
        """Returns the next trial; None where the budget is spent, or the space holds no other.

        A trial that a process left without a word is taken up again before a new one is proposed.
        """
        with self._lock:
            asked = self._abandoned()
            if asked is not None:
                return asked
            trials = self.trials()
            if budget.is_spent(trials) or sum(one.counts for one in trials) >= budget.trials:
                return None
            return next((asked for asked in self._proposals() if asked is not None), None)

    def begin(self, asked: Asked, *, run: str, dataset: str) -> Asked:
        """Notes the run of a trial, before it is trained."""
        return asked._replace(trial=self._note(asked, run=run, dataset=dataset))

    def report(self, asked: Asked, epoch: int, value: float | None) -> bool:
        """Reports the metric of an epoch; returns whether the trial is to end.

        Args:
            asked: the trial.
            epoch: from 1 on.
            value: the metric; None where it has none.
        """
        if value is None or value != value or self.several_aims or self.plan.prune == "none":
            return False
        with self._lock, quiet():
            if epoch not in asked.reported:
                asked.reported.add(epoch)
                asked.handle.report(value, epoch - 1)  # Optuna's pruners count from 0
            return bool(asked.handle.should_prune())

    def finish(self, asked: Asked, figures: dict[str, float], **facts: Any) -> Trial:
        """Tells the figures of a trial that was trained to its end."""
        values = [figures[self.plan.metric if aim == "metric" else aim] for aim in self.plan.aims]
        return self._tell(asked, "COMPLETE", values, state="finished", figures=figures, **facts)

    def prune(self, asked: Asked, reason: str, **facts: Any) -> Trial:
        """Tells that a trial was ended at the end of an epoch."""
        return self._tell(asked, "PRUNED", None, state="pruned", reason=reason, **facts)

    def refuse(self, asked: Asked, reason: str) -> Trial:
        """Tells that a trial breaks a limit before it is trained: Optuna takes it for a bad one."""
        return self._tell(asked, "PRUNED", None, state="refused", reason=reason)

    def fail(self, asked: Asked, reason: str, **facts: Any) -> Trial:
        """Tells that a trial failed: Optuna learns nothing from it."""
        return self._tell(asked, "FAIL", None, state="failed", reason=reason, **facts)

    def let_go(self, asked: Asked) -> None:
        """Notes that a person stopped a trial: that is no attempt that failed."""
        self._note(asked, attempts=asked.trial.attempts - 1)

    def importance(self) -> dict[str, float]:
        """Returns how much each variable decides about the best trials; the shares add up to 1.

        Source: Watanabe, Bansal, Hutter, PED-ANOVA, 2023, as Optuna computes it.
        """
        import optuna

        count = sum(one.state.name == "COMPLETE" for one in self._frozen())
        if count < LEAST_FOR_IMPORTANCE:
            return {}
        best = min(0.5, max(0.1, 5 / count))  # at least five trials, as the evaluator asks for
        evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=best)
        names = [one.name for one in self.plan.variables]
        sign = 1 if self.plan.metric in SMALLER_IS_BETTER else -1
        metric = (lambda trial: sign * trial.values[0]) if self.several_aims else None
        with quiet():
            found = optuna.importance.get_param_importances(
                self._optuna, evaluator=evaluator, target=metric
            )
        return {
            name: found[name] for name in sorted(names, key=lambda one: -found.get(one, 0)) if name in found
        }

    def _trial(self, frozen: optuna.trial.FrozenTrial) -> Trial:
        found = self._ended.get(frozen.number)
        if found is None:
            found = _trial_of(frozen)
            if frozen.state.is_finished():
                self._ended[frozen.number] = found
        return found

    def _frozen(self) -> Sequence[optuna.trial.FrozenTrial]:
        return self._optuna.get_trials(deepcopy=False)

    def _abandoned(self) -> Asked | None:
        """Returns a running trial whose process is gone, taken up by this one."""
        import optuna

        for frozen in self._frozen():
            if frozen.state.name != "RUNNING" or frozen.user_attrs.get(SESSION) == self._session:
                continue
            self._seed_sampler(frozen.number)  # it may have ended before all values were proposed
            handle = optuna.trial.Trial(self._optuna, frozen._trial_id)
            asked = Asked(_trial_of(frozen), handle, {step + 1 for step in frozen.intermediate_values})
            if asked.trial.attempts >= MOST_ATTEMPTS:
                self.fail(asked, f"its process ended {MOST_ATTEMPTS} times without a word: out of memory?")
                continue
            handle.set_user_attr(SESSION, self._session)
            values = propose(self.plan, partial(_suggested, handle))
            return asked._replace(
                trial=self._note(asked, values=values, attempts=asked.trial.attempts + 1, began_at=now())
            )
        return None

    def _seed_sampler(self, number: int, *, by_chance: bool = False) -> None:
        """Makes the sampler anew for one trial, so that a search which goes on proposes the same."""
        import optuna

        seed = (self.plan.seed * SEED_STEP + number) % 2**32
        kind = optuna.samplers.RandomSampler if by_chance else optuna.samplers.TPESampler
        self._optuna.sampler = kind(seed=seed)

    def _proposals(self) -> Iterator[Asked | None]:
        """Yields None for each proposal that was there already, then one that is new."""
        for repeats in range(MOST_REPEATS):
            before = {_same(one): one for one in self.trials() if one.state != "repeated"}
            # After some repeats only chance leads out of the corner that the sampler is in.
            self._seed_sampler(len(self._frozen()), by_chance=repeats >= 3)
            with quiet():
                handle = self._optuna.ask()
                values = propose(self.plan, partial(_suggested, handle))
            handle.set_user_attr(SESSION, self._session)
            asked = Asked(Trial(number=handle.number, state="running", values=values), handle, set())
            twin = before.get(_same(asked.trial))
            if twin is None:
                yield asked._replace(trial=self._note(asked, began_at=now()))
                return
            self._tell(asked, "FAIL", None, state="repeated", reason=f"as trial {twin.number}")
            yield None

    def _note(self, asked: Asked, **facts: Any) -> Trial:
        with self._lock:
            trial = Trial.model_validate({**asked.trial.model_dump(), **facts})
            asked.handle.set_user_attr(FACTS, trial.model_dump(mode="json"))
            self._write_trials()
        return trial

    def _tell(self, asked: Asked, told: str, values: list[float] | None, **facts: Any) -> Trial:
        import optuna

        with self._lock, quiet():
            trial = Trial.model_validate({**asked.trial.model_dump(), **facts, "ended_at": now()})
            asked.handle.set_user_attr(FACTS, trial.model_dump(mode="json"))
            self._optuna.tell(asked.handle, values, optuna.trial.TrialState[told])
            self._write_trials()
        return trial

    def _write_trials(self) -> None:
        lines = (one.model_dump_json(exclude_defaults=True) + "\n" for one in self.trials())
        atomic.write_text(self.folder / TRIALS, "".join(lines))


LEAST_FOR_IMPORTANCE = 8
"""With fewer finished trials the shares are those of chance."""


def make_study(folder: Path, plan: StudyPlan, contract: Contract) -> None:
    """Makes the folder of a study, whole or not at all; its first trial is the recipe as it stands.

    Args:
        folder: where.
        plan: what is asked for.
        contract: of the dataset.

    Raises:
        MissingExtra: Optuna is not installed.
    """
    optuna = load_optuna()
    sides = ["minimize" if _is_small(plan, aim) else "maximize" for aim in plan.aims]
    with atomic.write_folder(folder) as aside:
        atomic.write_text(aside / PLAN, plan.model_dump_json(indent=1) + "\n")
        with quiet():
            made = optuna.create_study(storage=open_storage(aside), study_name=plan.id, directions=sides)
            values = base_values(plan, contract)
            if values:
                made.enqueue_trial(dict(values))


def read_plan(folder: Path) -> StudyPlan:
    """Returns what a study was asked for.

    Raises:
        Damaged: study.json is gone, or is not what was written.
    """
    try:
        return StudyPlan.model_validate_json((folder / PLAN).read_bytes())
    except (OSError, ValidationError) as error:
        raise damaged(folder, PLAN) from error


def _is_small(plan: StudyPlan, aim: str) -> bool:
    return (plan.metric if aim == "metric" else aim) in SMALLER_IS_BETTER


def _opened(folder: Path, plan: StudyPlan) -> optuna.Study:
    optuna = load_optuna()
    if not (folder / JOURNAL).is_file():
        raise damaged(folder, JOURNAL)
    with quiet():
        return optuna.load_study(study_name=plan.id, storage=open_storage(folder), pruner=_pruner(plan))


def _pruner(plan: StudyPlan) -> BasePruner:
    import optuna

    epochs = int(plan.recipe["epochs"])
    if plan.prune == "hyperband":
        least = max(1, epochs // 9)
        return optuna.pruners.HyperbandPruner(min_resource=least, max_resource=max(epochs, least + 1))
    if plan.prune == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=max(1, epochs // 4))
    return optuna.pruners.NopPruner()


def _suggested(handle: Any, variable: Variable) -> Value:
    if variable.kind == "choice":
        return handle.suggest_categorical(variable.name, list(variable.choices))
    if variable.kind == "int":
        return handle.suggest_int(variable.name, int(variable.low), int(variable.high), log=variable.log)
    return handle.suggest_float(variable.name, variable.low, variable.high, log=variable.log)


def _same(trial: Trial) -> tuple[tuple[str, Value], ...]:
    """Returns what two trials share that are one and the same."""
    return tuple(sorted(trial.values.items()))


def _trial_of(frozen: optuna.trial.FrozenTrial) -> Trial:
    facts = frozen.user_attrs.get(FACTS)
    if facts is None:  # its process ended between asking and noting
        return Trial(number=frozen.number, state="running", values=frozen.params)
    found = Trial.model_validate(facts)
    if frozen.state.name == "RUNNING" and found.state != "running":  # … or between noting and telling
        found = found.model_copy(update={"state": "running", "ended_at": None})
    return found
