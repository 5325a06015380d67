"""What a person says about one variable of a search: from where to where, or which values."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, model_validator

from darkroom.records import Config

__all__ = ["Span"]

RANGE = re.compile(r"^\s*(\S+?)\s*\.\.\s*(\S+?)(?:[\s:]+(log|linear))?\s*$")
FORM = "low..high, low..high:log, or values parted by |, such as 0.1..0.5, 1e-4..0.1:log, adamw|sgd"


def _text(value: Any) -> Any:
    """Returns a value as it is typed: numbers and yes or no stand in darkroom.toml without quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


class Span(Config):
    """Where one variable is searched; what is left out is taken from the option itself.

    In the shell it is one text: "low..high", "low..high:log", "one|other|third", or nothing.
    """

    low: float | None = None
    """Smallest value; goes with high."""
    high: float | None = None
    """Largest value; goes with low."""
    log: bool | None = None
    """Whether the search goes by powers rather than by steps; left out: as suits the option."""
    choices: tuple[Annotated[str, BeforeValidator(_text)], ...] = ()
    """The values, for words; also for numbers of which only these count."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, given: Any) -> Any:
        if not isinstance(given, str):
            return given
        text = given.strip()
        if text in ("", "default"):
            return {}
        found = RANGE.match(text)
        if found is None:
            if ".." in text:
                raise ValueError(FORM)
            return {"choices": [part.strip() for part in text.split("|") if part.strip()]}
        low, high, scale = found.groups()
        return {"low": low, "high": high, "log": None if scale is None else scale == "log"}

    @model_validator(mode="after")
    def _whole(self) -> Span:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high together")
        if self.low is not None and self.choices:
            raise ValueError("either low and high, or choices")
        if self.low is not None and self.high is not None and not self.low < self.high:
            raise ValueError("low below high")
        if self.log and self.low is not None and self.low <= 0:
            raise ValueError("low above 0 for a search by powers")
        return self
