"""The page of the problem: the brief as people read it, and what it does not say yet."""

from __future__ import annotations

from collections.abc import Iterator

from darkroom.documents import wording
from darkroom.documents.page import html
from darkroom.records import Brief, Limits

__all__ = ["limit_lines", "problem_page"]

WANTED = {
    "statement": "the problem (statement)",
    "intended_use": "what the model is for (intended_use)",
    "not_for": "what it must not be used for (not_for)",
    "owner": "who answers for it (owner)",
    "risks": "risks",
}


def problem_page(*, project: str, brief: Brief) -> bytes:
    """Returns the page of a brief.

    Args:
        project: name of the project.
        brief: the brief.
    """
    missing = [words for field, words in WANTED.items() if not getattr(brief, field)]
    if brief.limits.accuracy is None and not brief.limits.recall:
        missing.append("how good is good enough ([brief.limits])")
    return html(
        "problem", project=project, brief=brief, limits=tuple(limit_lines(brief.limits)), missing=missing
    )


def limit_lines(limits: Limits) -> Iterator[tuple[str, str]]:
    """Yields each limit that is set, in words."""
    if limits.accuracy is not None:
        yield "Accuracy, at least", wording.share(limits.accuracy)
    for name, least in limits.recall.items():
        yield f"Recall of “{name}”, at least", wording.share(least)
    if limits.expected_cost is not None:
        yield "Mean cost of a picture, at most", wording.number(limits.expected_cost)
    for name, size_bytes in (
        ("Model file", limits.model_bytes),
        ("Bundle", limits.bundle_bytes),
        ("Memory of one prediction", limits.memory_bytes),
    ):
        if size_bytes is not None:
            yield f"{name}, at most", wording.size(size_bytes)
    if limits.latency_ms is not None:
        yield "Latency on this host, at most (advice)", f"{wording.number(limits.latency_ms)} ms"
    yield "Exported files answer alike on at least", wording.share(limits.parity_agreement)
    yield "A probability differs by at most", wording.number(limits.parity_max_abs, 2)
