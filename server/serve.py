"""`relata serve`: the API and its workers, from the first byte of the database to the last of an answer."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import uvicorn

from server.app import create_app
from server.clock import now
from server.database import opened
from server.frames import WebSockets
from server.listening import Api, address, listening
from server.metrics import Metrics
from server.persisted import Documents
from server.processes import children, told_to_end, unless_told
from server.settings import Settings
from server.vault import signer, surroundings, vault
from storage.database import Database

# An event stream never ends by itself: after this long, open requests are cut off.
GRACE_SECONDS = 5
# Longer than proxies keep idle connections: who closes first must not be us, just as the next request comes.
KEEP_ALIVE_SECONDS = 150


async def serve(
    settings: Settings,
    *,
    prepare: Callable[[Database], Coroutine[Any, Any, None]],
    ready: Callable[[str], None],
) -> None:
    """Serve until told to end; `prepare` runs on the open database first, `ready` is told the URL.

    Raises CannotListen, and what opening the database raises; Ended when told to end before it was ready.
    """
    with told_to_end() as told, listening(settings.host, settings.port, "RELATA_PORT") as listener:
        url = f"{address(settings.host, listener)}/graphql"
        async with contextlib.AsyncExitStack() as stack:
            db = await unless_told(told, stack.enter_async_context(opened(settings)))
            await unless_told(told, prepare(db))
            await stack.enter_async_context(
                children(settings.workers, "work", "--with-parent", environment=settings.environment())
            )
            metrics = Metrics(db, now) if settings.metrics == "on" else None
            if metrics is not None:
                logging.getLogger().addHandler(metrics.handler)
            public = settings.public_url or url.removesuffix("/graphql")
            api = Api(configuration(settings, db, told, public, metrics), lambda: ready(url))
            serving = asyncio.create_task(api.serve([listener]))
            waiting = asyncio.create_task(told.wait())
            await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
            api.should_exit = True
            waiting.cancel()
            await serving


def configuration(
    settings: Settings,
    db: Database,
    stop: asyncio.Event,
    public_url: str = "",
    metrics: Metrics | None = None,
) -> uvicorn.Config:
    """How uvicorn runs the application, which others reach at `public_url`."""
    return uvicorn.Config(
        create_app(
            db,
            stop=stop,
            limits=settings.limits(),
            documents=Documents(settings.listed_documents()),
            public_url=public_url,
            vault=vault(settings),
            surroundings=surroundings(settings),
            signer=signer(settings),
            origins=settings.cors_origins.split(",") if settings.cors_origins else (),
            metrics=metrics,
        ),
        http="httptools",
        ws=WebSockets,
        log_config=None,
        access_log=False,
        server_header=False,
        # Nothing here depends on the client's address.
        proxy_headers=False,
        ws_max_size=settings.request_bytes,
        # The same bytes go to many sockets: each would be compressed anew, with a window of its own in memory.
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
