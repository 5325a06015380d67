"""What the brief decides for operations: its words in the card, and what of it makes a stage stale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from darkroom.records import content_id
from darkroom.workspace import Workspace

__all__ = ["CARD_WORDS", "brief_content", "card_words"]

CARD_WORDS = ("intended_use", "not_for", "human_review", "licence")
"""Fields of the brief that travel in the model card."""


def brief_content(workspace: Workspace, **_: Any) -> Mapping[str, str]:
    """Returns the brief as an input of a stage that shows it."""
    return {"brief": content_id(workspace.project.brief)}


def card_words(workspace: Workspace, **_: Any) -> Mapping[str, str]:
    """Returns the words of the brief that travel in the card, as an input."""
    brief = workspace.project.brief
    return {"brief.card": content_id({name: getattr(brief, name) for name in CARD_WORDS})}
