"""What goes out as files: `GET /exports/records`, `/exports/reports` and `/exports/sync-records`, with a key.

They also come to whoever opens an address that `createExport` has signed.

Refusals are JSON with the codes of GraphQL. What fails once the file has begun breaks the connection off: a client
never takes half a file for a whole one.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Send

from engine.access import Scope
from resolvers import export_links, exports, report_exports, sync_exports
from resolvers.downloads import File
from server.auth import Authenticator
from server.doors import answering, document, whose
from server.http import PLAIN
from server.operations import Operations

# Files of records that go out at a time, in each process: each holds a connection, and a snapshot, to its end.
AT_A_TIME = 3
# What came by an address that holds its own right stays with whoever opened it.
PRIVATE = {"Cache-Control": "private, no-store", "Referrer-Policy": "no-referrer"}
# Whoever takes no byte for so many seconds is left.
PATIENCE = 60.0


def routes(
    operations: Operations, authenticator: Authenticator, *, body_bytes: int, seconds: float
) -> list[Route]:
    """The routes by which files are fetched; each must begin to come within so many `seconds`."""
    of_syncs = _SyncRecords(operations, authenticator)
    of_records = _Records(operations, authenticator, body_bytes)
    of_reports = _Reports(operations, authenticator)
    return [
        Route(sync_exports.PATH, answering(of_syncs.answer, seconds), methods=["GET"]),
        Route(exports.PATH, answering(of_records.answer, seconds), methods=["GET", "POST"]),
        Route(report_exports.PATH, answering(of_reports.answer, seconds), methods=["GET"]),
    ]


class Download(StreamingResponse):
    """A file as it comes about. Its generator is closed when the client has it, has gone, or takes nothing more."""

    def __init__(self, file: File, first: bytes) -> None:
        headers = {"Content-Disposition": f'attachment; filename="{file.name}"', **PRIVATE, **PLAIN}
        super().__init__(file.content, media_type=file.media, headers=headers)
        self._file = file
        self._first = first

    async def stream_response(self, send: Send) -> None:
        """Send all of it."""
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        async with contextlib.aclosing(self._file.content) as content:
            await _sent(send, self._first)
            async for chunk in content:
                await _sent(send, chunk)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _sent(send: Send, chunk: bytes) -> None:
    async with asyncio.timeout(PATIENCE):
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def begun(file: File) -> Download:
    """The file, once its first bytes are there: what is wrong by then is told in their place."""
    return Download(file, await anext(file.content, b""))


class _SyncRecords:
    """`GET /exports/sync-records?sync=…&format=csv|xlsx&state=…&category=…`: how records stand in a sync."""

    def __init__(self, operations: Operations, authenticator: Authenticator) -> None:
        self._operations = operations
        self._authenticator = authenticator

    async def answer(self, request: Request) -> Response:
        principal = await whose(request, self._operations, self._authenticator)
        principal.require(Scope.AUTOMATION_READ)
        principal.require(Scope.RECORDS_READ)
        context = await self._operations.context(principal)
        wanted = dict(export_links.without(request.query_params.multi_items()))
        return await begun(await sync_exports.file(context, wanted))


class _Records:
    """`GET /exports/records?objectType=…&column=…&where=…&format=csv|xlsx|jsonl`, or a POST of the same as JSON."""

    def __init__(self, operations: Operations, authenticator: Authenticator, body_bytes: int) -> None:
        self._operations = operations
        self._authenticator = authenticator
        self._body_bytes = body_bytes
        self._places = asyncio.Semaphore(AT_A_TIME)

    async def answer(self, request: Request) -> Response:
        principal = await whose(request, self._operations, self._authenticator)
        principal.require(Scope.RECORDS_READ)
        if request.method == "POST":
            wanted = exports.from_document(await document(request, self._body_bytes))
        else:
            wanted = exports.from_parameters(export_links.without(request.query_params.multi_items()))
        context = await self._operations.context(principal)
        file = exports.file(context, wanted)
        return await begun(File(file.name, file.media, self._placed(file.content)))

    async def _placed(self, content: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The same, once there is a place for it."""
        async with self._places, contextlib.aclosing(content):
            async for chunk in content:
                yield chunk


class _Reports:
    """`GET /exports/reports?report=…&format=csv|xlsx|jsonl`: what a saved report says."""

    def __init__(self, operations: Operations, authenticator: Authenticator) -> None:
        self._operations = operations
        self._authenticator = authenticator

    async def answer(self, request: Request) -> Response:
        principal = await whose(request, self._operations, self._authenticator)
        principal.require(Scope.RECORDS_READ)
        context = await self._operations.context(principal)
        wanted = dict(export_links.without(request.query_params.multi_items()))
        return await begun(await report_exports.file(context, wanted))
