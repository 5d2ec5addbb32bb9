"""Files of imports: `PUT /imports/{id}/file` takes one in, however large; `GET /imports/{id}/errors` tells of it."""

import asyncio
from collections.abc import AsyncIterator

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from engine import ids
from engine.access import Scope
from engine.imports.problems import FileTooLarge, ImportNotReady, UploadOvertaken
from engine.problems import MalformedId, NotFound
from resolvers import imports
from server.asking import JSON_TYPE, Unanswerable
from server.auth import Authenticator, bearer
from server.doors import answering, whose
from server.exports import begun
from server.http import Reply, reply
from server.operations import FILES_SECONDS, Operations

# Whoever sends nothing for so many seconds has gone.
PATIENCE = 60.0


def routes(operations: Operations, authenticator: Authenticator, *, seconds: float) -> list[Route]:
    """The routes of files; errors must begin to come within so many `seconds`."""
    files = _Files(operations, authenticator)
    return [
        Route(imports.FILE_PATH, answering(files.take, FILES_SECONDS), methods=["PUT"]),
        Route(imports.ERRORS_PATH, answering(files.errors, seconds), methods=["GET"]),
    ]


class _Files:
    """What comes in for imports, and what was wrong with it."""

    def __init__(self, operations: Operations, authenticator: Authenticator) -> None:
        self._operations = operations
        self._authenticator = authenticator

    async def take(self, request: Request) -> Reply:
        principal = await self._authenticator.principal(bearer(request.headers))
        principal.require(Scope.RECORDS_WRITE)
        limit = self._operations.limits.files
        announced = request.headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > limit:
            raise _too_large(limit)
        context = await self._operations.context(principal)
        number = _number(request)
        try:
            row = await imports.upload(context, number, _pieces(request))
        except FileTooLarge:
            raise _too_large(limit) from None
        except (ImportNotReady, UploadOvertaken) as problem:
            raise Unanswerable(409, problem.code, problem.message) from None
        told = {"import": ids.encode("import", row.id), "status": row.status, "size": row.file["size"]}
        return reply(told, JSON_TYPE, 200)

    async def errors(self, request: Request) -> Response:
        principal = await whose(request, self._operations, self._authenticator)
        principal.require(Scope.RECORDS_READ)
        context = await self._operations.context(principal)
        return await begun(await imports.errors_file(context, _number(request)))


def _number(request: Request) -> int:
    """Which import is meant; what is no id is nobody's."""
    ident = request.path_params["id"]
    try:
        return ids.decode("import", ident)
    except MalformedId:
        raise NotFound(kind="import", name=ident[:100]) from None


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                piece = await anext(stream, None)
        except TimeoutError:
            raise ClientDisconnect from None
        if piece is None:
            return
        if piece:
            yield piece


def _too_large(limit: int) -> Unanswerable:
    problem = FileTooLarge(limit=limit)
    return Unanswerable(413, problem.code, problem.message, {"Connection": "close"})
