"""What a request asks for: read from its headers, its address and its body, and refused where it asks for nothing.

No byte is read beyond the limit, and nothing of what it says is believed before it is known to be of the right kind.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope

from server.operations import Answer
from server.persisted import SHA256

RESPONSE_TYPE = "application/graphql-response+json"
JSON_TYPE = "application/json"
EVENTS_TYPE = "text/event-stream"
HTML_TYPE = "text/html"

# Longer values of headers are read each time that they come: remembering them would cost more than it saves.
LONGEST_REMEMBERED = 200
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


class Received:
    """A request: its method, its headers (names in lower case, the first of each), and the body as it comes in."""

    __slots__ = ("headers", "method", "receive", "scope")

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.scope = scope
        self.receive = receive
        self.method: str = scope["method"]
        self.headers: dict[str, str] = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in reversed(scope["headers"])
        }

    @property
    def asked(self) -> QueryParams:
        """What stands in the address behind the question mark."""
        return QueryParams(self.scope["query_string"])


def shows_page(request: Received) -> bool:
    """Whether a browser asks for the page: HTML is wanted, and no query is given."""
    return (
        request.method == "GET"
        and "query" not in request.asked
        and HTML_TYPE in request.headers.get("accept", "")
    )


def accepted(headers: Mapping[str, str]) -> str:
    """The media type to answer with; without any wish the classic one. Raises `Unanswerable`."""
    wishes = headers.get("accept", "")
    return _remembered(wishes) if len(wishes) <= LONGEST_REMEMBERED else _accepted(wishes)


def _accepted(wishes: str) -> str:
    wishes = wishes.lower()
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


# Clients say the same each time.
_remembered = functools.lru_cache(maxsize=200)(_accepted)


async def body(request: Received | Request, limit: int) -> bytes:
    """The body, read no further than `limit` bytes; raises `Unanswerable`, and `ClientDisconnect`."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdecimal() or int(announced) <= limit:
        parts = bytearray()
        while True:
            message = await request.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            part: bytes = message.get("body", b"")
            whole = not message.get("more_body", False)
            if len(parts) + len(part) > limit:
                break
            # As a rule all of it comes at once.
            if whole:
                return bytes(parts + part) if parts else part
            parts += part
    raise Unanswerable(
        413, "BODY_TOO_LARGE", f"The body may have at most {limit:,} bytes.", {"Connection": "close"}
    )


def from_body(headers: Mapping[str, str], content: bytes) -> Asked:
    """What a POST asks for; raises `Unanswerable`."""
    told = headers.get("content-type", "")
    if told != JSON_TYPE and not _is_json(told):
        raise Unanswerable(415, "UNSUPPORTED_MEDIA_TYPE", "Send Content-Type: application/json, in UTF-8.")
    return from_values(_json(content, "The body"))


def _is_json(told: str) -> bool:
    kind, *parameters = (part.strip().lower() for part in told.split(";"))
    charset = next((part[8:].strip('"') for part in parameters if part.startswith("charset=")), "utf-8")
    return kind == JSON_TYPE and charset in ("utf-8", "utf8")


def from_address(request: Received) -> Asked:
    """What a GET asks for; raises `Unanswerable`."""
    values: dict[str, Any] = dict(request.asked)
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
    flat(variables, '"variables"')
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


def flat(values: Any, what: str) -> None:
    """Raises `Unanswerable` where `what` was sent is nested more deeply than we go."""
    if _depth(values) > DEEPEST:
        raise _bad(
            f"Lists and objects in {what} may be nested {DEEPEST} levels deep at most: send them flatter."
        )


def _depth(values: Any) -> int:
    """How deeply lists and objects are nested, counted no further than just beyond `DEEPEST`."""
    # As a rule variables are flat.
    if type(values) is dict and not any(
        [type(value) is dict or type(value) is list for value in values.values()]
    ):
        return 1
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
