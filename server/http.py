"""GraphQL over HTTP: what comes in as JSON or in the address goes out as JSON, whatever happens.

Safe from other sites' pages: a POST must say application/json, which no page may send elsewhere without asking
first, a GET runs queries only, and no credential is sent by itself (the key is a header, never a cookie).
"""

import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import orjson
import structlog
from graphql import OperationType
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from engine.access import Principal, Unauthenticated
from schema.errors import outside
from server.auth import Authenticator, bearer
from server.operations import Answer, Invalid, Operation, Operations
from server.persisted import SHA256

log = structlog.get_logger("relata.requests")
EVERY_REQUEST = logging.getLogger("relata.requests")
SLOW_MILLISECONDS = 1_000

RESPONSE_TYPE = "application/graphql-response+json"
JSON_TYPE = "application/json"
EVENTS_TYPE = "text/event-stream"
HTML_TYPE = "text/html"

# The last event of every stream.
COMPLETE = b"event: complete\ndata: \n\n"

# Nobody is to guess another type than the one that we name.
PLAIN = {"X-Content-Type-Options": "nosniff"}
# Beyond this, parsers of JSON here, in the database or at clients give up, each at another depth.
DEEPEST = 100


class Unanswerable(Exception):
    """The request is refused before its document is looked at: an HTTP status and one coded error."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        self.status = status
        self.headers = headers
        self.answer: Answer = {"errors": [{"message": message, "extensions": {"code": code}}]}
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request asks for: a document by its text, by its SHA-256 or by its id, and what to run of it."""

    text: str | None
    name: str | None
    variables: dict[str, Any]
    digest: str | None = None
    ident: str | None = None


class Endpoint:
    """`/graphql` for HTTP. `page` answers browsers."""

    def __init__(
        self,
        operations: Operations,
        authenticator: Authenticator,
        *,
        page: Callable[[], Response],
        body_bytes: int,
        events: Any,
    ) -> None:
        self._operations = operations
        self._authenticator = authenticator
        self._page = page
        self._body_bytes = body_bytes
        self._events = events

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        media = RESPONSE_TYPE
        began = time.perf_counter()
        fields: dict[str, Any] = {"method": request.method}
        try:
            if shows_page(request):
                return self._page()
            media = accepted(request)
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
        took = round((time.perf_counter() - began) * 1000, 2)
        # Told at once: what went wrong or was slow. Telling of every request would take a third of a small one's time.
        if response.status_code >= 400 or took > SLOW_MILLISECONDS:
            log.info("request", status=response.status_code, ms=took, **fields)
        elif EVERY_REQUEST.isEnabledFor(logging.DEBUG):
            log.debug("request", status=response.status_code, ms=took, **fields)
        return response

    async def _answer(self, request: Request, media: str, fields: dict[str, Any]) -> Response:
        if request.method not in ("GET", "POST"):
            raise Unanswerable(405, "METHOD_NOT_ALLOWED", "Use GET or POST.", {"Allow": "GET, POST"})
        principal = await self._authenticator.principal(bearer(request.headers))
        fields |= {"account": principal.account_id, "key": principal.key_id}
        if request.method == "GET":
            asked = from_address(request)
        else:
            asked = from_body(request, await body(request, self._body_bytes))
        operation = self._operations.prepare(asked.text, asked.name, asked.digest, asked.ident)
        fields |= {"kind": operation.kind.value, "operation": operation.name}
        if request.method == "GET" and operation.kind is OperationType.MUTATION:
            raise Unanswerable(
                405, "METHOD_NOT_ALLOWED", "Mutations must be sent by POST.", {"Allow": "POST"}
            )
        if media == EVENTS_TYPE:
            return self._stream(operation, asked, principal, bearer(request.headers))
        if operation.kind is OperationType.SUBSCRIPTION:
            raise Unanswerable(
                406, "NOT_ACCEPTABLE", "Subscriptions need WebSocket, or Accept: text/event-stream."
            )
        answer = await self._operations.run(operation, asked.variables, principal)
        return reply(answer, media, status_of(answer, media))

    def _stream(
        self, operation: Operation, asked: Asked, principal: Principal, key: str | None
    ) -> StreamingResponse:
        return streamed(self._events(operation, asked.variables, principal, key))


def reply(answer: Answer, media: str, status: int, headers: dict[str, str] | None = None) -> Response:
    """An answer as bytes."""
    kind = f"{media}; charset=utf-8"
    return Response(
        encode(answer), status, {"Content-Type": kind, "Vary": "Accept", **PLAIN, **(headers or {})}
    )


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


def shows_page(request: Request) -> bool:
    """Whether a browser asks for the page: HTML is wanted, and no query is given."""
    return (
        request.method == "GET"
        and "query" not in request.query_params
        and HTML_TYPE in request.headers.get("accept", "")
    )


def accepted(request: Request) -> str:
    """The media type to answer with; without any wish the classic one. Raises `Unanswerable`."""
    wishes = request.headers.get("accept", "").lower()
    if not wishes.strip():
        return JSON_TYPE
    weights: dict[str, float] = {}
    for wish in wishes.split(","):
        kind, *parameters = (part.strip() for part in wish.split(";"))
        weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        try:
            weights[kind] = float(weight)
        except ValueError:
            weights[kind] = 0.0
    if weights.get(EVENTS_TYPE) and not any(weights.get(kind) for kind in (JSON_TYPE, RESPONSE_TYPE)):
        return EVENTS_TYPE
    anything = max(weights.get("*/*", 0.0), weights.get("application/*", 0.0))
    ranked = [(weights.get(kind, anything), kind) for kind in (RESPONSE_TYPE, JSON_TYPE)]
    if RESPONSE_TYPE not in weights and anything:
        return JSON_TYPE
    best = max(ranked, key=lambda pair: pair[0])
    if best[0] <= 0:
        raise Unanswerable(
            406, "NOT_ACCEPTABLE", f"Answers are {RESPONSE_TYPE}, {JSON_TYPE} or {EVENTS_TYPE}."
        )
    return best[1]


async def body(request: Request, limit: int) -> bytes:
    """The body, read no further than `limit` bytes; raises `Unanswerable`."""
    announced = request.headers.get("content-length", "0")
    parts = bytearray()
    if not announced.isdecimal() or int(announced) <= limit:
        async for part in request.stream():
            parts += part
            if len(parts) > limit:
                break
        else:
            return bytes(parts)
    raise Unanswerable(
        413, "BODY_TOO_LARGE", f"The body may have at most {limit:,} bytes.", {"Connection": "close"}
    )


def from_body(request: Request, content: bytes) -> Asked:
    """What a POST asks for; raises `Unanswerable`."""
    kind, *parameters = (part.strip().lower() for part in request.headers.get("content-type", "").split(";"))
    charset = next((part[8:].strip('"') for part in parameters if part.startswith("charset=")), "utf-8")
    if kind != JSON_TYPE or charset not in ("utf-8", "utf8"):
        raise Unanswerable(415, "UNSUPPORTED_MEDIA_TYPE", "Send Content-Type: application/json, in UTF-8.")
    return from_values(_json(content, "The body"))


def from_address(request: Request) -> Asked:
    """What a GET asks for; raises `Unanswerable`."""
    values: dict[str, Any] = dict(request.query_params)
    for name in ("variables", "extensions"):
        if name in values:
            values[name] = _json(values[name].encode(), name) if values[name] else None
    return from_values(values)


def from_values(values: Any) -> Asked:
    """The members of a request, each of the right kind; raises `Unanswerable`."""
    if not isinstance(values, dict):
        raise _bad("The request must be a JSON object with a query; batches of requests are not supported.")
    text, name = values.get("query"), values.get("operationName")
    variables, extensions = values.get("variables"), values.get("extensions")
    if name is not None and not isinstance(name, str):
        raise _bad('"operationName" must be a string.')
    if variables is not None and not isinstance(variables, dict):
        raise _bad('"variables" must be an object.')
    if extensions is not None and not isinstance(extensions, dict):
        raise _bad('"extensions" must be an object.')
    if depth(variables) > DEEPEST:
        raise _bad(f'"variables" are nested deeper than {DEEPEST} levels.')
    ident, digest = values.get("documentId"), _digest(extensions or {})
    if ident is not None and not isinstance(ident, str):
        raise _bad('"documentId" must be a string.')
    # Clients that send a document's name send its text as null, or as nothing at all.
    text = text or None
    if text is None and (ident or digest):
        return Asked(None, name or None, variables or {}, digest, ident)
    if not isinstance(text, str) or not text.strip():
        raise _bad('The request needs a "query": a string with a GraphQL document.')
    return Asked(text, name or None, variables or {}, digest)


def _digest(extensions: dict[str, Any]) -> str | None:
    """The SHA-256 under which a client brings a document, or asks for one that it brought before."""
    match extensions.get("persistedQuery"):
        case None:
            return None
        case {"version": 1, "sha256Hash": str(digest)} if SHA256.fullmatch(digest):
            return digest
        case _:
            raise _bad('"persistedQuery" needs "version": 1 and a "sha256Hash" of 64 hexadecimal digits.')


def depth(values: Any) -> int:
    """How deeply lists and objects are nested, counted no further than just beyond `DEEPEST`."""
    found, level = 0, [values]
    while level and found <= DEEPEST:
        parts = [part for part in level if isinstance(part, dict | list)]
        level = [inner for part in parts for inner in (part.values() if isinstance(part, dict) else part)]
        found += bool(parts)
    return found


def _json(content: bytes, what: str) -> Any:
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        raise _bad(f"{what} cannot be read as JSON in UTF-8.") from None


def _bad(message: str) -> Unanswerable:
    return Unanswerable(400, "BAD_REQUEST", message)
