"""What other systems send: events with a key (`POST /events`), deliveries at addresses of webhooks (`POST /hooks/…`).

JSON in, JSON out, whatever happens; errors have the codes that GraphQL tells.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from engine import ids
from engine.access import MissingScope, Scope, Unauthenticated
from engine.problems import NotFound, Problem, Refused
from engine.sync.hints import HintNotGenuine, HintUnknown
from engine.webhooks.problems import (
    PayloadMalformed,
    SignatureExpired,
    SignatureInvalid,
    SignatureMissing,
    WebhookUnknown,
)
from engine.webhooks.receiving import Posted, Received
from resolvers import event_types, webhooks
from resolvers.batches import Item, Told
from resolvers.export_links import ExportLinkExpired, ExportLinkInvalid
from resolvers.sync_hints import HintUnreadable
from schema.errors import masked, outside
from server.asking import DEEPEST, JSON_TYPE, Unanswerable, body, depth
from server.auth import Authenticator, bearer
from server.http import Reply, reply
from server.operations import Operations
from storage.database import Database

# What one webhook's delivery may have; GraphQL's limit where that is smaller.
DELIVERY_BYTES = 262_144
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


def answering(
    answer: Callable[[Request], Awaitable[Reply | Response]], seconds: float
) -> Callable[[Request], Awaitable[Reply | Response]]:
    """An endpoint whose every refusal is JSON, and comes in time."""

    async def endpoint(request: Request) -> Reply | Response:
        try:
            async with asyncio.timeout(seconds):
                return await answer(request)
        except ClientDisconnect:
            # Nobody is there to be told.
            return reply({}, JSON_TYPE, 400)
        except Unanswerable as refusal:
            return reply(refusal.answer, JSON_TYPE, refusal.status, refusal.headers)
        except Unauthenticated as problem:
            return reply({"errors": outside(problem)}, JSON_TYPE, 401, {"WWW-Authenticate": "Bearer"})
        except (Problem, Refused) as problem:
            return reply({"errors": outside(problem)}, JSON_TYPE, _status(problem))
        except Exception as error:
            entry: dict[str, Any] = masked(error)
            known = entry["extensions"]["code"] in ("UNAVAILABLE", "TIMEOUT", "CONFLICT")
            return reply({"errors": [entry]}, JSON_TYPE, 503 if known else 500)

    return endpoint


def _status(problem: Problem | Refused) -> int:
    match problem:
        case MissingScope():
            return 403
        case WebhookUnknown() | HintUnknown() | NotFound():
            return 404
        case ExportLinkInvalid():
            return 403
        case ExportLinkExpired():
            return 410
        case HintNotGenuine():
            return 401
        case HintUnreadable():
            return 503
        case _:
            return 422


class _Events:
    """`POST /events`: one event, a list of them, or what the mutation recordEvents takes."""

    def __init__(self, operations: Operations, authenticator: Authenticator, body_bytes: int) -> None:
        self._operations = operations
        self._authenticator = authenticator
        self._body_bytes = body_bytes

    async def answer(self, request: Request) -> Reply:
        principal = await self._authenticator.principal(bearer(request.headers))
        principal.require(Scope.RECORDS_WRITE)
        content = await _content(request, self._body_bytes)
        try:
            given = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise Unanswerable(400, "BAD_REQUEST", "The body cannot be read as JSON in UTF-8.") from None
        if depth(given) > DEEPEST:
            raise Unanswerable(400, "BAD_REQUEST", f"The body is nested deeper than {DEEPEST} levels.")
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
        content = await _content(request, self._body_bytes)
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


async def _content(request: Request, limit: int) -> bytes:
    """The body of a request that says it is JSON. Raises `Unanswerable`."""
    kind, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    charset = next((part[8:].strip('"') for part in parameters if part.startswith("charset=")), "utf-8")
    if not (kind == JSON_TYPE or kind.endswith("+json")) or charset not in ("utf-8", "utf8"):
        raise Unanswerable(415, "UNSUPPORTED_MEDIA_TYPE", "Send Content-Type: application/json, in UTF-8.")
    return await body(request, limit)
