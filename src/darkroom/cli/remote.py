"""The shell through a running server: the same call, progress, result and errors."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from darkroom.errors import Conflict, DarkroomError, Locked, MissingExtra
from darkroom.jobs import ending_error
from darkroom.operation import Operation, as_named, error_as_named, with_paths
from darkroom.pipeline.ownership import running_server
from darkroom.records import Config, Job, JobEvent, Result, RunningServer, result_of
from darkroom.workspace import Progress, Workspace

__all__ = ["Remote"]

CONNECT_S = 5.0
AGAIN_S = 1.0
"""How long to wait where the server has no room for one more who follows a job."""

SILENCE_S = 60.0
"""After this long without a sign of life, events are asked for anew; the server gives one every 10 s."""


class Remote:
    """A running server, called by the shell of the same user.

    Args:
        workspace: the project; progress is reported to it.
        server: how to reach its server.
    """

    def __init__(self, workspace: Workspace, server: RunningServer) -> None:
        try:
            import httpx
        except ImportError:
            raise MissingExtra(
                "extra.server-client",
                "The server {url} holds this project, and to reach it the package httpx is needed.",
                do='pip install "darkroom[server]"',
                url=server.url,
            ) from None
        _refuse_other_version(server)
        self._workspace = workspace
        self._server = server
        self._known = 0  # number of the last event of the job that is followed
        self._trouble = httpx.TransportError
        self._client = httpx.Client(
            base_url=server.url,
            headers={"Authorization": f"Bearer {server.shell_token}"},
            timeout=httpx.Timeout(None, connect=CONNECT_S),
            trust_env=False,  # a proxy of the surroundings does not reach this machine's own address
        )

    @classmethod
    def of(cls, workspace: Workspace) -> Remote | None:
        """Returns the server that holds a project, or None where the shell works by itself."""
        server = running_server(workspace)
        return cls(workspace, server) if server else None

    def call(self, operation: Operation, request: Config) -> Result:
        """Has the server run an operation; a slow one is followed until it ends, Ctrl-C stops it.

        Raises:
            DarkroomError: what the operation raised, or the server does not answer.
        """
        names: dict[str, str] = {}
        pictures: dict[str, str] = {}

        def absolute(kind: str, _key: str, path: Path) -> Path:
            found = Path.cwd() / path
            if kind == "picture" and not found.exists() and (self._workspace.root / path).exists():
                return path  # the server takes it from the project's folder
            (pictures if kind == "picture" else names)[str(found)] = str(path)
            return found

        body = with_paths(request, absolute).model_dump(mode="json", exclude_unset=True)
        try:
            said = self._ask("POST", f"/api/{operation.name.replace('.', '/')}", body)
            if operation.slow:
                said = self._ended(Job.model_validate(said))
        except DarkroomError as error:
            raise error_as_named(error, names | pictures) from error
        return result_of(operation.result, as_named(said, names))

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def _ended(self, job: Job) -> dict[str, Any]:
        """Waits until a job ends and returns its result; stops it when this command is stopped."""
        self._known = 0
        try:
            self._say_if_it_waits(job)
            self._follow(job)
        except KeyboardInterrupt:
            self._workspace.tell(f"Stopping {job.id}; Ctrl-C again leaves it to the server.")
            self._stop(job)
            self._follow(job)
        job = Job.model_validate(self._ask("GET", f"/api/jobs/{job.id}"))
        if job.result is not None:
            return dict(job.result)
        raise ending_error(job)

    def _stop(self, job: Job) -> None:
        with suppress(Conflict):  # it had ended before
            self._ask("POST", f"/api/jobs/{job.id}/cancel")

    def _follow(self, job: Job) -> None:
        """Passes the progress of a job on from where it was left, until the job has ended."""
        while True:
            for event in self._events(job.id):
                self._known = event.seq
                if event.kind == "progress":
                    self._report(event)
            if Job.model_validate(self._ask("GET", f"/api/jobs/{job.id}")).ended:
                return

    def _say_if_it_waits(self, job: Job) -> None:
        running = self._ask("GET", "/api/jobs?state=running")["jobs"]
        ahead = [other["id"] for other in running if other["id"] != job.id]
        if ahead and job.state == "waiting":
            self._workspace.tell(f"{job.id} waits for its turn after {', '.join(ahead)}.")

    def _report(self, event: JobEvent) -> None:
        if self._workspace.listener is not None:
            said = {name: event.data[name] for name in Progress._fields if name in event.data}
            self._workspace.listener(Progress(**said))

    def _events(self, job_id: str) -> Iterator[JobEvent]:
        import httpx

        timeout = httpx.Timeout(SILENCE_S, connect=CONNECT_S)
        address = f"/api/jobs/{job_id}/events?after={self._known}"
        try:
            with self._client.stream("GET", address, timeout=timeout) as response:
                if response.is_error:
                    time.sleep(AGAIN_S)  # too many follow jobs; this one can be asked for itself
                    return
                for line in response.iter_lines():
                    if line.startswith("data: "):
                        yield JobEvent.model_validate_json(line.removeprefix("data: "))
        except httpx.TransportError:
            return  # the question after the job's state that follows says whether the server is there

    def _ask(self, method: str, address: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            response = self._client.request(method, address, json=body)
        except self._trouble as error:
            raise self._no_answer(error) from None
        try:
            said = json.loads(response.content)
        except ValueError:  # with too many connections nobody reads the request
            raise self._no_answer(f"HTTP {response.status_code}") from None
        if response.is_error:
            raise DarkroomError.from_dict(said)
        return said

    def _no_answer(self, error: object) -> Locked:
        if running_server(self._workspace) is None:
            return Locked(
                "server.stopped",
                "The server {url} stopped before it had answered.",
                do="Without it, commands work by themselves: run it again. Jobs: darkroom job list",
                url=self._server.url,
            )
        return Locked(
            "server.silent",
            "The server {url} (process {pid}) holds this project and does not answer: {why}.",
            do="Stop it (kill {pid}) and run this again.",
            url=self._server.url,
            pid=self._server.pid,
            why=str(error) or type(error).__name__,
        )


def _refuse_other_version(server: RunningServer) -> None:
    if server.version != version("darkroom"):
        raise Conflict(
            "server.other-version",
            "The server {url} runs Darkroom {theirs}, this command is of {ours}.",
            do="Start the server again: Ctrl-C where it runs, then darkroom serve",
            url=server.url,
            theirs=server.version,
            ours=version("darkroom"),
        )
