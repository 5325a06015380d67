"""The server of a project while it runs: where it answers, and by which word it knows who asks."""

from __future__ import annotations

from pydantic import AwareDatetime

from darkroom.records.record import Record

__all__ = ["RunningServer"]


class RunningServer(Record):
    """What stands in `.darkroom/server.json` while a server runs; only its user may read the file."""

    url: str
    """Where it answers, "http://127.0.0.1:8400"."""
    token: str
    """For programs: may name uploads and files under the allowed folders."""
    shell_token: str
    """For the shell of the same user: may name any file, as the shell alone may."""
    pid: int
    version: str
    """Version of Darkroom that answers."""
    started_at: AwareDatetime
