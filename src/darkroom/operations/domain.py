"""Operation that learns what a run's training pictures look like, so that strange ones are noticed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from darkroom.operation import Produced, RunRef, operation
from darkroom.operations.run_weights import LIBRARIES
from darkroom.records import Interval, Result, Table
from darkroom.workspace import Workspace

if TYPE_CHECKING:
    from darkroom.domain import Sketch

__all__ = ["domain"]

Rate = Annotated[float, Field(gt=0, le=0.2)]
Count = Annotated[int, Field(ge=50, le=100_000)]


class DomainReport(Result):
    """What the training pictures look like, and from where on a picture counts as different."""

    run: RunRef
    asked_rate: float
    """Share of false alarms that was asked for."""
    false_alarms: tuple[tuple[str, Interval, Interval | None], ...]
    """What a check rests on, the share of false alarms that is expected, and the share on test."""
    rows: tuple[tuple[str, ...], ...]
    """Property; its 1 %, median and 99 % over the training pictures."""
    calibration: tuple[tuple[str, ...], ...]
    """What a check rests on, pictures, expected false alarms, false alarms on test."""
    remarks: tuple[str, ...] = ()
    """What a reader of the figures must know."""
    path: Produced
    """The page."""

    def display(self) -> Iterator[str | Table]:
        """Yields the properties and the false alarms."""
        yield Table(("property", "1 %", "median", "99 %"), self.rows, f"Training pictures of {self.run}")
        columns = ("check by", "chosen on", "false alarms expected", "false alarms on test")
        yield Table(columns, self.calibration, f"Asked for: {self.asked_rate:.2%} false alarms")
        yield f"Page: {self.path}"
        yield from self.notes()

    def notes(self) -> Iterator[str]:
        """Yields what should be known about the figures."""
        yield from self.remarks


@operation("model.domain", slow=True, stage=7, libraries=LIBRARIES)
def domain(
    workspace: Workspace, *, run: RunRef, false_alarm_rate: Rate = 0.01, most_images: Count = 2000
) -> DomainReport:
    """Learn what a run's training pictures look like; predictions then say whether a picture does, too.

    Polarity, colour, brightness, contrast, sharpness, noise, size, stroke, place, and the network's
    features are learned from train; the thresholds are chosen on val and measured again on test. The sketch
    goes into every bundle that is converted afterwards.

    Args:
        run: the run.
        false_alarm_rate: share of pictures like val that may be called different, over all properties.
        most_images: pictures of each split that are looked at; drawn at random where there are more.
    """
    from darkroom.domain import write_sketch
    from darkroom.operations.domain_pages import deliver_domain
    from darkroom.operations.operating_points import keep_in_card
    from darkroom.operations.sketching import false_alarms_of, make_sketch, sketch_folder

    found = workspace.catalogue.runs.get(run)
    sketch = make_sketch(workspace, found, rate=false_alarm_rate, most_images=most_images)
    write_sketch(sketch_folder(workspace, found.id), sketch)
    keep_in_card(workspace, found.id, false_alarms=false_alarms_of(sketch))
    facts = sketch.facts
    return DomainReport(
        run=run,
        asked_rate=false_alarm_rate,
        false_alarms=tuple((one.used, one.expected, one.measured) for one in facts.calibrations),
        rows=tuple(_row(trait) for trait in facts.traits),
        calibration=tuple(
            (
                one.used,
                f"{one.images:,} of {facts.held_out}",
                shown_share(one.expected),
                "—" if one.measured is None else shown_share(one.measured),
            )
            for one in facts.calibrations
        ),
        remarks=remarks(sketch),
        path=deliver_domain(workspace, sketch),
    )


def remarks(sketch: Sketch) -> tuple[str, ...]:
    """Returns what a reader of a sketch's figures must know."""
    said = list(sketch.facts.notes)
    for one in sketch.facts.calibrations[:1]:
        if one.rate > sketch.facts.asked_rate:
            said.append(
                f"{one.images} held-out pictures cannot show a rate of {sketch.facts.asked_rate:.2%}; the "
                f"smallest they can is {one.rate:.2%}, which is kept."
            )
    for one in sketch.facts.calibrations:
        if one.measured is not None and one.measured.low > one.rate:
            said.append(
                f"By {one.used}, more of the test pictures than that are called different: "
                f"{shown_share(one.measured)}. Test is not like {sketch.facts.held_out}."
            )
    return tuple(said)


def shown_share(share: Interval) -> str:
    """Returns a small share in percent with its interval."""
    return f"{share.value:.2%} [{share.low:.2%}, {share.high:.2%}]"


def _row(trait) -> tuple[str, ...]:
    known, (low, _, middle, _, high) = trait.known, trait.quantiles
    return (known.name, known.said(low), known.said(middle), f"{known.said(high)}{known.unit}")
