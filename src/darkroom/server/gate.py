"""What every request passes first: name, origin, token, size; and what every answer carries."""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from darkroom.errors import DarkroomError, Forbidden, Invalid, Unauthorised
from darkroom.server.access import Access, Caller
from darkroom.server.problems import answer, defect

__all__ = ["BODY_BYTES", "POLICY", "Gate"]

BODY_BYTES = 1_000_000
"""Largest body of a request that is no upload."""

UPLOADS = "/api/uploads"

OPEN = frozenset({"/", "/api/openapi.json"})
"""What needs no token: it says nothing of the project."""

POLICY = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": f"default-src 'none'; {POLICY}",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Gate:
    """Stands before the app; what it refuses, the app never sees.

    Args:
        app: what answers.
        access: what a request is checked against.
        upload_bytes: largest body of an upload.
    """

    def __init__(self, app: ASGIApp, access: Access, *, upload_bytes: int) -> None:
        self._app = app
        self._access = access
        self._upload_bytes = upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answering = _Answer(send)
        scope.setdefault("state", {})
        try:
            self._check(scope)
            limited = _Body(receive, scope, self._limit(scope))
            await self._app(scope, limited, answering)
        except _TooLarge as error:
            await self._refuse(answer(error.told, 413, {"Connection": "close"}), scope, receive, answering)
        except _Refusal as error:
            await self._refuse(answer(error.told, error.status, error.headers), scope, receive, answering)
        except Exception as error:
            if not scope["state"].get("told"):
                await self._refuse(defect(error), scope, receive, answering)

    async def _refuse(self, response: ASGIApp, scope: Scope, receive: Receive, answering: _Answer) -> None:
        if not answering.began:
            await response(scope, receive, answering)

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        _check_host(self._access, headers)
        _check_origin(headers)
        caller = _caller(self._access, headers)
        if caller is None and scope["path"] not in OPEN:
            raise _Refusal(_no_token(), headers={"WWW-Authenticate": 'Bearer realm="darkroom"'})
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length[:20]) > self._limit(scope):
            raise _Refusal(_too_large(scope, self._limit(scope)), 413, {"Connection": "close"})
        scope["state"]["caller"] = caller or Caller.PROGRAM

    def _limit(self, scope: Scope) -> int:
        return self._upload_bytes if scope["path"] == UPLOADS else BODY_BYTES


class _Refusal(Exception):
    def __init__(
        self, told: DarkroomError, status: int | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(told.message)
        self.told, self.status, self.headers = told, status, headers


class _TooLarge(BaseException):
    """Passes through whoever reads the body; no handler of the app takes it for a fault of the body."""

    def __init__(self, told: DarkroomError) -> None:
        super().__init__(told.message)
        self.told = told


class _Body:
    """Receives a body and counts it, for those whose header said nothing of its length."""

    def __init__(self, receive: Receive, scope: Scope, limit_bytes: int) -> None:
        self._receive = receive
        self._scope = scope
        self._limit_bytes = limit_bytes
        self._taken = 0

    async def __call__(self) -> Message:
        message = await self._receive()
        self._taken += len(message.get("body", b""))
        if self._taken > self._limit_bytes:
            raise _TooLarge(_too_large(self._scope, self._limit_bytes))
        return message


class _Answer:
    """Sends an answer with the headers that every one carries."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.began = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.began = True
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
        await self._send(message)


def _check_host(access: Access, headers: Headers) -> None:
    names = headers.getlist("host")
    if len(names) != 1 or not access.is_called(names[0]):
        raise _Refusal(
            Forbidden(
                "request.host",
                "This server is not called {name!r}.",
                do="Call it by the address that it printed; DARKROOM_SERVER_NAMES allows more names.",
                name=", ".join(names),
            ),
            421,
        )


def _check_origin(headers: Headers) -> None:
    """Refuses requests from pages of other places; a program sends no Origin."""
    for origin in headers.getlist("origin"):
        if origin.lower() not in {f"{scheme}://{headers['host'].lower()}" for scheme in ("http", "https")}:
            raise _Refusal(
                Forbidden(
                    "request.origin",
                    "A page of {origin!r} may not ask this server.",
                    do="Ask from a program, or from the server's own page.",
                    origin=origin,
                )
            )


def _caller(access: Access, headers: Headers) -> Caller | None:
    given = headers.getlist("authorization")
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    return access.caller(token.strip()) if scheme.lower() == "bearer" else None


def _no_token() -> Unauthorised:
    return Unauthorised(
        "request.token",
        "The request carries no token, or a wrong one.",
        do="Send the header Authorization: Bearer TOKEN. The server printed the token when it started; it "
        "also stands in .darkroom/server.json, and is another one after each start.",
    )


def _too_large(scope: Scope, limit_bytes: int) -> Invalid:
    if scope["path"] == UPLOADS:
        return Invalid(
            "request.upload-too-large",
            "The file is larger than {limit:,} bytes.",
            do="Whoever runs the server can raise the limit: DARKROOM_MAX_FILE_BYTES",
            limit=limit_bytes,
        )
    return Invalid(
        "request.too-large",
        "The body is larger than {limit:,} bytes.",
        do="Pictures go to POST /api/uploads, one by one.",
        limit=limit_bytes,
    )
