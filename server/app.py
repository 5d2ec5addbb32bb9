"""The ASGI application: /graphql for HTTP, events, WebSocket, browsers; /healthz, /readyz, /metrics for operators."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from engine.signing import Signer
from engine.sync.connectors.protocol import Surroundings
from engine.sync.credentials import Vault
from schema.root import SCHEMA
from server import clock, exports, health, hints, imports, ingest, unsubscribing
from server.asking import JSON_TYPE, Unanswerable
from server.auth import Authenticator
from server.dashboard import ROUTES as DASHBOARD
from server.http import Endpoint, Reply, reply, unforeseen
from server.limits import Limits
from server.metrics import Metrics
from server.operations import Operations
from server.page import asset, show
from server.persisted import Documents
from server.sse import Events
from server.websocket import Sockets
from storage.database import Database

Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


def create_app(
    db: Database,
    *,
    now: Callable[[], datetime] = clock.now,
    stop: asyncio.Event | None = None,
    lifespan: Lifespan | None = None,
    limits: Limits | None = None,
    documents: Documents | None = None,
    origins: Sequence[str] = (),
    public_url: str = "",
    vault: Vault | None = None,
    surroundings: Surroundings = Surroundings(),  # noqa: B008 - it never changes
    signer: Signer | None = None,
    metrics: Metrics | None = None,
) -> Starlette:
    """The application over an open database.

    `stop` is set when the server is to end: open streams end then, instead of holding the shutdown up.
    `documents` knows those that are asked for by name. Pages of `origins` may ask from browsers; no others.
    `public_url`: where others reach this, without a slash at its end; addresses that are given out begin with it.
    `vault` keeps the credentials of connections, which may use of the house what `surroundings` say.
    `signer` signs the addresses that need no key.
    `metrics` are noted, and told at /metrics, if there are any.
    """
    limits = limits or Limits()
    stop = stop or asyncio.Event()
    authenticator = Authenticator(db)
    operations = Operations(
        SCHEMA,
        db,
        clock=now,
        forget_key=authenticator.forget,
        limits=limits,
        documents=documents,
        public_url=public_url,
        vault=vault,
        surroundings=surroundings,
        signer=signer,
    )
    events = Events(operations, authenticator, stop)
    endpoint = Endpoint(operations, authenticator, page=show, body_bytes=limits.body, events=events)
    sockets = Sockets(operations, authenticator, stop, message_bytes=limits.body)
    app = App(
        _cross_origin(endpoint, origins) if origins else endpoint,
        metrics,
        routes=[
            WebSocketRoute("/graphql", sockets.__call__),
            Route("/graphql/assets/{hash}/{name}", asset),
            *DASHBOARD,
            *health.routes(db, metrics),
            Route("/", _root),
            *ingest.routes(
                db, operations, authenticator, now=now, body_bytes=limits.body, seconds=limits.seconds
            ),
            *unsubscribing.routes(db, operations.signer, now=now, seconds=limits.seconds),
            *hints.routes(db, operations, now=now, body_bytes=limits.body, seconds=limits.seconds),
            *imports.routes(operations, authenticator, seconds=limits.seconds),
            *exports.routes(operations, authenticator, body_bytes=limits.body, seconds=limits.seconds),
        ],
        middleware=[Middleware(_cross_origin, origins)] if origins else [],
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_error, Exception: _any_error},
    )
    app.state.authenticator = authenticator
    return app


class App(Starlette):
    """Answers `/graphql` before anything else is looked at: a fifth of a small query's time."""

    def __init__(self, endpoint: ASGIApp, metrics: Metrics | None = None, **given: Any) -> None:
        super().__init__(**given)
        self._endpoint = endpoint
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, socket or lifespan."""
        if self._metrics is not None and scope["type"] != "lifespan":
            await self._metrics.measured(self._answer, scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/graphql":
            await self._endpoint(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def _cross_origin(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """Lets pages of other origins read answers. No credentials: a key is sent by whoever has it, or not at all."""
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_methods=("GET", "POST", "PUT"),
        allow_headers=(
            "authorization",
            "content-type",
            "accept",
            "idempotency-key",
            "apollo-require-preflight",
            "graphql-preflight",
            "x-apollo-operation-name",
        ),
        max_age=3_600,
    )


async def _root(_request: Request) -> Response:
    return Response(status_code=307, headers={"Location": "/graphql"})


async def _http_error(_request: Request, error: HTTPException) -> Reply:
    code = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}.get(error.status_code, "BAD_REQUEST")
    refusal = Unanswerable(error.status_code, code, str(error.detail))
    return reply(refusal.answer, JSON_TYPE, error.status_code, dict(error.headers or {}))


async def _any_error(_request: Request, error: Exception) -> Reply:
    return unforeseen(error)
