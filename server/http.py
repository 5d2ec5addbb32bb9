"""GraphQL over HTTP: what comes in as JSON or in the address goes out as JSON, whatever happens.

Safe from other sites' pages: a POST must say application/json, which no page may send elsewhere without asking
first, or bring files with a header that has the same effect; a GET runs queries only, and no credential is sent by
itself (the key is a header, never a cookie).
"""

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson
import structlog
from graphql import OperationType
from starlette.requests import ClientDisconnect
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from engine.access import MissingScope, Principal, Unauthenticated
from engine.access import Scope as Writes
from schema.errors import masked, outside
from server import multipart
from server.asking import (
    EVENTS_TYPE,
    JSON_TYPE,
    RESPONSE_TYPE,
    Received,
    Unanswerable,
    accepted,
    body,
    from_address,
    from_body,
    shows_page,
)
from server.auth import Authenticator, bearer
from server.documents import Operation
from server.operations import Answer, Invalid, Operations

log = structlog.get_logger("relata.requests")
EVERY_REQUEST = logging.getLogger("relata.requests")
SLOW_MILLISECONDS = 1_000

# The last event of every stream.
COMPLETE = b"event: complete\ndata: \n\n"

# Nobody is to guess another type than the one that we name.
PLAIN = {"X-Content-Type-Options": "nosniff"}


class Reply:
    """A whole answer, as an ASGI application: what a small query needs of a response, and no more."""

    __slots__ = ("body", "headers", "status_code")

    def __init__(self, body: bytes, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.body = body
        self.status_code = status
        self.headers = headers

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        length = b"content-length", b"%d" % len(self.body)
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": [*self.headers, length],
        }
        await send(start)
        await send({"type": "http.response.body", "body": self.body})


class Endpoint:
    """`/graphql` for HTTP, as an ASGI application that sees every method itself. `page` answers browsers."""

    def __init__(
        self,
        operations: Operations,
        authenticator: Authenticator,
        *,
        page: Callable[[], Response],
        body_bytes: int,
        events: Callable[[Operation, dict[str, Any], Principal, str | None], Any],
    ) -> None:
        self._operations = operations
        self._authenticator = authenticator
        self._page = page
        self._body_bytes = body_bytes
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            response = await self._respond(Received(scope, receive))
        except ClientDisconnect:
            return
        except Exception as error:
            response = unforeseen(error)
        await response(scope, receive, send)

    async def _respond(self, request: Received) -> Response | Reply:
        media = RESPONSE_TYPE
        began = time.perf_counter()
        fields: dict[str, Any] = {"method": request.method}
        response: Response | Reply
        try:
            if shows_page(request):
                return self._page()
            media = accepted(request.headers)
            response = await self._answer(request, media, fields)
        except Unanswerable as refusal:
            response = reply(refusal.answer, JSON_TYPE, refusal.status, refusal.headers)
        except Unauthenticated as problem:
            response = reply({"errors": outside(problem)}, JSON_TYPE, 401, {"WWW-Authenticate": "Bearer"})
        except Invalid as invalid:
            # With application/json a well-formed request is answered by 200, as clients of old expect.
            status = 200 if media == JSON_TYPE else 400
            if media == EVENTS_TYPE:
                response = streamed(refused(invalid))
            else:
                response = reply({"errors": invalid.errors}, media, status)
        took = (time.perf_counter() - began) * 1000
        # Told at once: what went wrong or was slow. Telling of every request would take a third of a small one's time.
        if response.status_code >= 400 or took > SLOW_MILLISECONDS:
            log.info("request", status=response.status_code, ms=round(took, 2), **fields)
        elif EVERY_REQUEST.isEnabledFor(logging.DEBUG):
            log.debug("request", status=response.status_code, ms=round(took, 2), **fields)
        return response

    async def _answer(self, request: Received, media: str, fields: dict[str, Any]) -> Response | Reply:
        if request.method not in ("GET", "POST"):
            raise Unanswerable(405, "METHOD_NOT_ALLOWED", "Use GET or POST.", {"Allow": "GET, POST"})
        key = bearer(request.headers)
        principal = self._authenticator.remembered(key) or await self._authenticator.principal(key)
        fields["account"] = principal.account_id
        fields["key"] = principal.key_id
        if request.method == "GET":
            asked = from_address(request)
        elif multipart.is_form(request.headers):
            return await self._with_files(request, media, fields, principal)
        else:
            asked = from_body(request.headers, await body(request, self._body_bytes))
        operation = self._operations.prepare(asked.text, asked.name, asked.digest, asked.ident)
        kind = operation.kind
        fields["kind"] = kind.value
        fields["operation"] = operation.name
        if request.method == "GET" and kind is OperationType.MUTATION:
            raise Unanswerable(
                405, "METHOD_NOT_ALLOWED", "Mutations must be sent by POST.", {"Allow": "POST"}
            )
        if media == EVENTS_TYPE:
            told: Response = self._events(operation, asked.variables, principal, key)
            return told
        if kind is OperationType.SUBSCRIPTION:
            raise Unanswerable(
                406, "NOT_ACCEPTABLE", "Subscriptions need WebSocket, or Accept: text/event-stream."
            )
        answer = await self._operations.run(operation, asked.variables, principal)
        return reply(answer, media, status_of(answer, media))

    async def _with_files(
        self, request: Received, media: str, fields: dict[str, Any], principal: Principal
    ) -> Reply:
        """A mutation that files come along with; it may take as long as they need."""
        try:
            principal.require(Writes.RECORDS_WRITE)
        except MissingScope as problem:
            raise Unanswerable(403, problem.code, problem.message) from None
        sizes = {"body_bytes": self._body_bytes, "file_bytes": self._operations.limits.files}
        async with multipart.received(request, **sizes) as asked:
            operation = self._operations.prepare(asked.text, asked.name, asked.digest, asked.ident)
            fields["kind"], fields["operation"] = operation.kind.value, operation.name
            if operation.kind is not OperationType.MUTATION or media == EVENTS_TYPE:
                raise Unanswerable(415, "UNSUPPORTED_MEDIA_TYPE", "Forms are for mutations with files.")
            answer = await self._operations.run(operation, asked.variables, principal, patient=True)
        return reply(answer, media, status_of(answer, media))


def reply(answer: Answer, media: str, status: int, headers: Mapping[str, str] | None = None) -> Reply:
    """An answer as bytes."""
    told = HEADERS[media]
    if headers:
        told = [*told, *((name.lower().encode(), value.encode()) for name, value in headers.items())]
    return Reply(encode(answer), status, told)


# What every answer of a media type is sent with.
HEADERS = {
    media: [
        (b"content-type", f"{media}; charset=utf-8".encode()),
        (b"vary", b"Accept"),
        *((name.lower().encode(), value.encode()) for name, value in PLAIN.items()),
    ]
    for media in (RESPONSE_TYPE, JSON_TYPE)
}


def streamed(events: AsyncIterator[bytes]) -> StreamingResponse:
    """Server-sent events as a response."""
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **PLAIN}
    return StreamingResponse(events, media_type=EVENTS_TYPE, headers=headers)


async def refused(invalid: Invalid) -> AsyncIterator[bytes]:
    """What is wrong with a document, as the one event of a stream: a browser's EventSource hears no status but 200."""
    yield next_event({"errors": invalid.errors})
    yield COMPLETE


def next_event(answer: Answer) -> bytes:
    """An answer as an event."""
    return b"event: next\ndata: " + encode(answer) + b"\n\n"


def encode(answer: Answer) -> bytes:
    """JSON; fragments that are JSON already are spliced in."""
    return orjson.dumps(answer)


def status_of(answer: Answer, media: str) -> int:
    """200, unless the operation was not executed and the client knows the newer media type."""
    if "data" in answer or media == JSON_TYPE:
        return 200
    codes = {error["extensions"]["code"] for error in answer["errors"]}
    if codes & {"INTERNAL_ERROR"}:
        return 500
    return 503 if codes & {"UNAVAILABLE", "TIMEOUT"} else 400


def unforeseen(error: BaseException) -> Reply:
    """The answer where nothing could be answered: 503 where another node, or a later time, may do better."""
    entry = masked(error)
    passes = entry["extensions"]["code"] in ("UNAVAILABLE", "TIMEOUT")
    return reply({"errors": [entry]}, JSON_TYPE, 503 if passes else 500)
