"""Fill a template with facts: one HTML file that needs nothing beside it and runs no script."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from darkroom.documents import wording
from darkroom.documents.picture import picture
from darkroom.statistics import against_limit

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

__all__ = ["html", "inline"]


def html(template: str, **facts: Any) -> bytes:
    """Returns a page as UTF-8.

    Args:
        template: name of a file under `templates/`, without its suffix.
        **facts: what the template shows; every text among them is escaped.
    """
    return _environment().get_template(f"{template}.html").render(**facts).encode()


def inline(svg: bytes) -> Markup:
    """Returns a figure of `figures` as a part of a page that is not escaped again."""
    from markupsafe import Markup

    return Markup(svg.decode())  # its texts are escaped by Matplotlib: tested with hostile names


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("darkroom.documents"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "count": wording.count,
        "duration": wording.duration,
        "ends": wording.ends,
        "listed": wording.listed,
        "number": wording.number,
        "picture": picture,
        "share": wording.share,
        "signed": wording.signed,
        "size": wording.size,
        "spell_spread": wording.spell_spread,
    }
    environment.globals |= {
        "against_limit": against_limit,
        "block_kind": lambda block: type(block).__name__,
        "drawing": lambda block: inline(block.draw("svg")),
        "paired": _paired,
        "undefined": wording.UNDEFINED,
    }
    return environment


def _paired(blocks: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """Yields blocks one by one, and two figures that follow each other together."""
    left = list(blocks)
    while left:
        both = len(left) > 1 and all(type(block).__name__ == "Drawing" for block in left[:2])
        yield tuple(left[: 1 + both])
        del left[: 1 + both]
