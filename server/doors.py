"""What the doors beside `/graphql` have in common: who asks, bodies of JSON, and refusals as JSON, in time."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from engine.access import MissingScope, Principal, Unauthenticated
from engine.problems import NotFound, Problem, Refused
from engine.sync.hints import HintNotGenuine, HintUnknown
from engine.webhooks.problems import WebhookUnknown
from resolvers import export_links
from resolvers.export_links import ExportLinkExpired, ExportLinkInvalid
from resolvers.sync_hints import HintUnreadable
from schema.errors import masked, outside
from server.asking import JSON_TYPE, Unanswerable, body, flat
from server.auth import Authenticator, bearer
from server.http import Reply, reply
from server.operations import Operations

# What one delivery of somebody who needs no key may have; GraphQL's limit where that is smaller.
DELIVERY_BYTES = 262_144


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
        case WebhookUnknown() | HintUnknown() | NotFound():
            return 404
        case MissingScope() | ExportLinkInvalid():
            return 403
        case ExportLinkExpired():
            return 410
        case HintNotGenuine():
            return 401
        case HintUnreadable():
            return 503
        case _:
            return 422


async def whose(request: Request, operations: Operations, authenticator: Authenticator) -> Principal:
    """Who asks: the holder of a key, or whoever opens a signed address. Raises what is wrong with either."""
    if request.method == "POST" or export_links.TOKEN not in request.query_params:
        return await authenticator.principal(bearer(request.headers))
    given = request.query_params.multi_items()
    return await export_links.principal(
        operations.db, operations.signer, request.url.path, given, operations.clock()
    )


async def json_body(request: Request, limit: int) -> bytes:
    """The body of a request that says it is JSON. Raises `Unanswerable`."""
    kind, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    charset = next((part[8:].strip('"') for part in parameters if part.startswith("charset=")), "utf-8")
    if not (kind == JSON_TYPE or kind.endswith("+json")) or charset not in ("utf-8", "utf8"):
        raise Unanswerable(415, "UNSUPPORTED_MEDIA_TYPE", "Send Content-Type: application/json, in UTF-8.")
    return await body(request, limit)


async def document(request: Request, limit: int) -> Any:
    """The JSON of a body. Raises `Unanswerable`."""
    try:
        found = orjson.loads(await json_body(request, limit))
    except orjson.JSONDecodeError:
        raise Unanswerable(400, "BAD_REQUEST", "The body cannot be read as JSON in UTF-8.") from None
    flat(found, "the body")
    return found
