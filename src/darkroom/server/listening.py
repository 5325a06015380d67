"""From start to stop: the lock, the socket, the file that says where it is, and an end in order."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import uvicorn

from darkroom import atomic
from darkroom.errors import Forbidden, Invalid, StorageFailed
from darkroom.jobs import JobRunner
from darkroom.pipeline.ownership import own_writing, server_file
from darkroom.records import RunningServer, now
from darkroom.server.access import Access, is_loopback
from darkroom.server.app import Desk, make_app
from darkroom.server.uploads import Uploads
from darkroom.workspace import Workspace

__all__ = ["listen", "listening"]

LOOK_S = 0.2
"""How often the main thread looks whether it shall stop."""

GRACE_S = 5
"""How long answers that are under way may take when the server stops."""

BACKLOG = 128
MOST_CONNECTIONS = 512


def listen(workspace: Workspace, *, host: str, port: int, exposed: bool) -> dict[str, Any]:
    """Serves a project until `workspace.stop_requested` is set or Ctrl-C comes; returns what to report.

    Raises:
        Forbidden: other machines could reach it, and nobody said that they may.
        Locked: another server holds the project.
        Invalid: the address is none of this machine's.
        StorageFailed: the port is taken.
    """
    _refuse_exposed(host, exposed)
    with _answering(workspace, host, port) as (server, access, url):
        try:  # from where the address can be read on, Ctrl-C is the usual end
            _say_where(workspace, url, access)
            workspace.tell(*_welcome(workspace, url, access))
            while server.alive() and not workspace.stop_requested.wait(LOOK_S):
                pass
        except KeyboardInterrupt:
            workspace.tell("Stopping.")
    return {"url": url, "requests": server.answered, **_left_jobs(workspace)}


@contextmanager
def listening(
    workspace: Workspace, *, host: str = "127.0.0.1", port: int = 0
) -> Iterator[tuple[_Server, Access, str]]:
    """Serves a project while the block runs; gives the server, its access and its address."""
    with _answering(workspace, host, port) as (server, access, url):
        _say_where(workspace, url, access)
        yield server, access, url


@contextmanager
def _answering(workspace: Workspace, host: str, port: int) -> Iterator[tuple[_Server, Access, str]]:
    """Answers while the block runs; in it the address must still be said."""
    with own_writing(workspace), _bound(host, port) as place:
        desk = _desk(workspace, host)
        with desk.jobs:
            server = _Server(desk, place)
            server.start()
            url = _url(host, place)
            try:
                yield server, desk.access, url
            finally:
                server_file(workspace).unlink(missing_ok=True)
                desk.closing.set()
                server.stop()


class _Server:
    """Uvicorn in a thread: signals stay with the main thread, which may be a notebook's."""

    def __init__(self, desk: Desk, place: socket.socket) -> None:
        config = uvicorn.Config(
            make_app(desk),
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            backlog=BACKLOG,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=GRACE_S,
        )
        self._server = uvicorn.Server(config)
        self._place = place
        self._thread = threading.Thread(target=self._run, daemon=True, name="http")
        self._ready = threading.Event()

    @property
    def answered(self) -> int:
        """Requests so far."""
        return self._server.server_state.total_requests

    def start(self) -> None:
        """Returns when requests are answered."""
        self._thread.start()
        while self._thread.is_alive() and not self._server.started:
            self._ready.wait(0.01)

    def alive(self) -> bool:
        """Says whether it still answers."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Lets answers under way come to an end, within the grace period."""
        self._server.should_exit = True
        self._thread.join(GRACE_S + 2)

    def _run(self) -> None:
        self._server.run(sockets=[self._place])


def _desk(workspace: Workspace, host: str) -> Desk:
    """Opens everything that the routes share before two of them can open it at once."""
    settings = workspace.settings
    _ = workspace.catalogue, workspace.blobs, workspace.engine
    uploads = Uploads(
        workspace.uploads_folder,
        file_bytes=settings.max_file_bytes,
        all_bytes=settings.server_upload_bytes,
    )
    uploads.sweep()
    return Desk(workspace, JobRunner(workspace), Access.of(workspace.root, settings, host=host), uploads)


@contextmanager
def _bound(host: str, port: int) -> Iterator[socket.socket]:
    """Gives a socket that listens.

    Raises:
        Invalid: the address is none of this machine's.
        StorageFailed: the port is taken.
    """
    try:
        family, address = _address(host, port)
        place = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        raise _no_address(host) from None
    with place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            place.bind(address)
            place.listen(BACKLOG)
        except OSError as error:
            raise _not_bound(host, port, error) from None
        yield place


def _address(host: str, port: int) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    """Returns family and address of a host; only a name is looked up."""
    try:
        version_of_ip = ipaddress.ip_address(host).version
    except ValueError:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return family, address
    return (socket.AF_INET6 if version_of_ip == 6 else socket.AF_INET), (host, port)


def _not_bound(host: str, port: int, error: OSError) -> Invalid | StorageFailed:
    if error.errno == errno.EADDRNOTAVAIL:
        return _no_address(host)
    return Invalid(
        "server.port",
        "Port {port} of {host} is not free: {why}.",
        do="Take another one: darkroom serve --port 0 finds a free port.",
        host=host,
        port=port,
        why=error.strerror or error,
    )


def _no_address(host: str) -> Invalid:
    return Invalid(
        "server.address",
        "{host!r} is no address of this machine.",
        do="For this machine alone: darkroom serve",
        host=host,
    )


def _refuse_exposed(host: str, exposed: bool) -> None:
    if not is_loopback(host) and not exposed:
        raise Forbidden(
            "server.exposed",
            "On {host} other machines reach the server. Whoever reads along on the network gets the token, "
            "and with it everything that the project holds: nothing is encrypted.",
            do="From elsewhere through ssh: ssh -L 8400:localhost:8400 THIS-MACHINE. If the network is "
            "yours alone: darkroom serve --host {host} --exposed",
            host=host,
        )


def _url(host: str, place: socket.socket) -> str:
    """Returns the address at which this machine reaches a socket; "localhost" may be either of two."""
    bound, port = place.getsockname()[:2]
    name = bound if host.lower() == "localhost" else host
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bound, name)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _say_where(workspace: Workspace, url: str, access: Access) -> None:
    facts = RunningServer(
        url=url,
        token=access.token,
        shell_token=access.shell_token,
        pid=os.getpid(),
        version=version("darkroom"),
        started_at=now(),
    )
    atomic.write_text(server_file(workspace), facts.model_dump_json(indent=1) + "\n", mode=0o600)


def _welcome(workspace: Workspace, url: str, access: Access) -> list[str]:
    lines = [
        f"Serving {workspace.root} at {url}",
        f"Token: {access.token}",
        f'Try: curl -X POST -H "Authorization: Bearer {access.token}" {url}/api/status',
        f"Operations: {url}/",
        "Commands in this project go through the server now. Stop: Ctrl-C",
    ]
    if not is_loopback(access.host):
        lines.insert(0, "Other machines can reach this server, and nothing is encrypted.")
    return lines


def _left_jobs(workspace: Workspace) -> dict[str, tuple[str, ...]]:
    return {
        f"jobs_{state}": tuple(job.id for job in workspace.catalogue.jobs.list(state, limit=None))
        for state in ("running", "waiting")
    }
