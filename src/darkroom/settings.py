"""Machine settings: one class; each field is an environment variable `DARKROOM_<NAME>`.

Settings say how this machine works (engine, threads, database). What decides a result is not a setting
but a recipe or an option, and stands in darkroom.toml.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from darkroom.errors import InvalidConfig

__all__ = ["Settings", "available_cores", "memory_bytes"]


def _setting(default: Any, help: str) -> Any:
    return field(default=default, metadata={"help": help})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings in force."""

    database_url: str = _setting(
        "", "Catalogue of a team, postgresql://…; empty means SQLite inside the project."
    )
    engine: str = _setting("local", "Where maps and lists of tasks run; local is the only engine yet.")
    workers: int = _setting(0, "Processes that read pictures; 0 means one per core.")
    threads: int = _setting(0, "Threads of one training; 0 means one per core, at most 8.")
    max_pixels: int = _setting(
        100_000_000, "Pictures with more pixels than this are refused before they are decoded."
    )
    max_file_bytes: int = _setting(256_000_000, "Picture files larger than this are refused unread.")
    weights: str = _setting(
        "", "Files and folders with pretrained weights, parted as in PATH, beside the project's weights/."
    )
    armv7: str = _setting(
        "",
        "Folder of the Debian for 32-bit ARM that export armv7-setup builds; empty means darkroom/armv7 "
        "in the user's cache.",
    )
    keep_place: bool = _setting(False, "Keep the place that a camera wrote into a picture.")
    jobs_at_once: int = _setting(1, "Jobs that run at a time; the others wait in order.")
    job_grace_s: int = _setting(20, "Seconds that a job has to stop by itself before it is ended.")
    server_roots: str = _setting(
        "",
        "Folders, parted by colons, in which requests to the server may name files, beside the project.",
    )
    server_user_code: bool = _setting(
        False, "Requests to the server may name Python files, which then run."
    )
    server_names: str = _setting(
        "", "Further names, parted by commas, by which the server may be called; needed behind a proxy."
    )
    server_upload_bytes: int = _setting(
        4_000_000_000, "Uploads that the server keeps, all together; older than a day they go at its start."
    )
    progress: bool = _setting(True, "Draw progress bars on a terminal.")

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> Settings:
        """Reads the settings from the environment.

        Raises:
            InvalidConfig: a variable that counts does not hold a whole number.
        """
        environment = os.environ if environment is None else environment
        found: dict[str, object] = {}
        for setting in fields(cls):
            text = environment.get(variable_of(setting.name))
            if text is not None:
                found[setting.name] = _value(setting.name, setting.default, text)
        return cls(**found)  # type: ignore[arg-type]

    @property
    def worker_count(self) -> int:
        """Processes to use, with 0 replaced by the cores this process may use."""
        return self.workers or available_cores()


def variable_of(name: str) -> str:
    """Returns the environment variable that sets a setting."""
    return f"DARKROOM_{name.upper()}"


def available_cores() -> int:
    """Returns how many cores this process may use (its affinity, not the machine's size)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_bytes() -> int:
    """Returns how much memory this machine has; a large number where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 1 << 62


def _value(name: str, default: object, text: str) -> object:
    if isinstance(default, bool):
        return text.strip().lower() in {"1", "true", "yes", "on"}
    if isinstance(default, int):
        if not text.strip().isdigit():
            raise InvalidConfig(
                "setting.not-a-number",
                "Setting {variable}: expected a whole number. Received: {text!r}.",
                do="For example: export {variable}=2, or unset {variable} for what is usual.",
                variable=variable_of(name),
                text=text,
            )
        return int(text)
    return text
