"""The spread of figures over clones, as rows that a person reads."""

from __future__ import annotations

from collections.abc import Sequence

from darkroom.records import Run, Spread

__all__ = ["COLUMNS", "clipped_spread", "spread_row", "val_spreads"]

COLUMNS = ("mean", "sd", "min", "max", "95 % interval of the mean")

SHARES = ("accuracy", "mean_ap", "micro_ap", "miou", "f1", "exact_match", "precision", "recall")
"""Endings of figures that lie between 0 and 1."""


def val_spreads(runs: Sequence[Run]) -> dict[str, Spread]:
    """Returns the spread of each figure of the validation pictures that all runs have."""
    found: dict[str, Spread] = {}
    for name in runs[0].metrics if runs else ():
        if name.startswith("val.") and all(name in run.metrics for run in runs):
            found[name] = clipped_spread(name, [run.metrics[name] for run in runs])
    return found


def clipped_spread(name: str, values: Sequence[float]) -> Spread:
    """Returns the spread of a figure over clones; the interval of a share ends at 0 and at 1, others at 0.

    Source: the interval of the mean is Student's, The probable error of a mean, 1908.
    """
    from darkroom.evaluation.clones import share_spread
    from darkroom.statistics import spread

    if name.endswith(SHARES):
        return share_spread(values, 0.95)
    found = spread(values)
    if found.interval is None or min(values) < 0:
        return found
    low = max(0.0, found.interval.low)
    return found.model_copy(update={"interval": found.interval.model_copy(update={"low": low})})


def spread_row(name: str, found: Spread) -> tuple[str, ...]:
    """Returns a figure's name, mean, sd, min, max and the interval of the mean, as text."""
    interval = found.interval
    ends = "—" if interval is None else f"[{interval.low:.4f}, {interval.high:.4f}]"
    sd = "—" if found.sd is None else f"{found.sd:.4f}"
    return (name, f"{found.mean:.4f}", sd, f"{found.min:.4f}", f"{found.max:.4f}", ends)
