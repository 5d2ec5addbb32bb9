"""A worker's own address: how it fares, for operators alone."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

import structlog
import uvicorn
from starlette.applications import Starlette

from server import health
from server.clock import now
from server.listening import Api, address, listening
from server.metrics import Metrics
from storage.database import Database

log = structlog.get_logger("relata.worker")


def app(db: Database, metrics: Metrics) -> Starlette:
    """What a worker answers: how it is, and its figures."""
    return Starlette(routes=health.routes(db, metrics))


@contextlib.asynccontextmanager
async def told(db: Database, host: str, port: int) -> AsyncIterator[Metrics]:
    """The figures of this process, told at `/metrics` of this port until the block ends. Raises CannotListen."""
    metrics = Metrics(db, now)
    logging.getLogger().addHandler(metrics.handler)
    with listening(host, port, "RELATA_METRICS_PORT") as listener:
        configuration = uvicorn.Config(
            app(db, metrics),
            log_config=None,
            access_log=False,
            server_header=False,
            lifespan="off",
            proxy_headers=False,
            timeout_graceful_shutdown=1,
        )
        url = f"{address(host, listener)}/metrics"
        api = Api(configuration, lambda: log.info("figures are told", address=url))
        serving = asyncio.create_task(api.serve([listener]))
        try:
            yield metrics
        finally:
            api.should_exit = True
            await serving
            logging.getLogger().removeHandler(metrics.handler)
