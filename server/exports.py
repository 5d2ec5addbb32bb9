"""What goes out as files: `GET /exports/sync-records`, with a key; refusals are JSON with the codes of GraphQL."""

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from engine.access import Scope
from resolvers import sync_exports
from server.auth import Authenticator, bearer
from server.http import PLAIN
from server.ingest import answering
from server.operations import Operations


def routes(operations: Operations, authenticator: Authenticator, *, seconds: float) -> list[Route]:
    """The routes by which files are fetched; each must begin to come within so many `seconds`."""
    records = _SyncRecords(operations, authenticator)
    return [Route("/exports/sync-records", answering(records.answer, seconds), methods=["GET"])]


class _SyncRecords:
    """`GET /exports/sync-records?sync=…&format=csv|xlsx&state=…&category=…`: how records stand in a sync."""

    def __init__(self, operations: Operations, authenticator: Authenticator) -> None:
        self._operations = operations
        self._authenticator = authenticator

    async def answer(self, request: Request) -> Response:
        principal = await self._authenticator.principal(bearer(request.headers))
        principal.require(Scope.AUTOMATION_READ)
        principal.require(Scope.RECORDS_READ)
        context = await self._operations.context(principal)
        file = await sync_exports.file(context, dict(request.query_params))
        headers = {"Content-Disposition": f'attachment; filename="{file.name}"', **PLAIN}
        return StreamingResponse(file.content, media_type=file.media, headers=headers)
