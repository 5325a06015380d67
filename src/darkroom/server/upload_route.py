"""Send a file: its bytes are the body, its name stands in the address."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import FastAPI, Query, Request

from darkroom.server.app import Desk
from darkroom.server.problems import documented
from darkroom.server.uploads import Upload

__all__ = ["add_uploads"]

BLOCK_BYTES = 1 << 20
BODY = {
    "required": True,
    "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
}


def add_uploads(app: FastAPI, desk: Desk) -> None:
    """Adds the route of uploads."""

    async def upload(
        request: Request,
        name: Annotated[
            str, Query(min_length=1, max_length=120, description="The file's name, with its ending.")
        ],
    ) -> Upload:
        return await desk.uploads.take(name, _in_blocks(request.stream()))

    app.add_api_route(
        "/api/uploads",
        upload,
        methods=["POST"],
        status_code=201,
        summary="Send one file; requests then name it by what this answers.",
        description="It is kept for a day. Whether it is a picture is found when it is used.",
        tags=["uploads"],
        responses=documented(),
        openapi_extra={"requestBody": BODY},
    )


async def _in_blocks(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Joins small pieces, so that the disk is asked once per block."""
    held = bytearray()
    async for piece in pieces:
        held += piece
        if len(held) >= BLOCK_BYTES:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
