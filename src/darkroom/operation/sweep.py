"""One request varied over lists of values: each combination is a request of its own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from darkroom.errors import InvalidConfig

__all__ = ["put", "swept"]


def swept(
    values: Mapping[str, Any], sweep: Mapping[str, Sequence[Any]]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yields each combination of a sweep and the request values that it makes.

    Args:
        values: the request before the sweep, nested as in TOML.
        sweep: dotted parameter → values, for example {"recipe.learning_rate": [0.1, 0.01]}.

    Raises:
        InvalidConfig: a parameter of the sweep has no values.
    """
    for key, choices in sweep.items():
        if not choices:
            raise InvalidConfig(
                "sweep.empty",
                'Sweep over "{key}" has no values.',
                do="Give it some in darkroom.toml, for example [0.001, 0.004], or leave it out.",
                key=key,
            )
    for combination in itertools.product(*sweep.values()):
        chosen = dict(zip(sweep, combination, strict=True))
        request: dict[str, Any] = dict(values)
        for key, value in chosen.items():
            request = put(request, key, value)
        yield chosen, request


def put(values: Mapping[str, Any], dotted: str, value: Any) -> dict[str, Any]:
    """Returns nested values with one of them replaced; the ones given stay as they are."""
    head, _, rest = dotted.partition(".")
    changed = dict(values)
    if rest:
        inside = changed.get(head, {})
        changed[head] = put(inside if isinstance(inside, Mapping) else {}, rest, value)
    else:
        changed[head] = value
    return changed
