"""What a job is asked to do, checked before there is a job."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from darkroom.errors import Unsupported
from darkroom.operation import find_operation

__all__ = ["checked_request"]


def checked_request(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a request as it is kept: JSON values, and only what was given.

    Defaults are filled when the job runs, so that a request outlives a new version that drops an option
    which nobody set.

    Raises:
        NotFound: no such operation.
        InvalidConfig: the request is not what was expected.
        Unsupported: the operation answers at once, or works outside a project.
    """
    operation = find_operation(name)
    if not operation.needs_project:
        raise Unsupported(
            "job.no-project",
            "{name} works outside a project and cannot be a job of one.",
            do="Run it in a shell: darkroom {words}",
            name=name,
            words=operation.words,
        )
    if not operation.slow:
        raise Unsupported(
            "job.not-slow",
            "{name} answers at once and needs no job.",
            do="Call it directly: darkroom {words}",
            name=name,
            words=operation.words,
        )
    request = operation.validate(values).model_dump(mode="json", exclude_unset=True)
    operation.validate(request)
    return request
