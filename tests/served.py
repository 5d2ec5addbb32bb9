"""The application behind a real server on a socket file, and a talker of graphql-transport-ws."""

import asyncio
import contextlib
import json
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection, unix_connect
from websockets.typing import Subprotocol

from server import sse, websocket
from server.frames import WebSockets
from tests.processes import PATIENCE

PROTOCOL = Subprotocol("graphql-transport-ws")
# By when somebody has to have taken what he is sent. It is no law how fast that is on a slow machine.
NO_HURRY = ((websocket, "STALLED_SECONDS"), (websocket, "LAST_SECONDS"), (sse, "STALLED_SECONDS"))
# Of a client that nothing sends away but what a test is about.
UNHURRIED: dict[str, Any] = {"open_timeout": PATIENCE, "ping_interval": None}


@contextlib.asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[Path]:
    """The path of a socket on which the application is served, to whoever takes what time he needs."""
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patched:
        for module, name in NO_HURRY:
            patched.setattr(module, name, PATIENCE)
        path = Path(directory) / "s"
        config = uvicorn.Config(
            app,
            uds=str(path),
            ws=WebSockets,
            ws_per_message_deflate=False,
            log_config=None,
            # Who is not heard of for a while is busy with something else in the same process, which may take long.
            ws_ping_interval=None,
            timeout_graceful_shutdown=int(PATIENCE),
        )
        server = Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
            if task.done():
                task.result()
        try:
            yield path
        finally:
            server.should_exit = True
            await task


class Server(uvicorn.Server):
    """uvicorn, leaving the test process's signals alone, and ending as soon as it is told."""

    async def main_loop(self) -> None:
        """The same, looking whether it is to end more often than ten times a second."""
        while not await self.on_tick(0):  # noqa: ASYNC110 (it is told by an attribute)
            await asyncio.sleep(0.01)

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Nothing."""
        yield


class Talk:
    """One end of a socket that speaks the protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def say(self, kind: str, **more: Any) -> None:
        """Send a message."""
        await self.connection.send(json.dumps({"type": kind, **more}))

    async def hear(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next message; a closed connection raises `ConnectionClosed`."""
        text = await asyncio.wait_for(self.connection.recv(), seconds)
        assert isinstance(text, str)
        message: dict[str, Any] = json.loads(text)
        return message

    async def begin(self, key: str | None) -> None:
        """Say who is there."""
        payload = {} if key is None else {"authorization": f"Bearer {key}"}
        await self.say("connection_init", payload=payload)
        assert await self.hear() == {"type": "connection_ack"}

    async def subscribe(self, ident: str, query: str, **variables: Any) -> None:
        """Begin an operation."""
        await self.say("subscribe", id=ident, payload={"query": query, "variables": variables})

    async def end(self) -> tuple[int, str]:
        """How the server closes the connection; whatever it still says is passed over."""
        with contextlib.suppress(Exception):
            while True:
                await self.hear()
        await asyncio.wait_for(self.connection.wait_closed(), PATIENCE)
        return self.connection.close_code or 0, self.connection.close_reason or ""


@contextlib.asynccontextmanager
async def talk(path: Path, *, key: str | None = None, protocol: str = PROTOCOL) -> AsyncIterator[Talk]:
    """A connection; with `key`, one that has begun."""
    async with unix_connect(
        str(path), "ws://relata.test/graphql", subprotocols=[Subprotocol(protocol)], **UNHURRIED
    ) as connection:
        found = Talk(connection)
        if key is not None:
            await found.begin(key)
        yield found
