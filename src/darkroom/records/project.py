"""darkroom.toml as a record: what we want, as a brief and a list of stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from darkroom.records.brief import Brief
from darkroom.records.record import Config, FrozenMap

__all__ = ["STAGE_KEYS", "ProjectFacts", "ProjectFile", "StageEntry"]

STAGE_KEYS = ("name", "operation", "sweep")
"""What a stage says of itself; all other keys are its operation's parameters."""


class ProjectFacts(Config):
    """What the project is called."""

    name: Annotated[str, Field(min_length=1)]
    """Name of the project; travels in the bundle."""


class StageEntry(Config):
    """One stage: an operation with its request, in file order."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$")]
    """Name of the stage; later stages take its result as "@name"."""
    operation: str
    """Operation to run, noun.verb."""
    sweep: FrozenMap[str, tuple[Any, ...]] = {}
    """Parameters to vary: each combination runs once."""
    request: FrozenMap[str, Any] = {}
    """The operation's own parameters; in the file they stand flat in the stage."""

    @model_validator(mode="before")
    @classmethod
    def _gather_request(cls, found: Any) -> Any:
        if not isinstance(found, Mapping) or "request" in found:
            return found
        head = {key: found[key] for key in STAGE_KEYS if key in found}
        return head | {"request": {key: found[key] for key in found if key not in STAGE_KEYS}}


class ProjectFile(Config):
    """The whole of darkroom.toml."""

    schema_version: Literal[1] = 1
    """Version of this file's shape."""
    project: ProjectFacts
    """What the project is called."""
    brief: Brief = Brief()
    """The problem, and what a good answer to it is."""
    stage: tuple[StageEntry, ...] = ()
    """Stages, in the order in which they run."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> ProjectFile:
        names = [stage.name for stage in self.stage]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two stages are called {twice[0]!r}; each stage needs a name of its own")
        return self
