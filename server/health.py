"""What operators ask of any process: `/healthz`, `/readyz`, and `/metrics` where figures are noted."""

import asyncio

from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from schema.errors import masked
from server.asking import JSON_TYPE
from server.http import Reply, reply
from server.metrics import Metrics
from storage.database import Database

READY_SECONDS = 2.0


def routes(db: Database, metrics: Metrics | None = None) -> list[Route]:
    """Where operators ask."""
    found = [Route("/healthz", _health), Route("/readyz", _Ready(db))]
    return found if metrics is None else [*found, Route("/metrics", metrics.answer)]


class _Ready:
    """Ready once the database answers."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._db.ping()
            response: ASGIApp = reply({"status": "ready"}, JSON_TYPE, 200)
        except Exception as error:
            response = reply({"errors": [masked(error)]}, JSON_TYPE, 503)
        await response(scope, receive, send)


async def _health(_request: Request) -> Reply:
    return reply({"status": "alive"}, JSON_TYPE, 200)
