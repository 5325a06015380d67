"""Refuses connections that leave this machine; Python runs it at start when its folder is on PYTHONPATH."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any


class NetworkRefused(RuntimeError):
    """A test tried to reach another machine; not an OSError, lest a library takes it for bad weather."""


def refuse_network() -> None:
    """Replaces the ways out: connect, sendto and the lookup of names. A second call changes nothing."""
    if getattr(socket.socket.connect, "guarded", False):
        return
    for way in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, way, _guarded(getattr(socket.socket, way)))
    look_up = socket.getaddrinfo

    def getaddrinfo(host: Any, *arguments: Any, **options: Any) -> Any:
        _check(host)
        return look_up(host, *arguments, **options)

    socket.getaddrinfo = getaddrinfo


def _guarded(way: Any) -> Any:
    def go(self: socket.socket, *arguments: Any) -> Any:
        address = arguments[-1]
        if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
            _check(address[0])
        return way(self, *arguments)

    go.guarded = True
    return go


def _check(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost", socket.gethostname()):
        return
    try:
        address = ipaddress.ip_address(str(name).partition("%")[0])
    except ValueError:
        raise NetworkRefused(f"Tests work without a network; something looked up {name!r}.") from None
    if not (address.is_loopback or address.is_unspecified):
        raise NetworkRefused(f"Tests work without a network; something connected to {name}.")


refuse_network()
