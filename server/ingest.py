"""What other systems send: events with a key (`POST /events`), deliveries at addresses of webhooks (`POST /hooks/…`).

JSON in, JSON out, whatever happens; errors have the codes that GraphQL tells.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from engine import ids
from engine.access import Scope
from engine.problems import Problem
from engine.webhooks.problems import PayloadMalformed, SignatureExpired, SignatureInvalid, SignatureMissing
from engine.webhooks.receiving import Posted, Received
from resolvers import event_types, webhooks
from resolvers.batches import Item, Told
from schema.errors import outside
from server.asking import JSON_TYPE
from server.auth import Authenticator, bearer
from server.doors import DELIVERY_BYTES, answering, document, json_body
from server.http import Reply, reply
from server.operations import Operations
from storage.database import Database

# What a delivery's problem means to its sender; all others: it cannot be taken as it is.
STATUSES: dict[type[Problem], int] = {
    SignatureMissing: 401,
    SignatureInvalid: 401,
    SignatureExpired: 401,
    PayloadMalformed: 400,
}


def routes(
    db: Database,
    operations: Operations,
    authenticator: Authenticator,
    *,
    now: Callable[[], datetime],
    body_bytes: int,
    seconds: float,
) -> list[Route]:
    """The routes by which events come in; each request may take so many `seconds`."""
    events = _Events(operations, authenticator, body_bytes)
    hooks = _Hooks(db, now, min(body_bytes, DELIVERY_BYTES))
    return [
        Route("/events", answering(events.answer, seconds), methods=["POST"]),
        Route("/hooks/{secret}", answering(hooks.answer, seconds), methods=["POST"]),
    ]


class _Events:
    """`POST /events`: one event, a list of them, or what the mutation recordEvents takes."""

    def __init__(self, operations: Operations, authenticator: Authenticator, body_bytes: int) -> None:
        self._operations = operations
        self._authenticator = authenticator
        self._body_bytes = body_bytes

    async def answer(self, request: Request) -> Reply:
        principal = await self._authenticator.principal(bearer(request.headers))
        principal.require(Scope.RECORDS_WRITE)
        given = await document(request, self._body_bytes)
        context = await self._operations.context(principal)
        items, alone = await event_types.record_json(context, given, request.headers.get("idempotency-key"))
        results = [_result(item) for item in items]
        # What failed stands beside what did not: the request as a whole was carried out.
        status = 422 if results and all("errors" in one for one in results) else 200
        return reply(results[0] if alone else {"results": results}, JSON_TYPE, status)


def _result(item: Item[Any]) -> dict[str, Any]:
    if item.value is None:
        return {"errors": [_told(problem) for problem in item.problems]}
    return {"event": ids.encode("event", item.value["id"]), "recorded": item.value["recorded"]}


def _told(problem: Told) -> dict[str, Any]:
    return {
        "message": problem.message,
        "extensions": {"code": problem.code, "path": problem.path, "details": problem.details},
    }


class _Hooks:
    """`POST /hooks/{secret}`: whoever knows the address may post."""

    def __init__(self, db: Database, now: Callable[[], datetime], body_bytes: int) -> None:
        self._db = db
        self._now = now
        self._body_bytes = body_bytes

    async def answer(self, request: Request) -> Reply:
        content = await json_body(request, self._body_bytes)
        headers = request.headers
        posted = Posted(
            content,
            headers.get("relata-timestamp"),
            headers.get("relata-signature"),
            headers.get("idempotency-key"),
        )
        received = await webhooks.receive(self._db, request.path_params["secret"], posted, now=self._now())
        return reply(_received(received), JSON_TYPE, _status_of(received))


def _received(received: Received) -> dict[str, Any]:
    told: dict[str, Any] = {
        "delivery": ids.encode("delivery", received.delivery_id),
        "outcome": received.outcome,
    }
    if received.problem is not None:
        told["errors"] = outside(received.problem)
    return told


def _status_of(received: Received) -> int:
    """200 also where no record matched: sending it again would change nothing."""
    if received.outcome != "INVALID" or received.problem is None:
        return 200
    return STATUSES.get(type(received.problem), 422)
