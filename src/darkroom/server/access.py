"""Who may ask for what: the names the server is called by, its tokens, and what each lets through."""

from __future__ import annotations

import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from darkroom.settings import Settings

__all__ = ["Access", "Caller", "is_loopback", "new_token"]

_HOST = re.compile(r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:,@/\s]+))(?::[0-9]{1,5})?")


class Caller(Enum):
    """Who asks, known by the token."""

    PROGRAM = "http"
    """Fenced: uploads, files under the allowed folders, no code."""
    SHELL = "shell"
    """The shell of the user who started the server, and who could read any file without it."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """What the server checks each request against."""

    host: str
    """The address that it listens on."""
    token: str = field(repr=False)
    shell_token: str = field(repr=False)
    names: frozenset[str]
    """Names that a Host header may hold, in small letters."""
    roots: tuple[Path, ...]
    """Folders in which a program may name files; the first one is the project."""
    user_code: bool = False
    """Whether a program may name Python files."""

    @classmethod
    def of(cls, root: Path, settings: Settings, *, host: str = "127.0.0.1") -> Access:
        """Returns the access of a new server: fresh tokens, and what the settings allow."""
        more = [Path(text).expanduser() for text in settings.server_roots.split(":") if text.strip()]
        return cls(
            host=host,
            token=new_token(),
            shell_token=new_token(),
            names=_names(host, settings.server_names),
            roots=(root, *more),
            user_code=settings.server_user_code,
        )

    def caller(self, token: str) -> Caller | None:
        """Returns who holds a token, None for a wrong one; takes the same time for each."""
        given = token.encode("utf-8", "replace")
        shell = secrets.compare_digest(given, self.shell_token.encode())
        program = secrets.compare_digest(given, self.token.encode())
        return Caller.SHELL if shell else Caller.PROGRAM if program else None

    def is_called(self, name: str) -> bool:
        """Says whether a Host header names this server.

        A page that rebinds its name to this machine still sends that name, and is refused. An address is no
        name: on a server for other machines every address is let through.
        """
        bare = _without_port(name).lower()
        if bare in self.names:
            return True
        return not is_loopback(self.host) and _is_address(bare)


def new_token() -> str:
    """Returns a token that nobody guesses: 256 random bits."""
    return secrets.token_urlsafe(32)


def is_loopback(host: str) -> bool:
    """Says whether an address can be reached from this machine only."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _names(host: str, more: str) -> frozenset[str]:
    names = {"localhost", "127.0.0.1", "::1", host.lower()}
    if not is_loopback(host):
        names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
    return frozenset(names | {name.strip().lower() for name in more.split(",") if name.strip()})


def _without_port(name: str) -> str:
    """Returns a host without brackets and port, "" for what is none."""
    found = _HOST.fullmatch(name)
    return (found["address"] or found["name"]) if found else ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
