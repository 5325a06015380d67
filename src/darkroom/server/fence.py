"""Which files a request may name: uploads, and paths that stay inside the allowed folders."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from darkroom.errors import Forbidden
from darkroom.operation import with_paths
from darkroom.records import Config
from darkroom.server.access import Access, Caller
from darkroom.server.uploads import PREFIX, Uploads

__all__ = ["fenced", "safe_join"]

C = TypeVar("C", bound=Config)


def fenced(request: C, *, access: Access, caller: Caller, uploads: Uploads) -> tuple[C, dict[str, str]]:
    """Returns a request with absolute paths that whoever asks may name, and how each was named.

    Raises:
        Forbidden: a path leads out of the allowed folders, or names code.
        NotFound: there is no such upload.
    """
    names: dict[str, str] = {}

    def looked_up(kind: str, key: str, path: Path) -> Path:
        found = allowed(kind, key, path)
        names[str(found)] = str(path)
        return found

    def allowed(kind: str, key: str, path: Path) -> Path:
        if kind == "picture":  # it is looked up in the catalogue, and not opened
            return access.roots[0] / path
        if kind == "code" and caller is not Caller.SHELL and not access.user_code:
            raise Forbidden(
                "request.no-code",
                '"{key}": code comes from the shell or from Python, not over HTTP.',
                do="Whoever runs the server can allow it: DARKROOM_SERVER_USER_CODE=1",
                key=key,
            )
        if str(path).startswith(PREFIX):
            return uploads.path(str(path))
        if caller is Caller.SHELL:
            return access.roots[0] / path
        return safe_join(access.roots, path, key=key)

    return with_paths(request, looked_up), names


def safe_join(roots: tuple[Path, ...], path: Path, *, key: str) -> Path:
    """Returns where a path leads when it stays inside one of the folders; links are followed first.

    Args:
        roots: allowed folders; a relative path starts at the first one, the project.
        path: what a request named.
        key: the request's key, for the message.

    Raises:
        Forbidden: it leads outside, or into what Darkroom keeps for itself.
    """
    try:
        found = (roots[0] / path).resolve()
    except (OSError, RuntimeError):  # links that go round
        raise _outside(roots, path, key) from None
    project = roots[0].resolve()
    if _is_hidden(found, project) or not any(found.is_relative_to(root.resolve()) for root in roots):
        raise _outside(roots, path, key)
    return found


def _is_hidden(found: Path, project: Path) -> bool:
    """Says whether a path leads into what Darkroom keeps for itself; bundles are for everybody.

    Capitals count as small letters: on some disks both name one folder.
    """
    parts = [part.casefold() for part in found.parts]
    kept = [part.casefold() for part in (project / ".darkroom").parts]
    return parts[: len(kept)] == kept and parts[len(kept) : len(kept) + 1] != ["bundles"]


def _outside(roots: tuple[Path, ...], path: Path, key: str) -> Forbidden:
    return Forbidden(
        "request.path",
        '"{key}": {path} is outside of what requests may name.',
        do="Send the file: POST /api/uploads?name=photo.jpg; or name one inside {roots}. "
        "DARKROOM_SERVER_ROOTS allows more folders.",
        key=key,
        path=path,
        roots=", ".join(map(str, roots)),
    )
