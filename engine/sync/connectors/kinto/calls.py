"""Calls to Kinto's API: one by one or many in a batch, and what its errors mean."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import orjson

from engine.sync.categories import Category
from engine.sync.connectors.answers import Answer, failure
from engine.sync.connectors.http import Http
from engine.sync.connectors.protocol import ConnectorError, Disconnected, Rejected

# Until the server has said how many requests its batches take.
BATCH = 25
# Kinto's numbers of errors: https://docs.kinto-storage.org says what each means.
MISSING_PARENT = 111
_QUOTED = re.compile(r"'([^']*)' is a required property")
_WORDS = (
    ("is a required property", Category.REQUIRED_FIELD_MISSING),
    ("is not one of", Category.OPTION_NOT_FOUND),
    ("is too long", Category.VALUE_TOO_LONG),
    ("is not of type", Category.TYPE_MISMATCH),
)


@dataclass(frozen=True, slots=True)
class Call:
    """A call that may be part of a batch: a path below the API's address."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] | None = None


class Calls:
    """The server's API. When it asks for a pause, it gets one."""

    def __init__(self, http: Http, *, signed_in: bool) -> None:
        self._http = http
        self.signed_in = signed_in
        self.host, self.base = http.base.host, str(http.base)
        self._batch: int | None = None
        # On the clock of the event loop.
        self._not_before = 0.0

    async def ask(self, call: Call) -> Answer:
        """One call. Raises Disconnected, and Unclear where something may have been done."""
        self._wait()
        content = orjson.dumps(call.body) if call.body is not None else None
        headers = {"Content-Type": "application/json"} if content is not None else {}
        answer = await self._http.request(
            call.method, call.path, headers={**headers, **(call.headers or {})}, content=content
        )
        self._heed(answer)
        return answer

    async def get(self, path: str) -> Answer:
        """An answer that is good. Raises what a bad one means."""
        answer = await self.ask(Call("GET", path))
        if not answer.ok:
            raise whole(answer)
        return answer

    async def batch(self, calls: Sequence[Call]) -> list[Answer]:
        """At most `size` calls in one, each with its answer. Raises what fails as a whole."""
        safe = all(call.method == "GET" for call in calls)
        self._wait()
        requests = [
            {
                "method": call.method,
                "path": f"/{call.path}",
                **({"headers": dict(call.headers)} if call.headers else {}),
                **({"body": call.body} if call.body is not None else {}),
            }
            for call in calls
        ]
        answer = await self._http.request("POST", "batch", json={"requests": requests}, safe=safe)
        self._heed(answer)
        if not answer.ok:
            raise whole(answer)
        responses = answer.document().get("responses") or []
        if len(responses) != len(calls):
            raise Disconnected(
                f"{self.host} answered a batch of {len(calls)} with {len(responses)} responses."
            )
        return [
            Answer(
                one["status"],
                httpx.Headers(one.get("headers") or {}),
                orjson.dumps(one.get("body")),
                answer.url,
            )
            for one in responses
        ]

    async def size(self) -> int:
        """How many calls a batch of this server takes."""
        if self._batch is None:
            told = (await self.get("")).document().get("settings") or {}
            self._batch = int(told.get("batch_max_requests") or BATCH)
        return self._batch

    def _wait(self) -> None:
        left = self._not_before - asyncio.get_running_loop().time()
        if left > 0:
            raise Disconnected(
                f"{self.host} asks for a pause.", Category.RATE_LIMITED, after=timedelta(seconds=left)
            )

    def _heed(self, answer: Answer) -> None:
        """A good answer, too, may ask for a pause."""
        asked = answer.headers.get("Backoff", "")
        if asked.isdigit():
            self._not_before = asyncio.get_running_loop().time() + min(int(asked), 86_400)


def words(answer: Answer) -> str:
    """What the server says of a failure."""
    body = _body(answer)
    parts = [str(body[name]) for name in ("error", "message") if body.get(name)]
    return ": ".join(parts)[:500]


def whole(answer: Answer) -> ConnectorError:
    """What a failed call about a whole collection means."""
    if answer.status == 403:
        return Disconnected(words(answer) or "The user may not do that.", Category.MISSING_PERMISSION)
    if answer.status in (404, 410):
        return Rejected(f"There is no such bucket or collection: {words(answer)}", Category.RECORD_NOT_FOUND)
    if answer.status >= 500:
        return Disconnected(
            words(answer) or f"It answered with status {answer.status}.", after=answer.waits()
        )
    return failure(answer, words(answer))


def one(answer: Answer) -> ConnectorError:
    """What a failed call about one record means."""
    body = _body(answer)
    if answer.status == 404 and body.get("errno") == MISSING_PARENT:
        return whole(answer)
    if answer.status == 400:
        details = body.get("details")
        detail = details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}
        about = str(detail.get("description") or words(answer))[:500]
        category = next((each for text, each in _WORDS if text in about), Category.VALIDATION_REJECTED)
        missing = _QUOTED.search(about)
        field = missing[1] if missing else detail.get("name")
        return Rejected(about, category, field if isinstance(field, str) else None)
    if answer.status == 405:
        return Rejected(words(answer) or "The server is read-only.", Category.MISSING_PERMISSION)
    return failure(answer, words(answer))


def _body(answer: Answer) -> dict[str, Any]:
    try:
        body = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}
