"""Where apps tell of changes: `POST /sync-hints/{secret}`, of any type; whoever knows the address may post."""

from collections.abc import Callable
from datetime import datetime

from starlette.requests import Request
from starlette.routing import Route

from engine.sync.connectors.protocol import Delivery
from resolvers import sync_hints
from server.asking import JSON_TYPE, body
from server.doors import DELIVERY_BYTES, answering
from server.http import Reply, reply
from server.operations import Operations
from storage.database import Database


def routes(
    db: Database, operations: Operations, *, now: Callable[[], datetime], body_bytes: int, seconds: float
) -> list[Route]:
    """The route by which hints come in; each request may take so many `seconds`."""
    hints = _Hints(db, operations, now, min(body_bytes, DELIVERY_BYTES))
    return [Route("/sync-hints/{secret}", answering(hints.answer, seconds), methods=["POST"])]


class _Hints:
    """`POST /sync-hints/{secret}`: {"looked": number of items and lists that are looked at for it}."""

    def __init__(
        self, db: Database, operations: Operations, now: Callable[[], datetime], body_bytes: int
    ) -> None:
        self._db = db
        self._operations = operations
        self._now = now
        self._body_bytes = body_bytes

    async def answer(self, request: Request) -> Reply:
        content = await body(request, self._body_bytes)
        delivery = Delivery(request.method, dict(request.headers), request.url.query, content)
        looked = await sync_hints.receive(
            self._db,
            self._operations.vault,
            self._operations.surroundings,
            request.path_params["secret"],
            delivery,
            now=self._now(),
        )
        return reply({"looked": looked}, JSON_TYPE, 200)
