"""A gate before somebody else's server: while it is closed, nobody is there; once it is open again, everything is."""

import asyncio
import contextlib
import os
import random
import socket
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

PIECE = 65_536


class Gate:
    """Passes connections on to a port of this machine, in a thread of its own: tests have loops that come and go."""

    def __init__(self, target: int) -> None:
        self._target, self.port = target, free_port()
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.open()

    def open(self) -> None:
        """Let everybody through."""
        self._run(self._open())

    def shut(self) -> None:
        """Let nobody through, and end what is under way."""
        self._run(self._shut())

    def close(self) -> None:
        """For good."""
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._passed, "127.0.0.1", self.port)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        passing = list(self._passing)
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)

    async def _passed(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        try:
            beyond, back = await asyncio.open_connection("127.0.0.1", self._target)
            try:
                await asyncio.gather(self._pump(reader, back), self._pump(beyond, writer))
            finally:
                back.transport.abort()
        except (OSError, asyncio.CancelledError):
            # Cancelled by nobody but us: the connection just ends.
            pass
        finally:
            self._passing.discard(task)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(PIECE):
            writer.write(self.passed(piece))
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()

    def passed(self, piece: bytes) -> bytes:
        """What becomes of a piece on its way, in either direction; of the same length."""
        return piece


def free_port() -> int:
    """A port below those that the kernel gives out by itself, and given to no other test, so that nobody takes it."""
    given = Path(os.environ["RELATA_TESTS_DIR"]) / "ports"
    given.mkdir(exist_ok=True)
    while True:
        port = random.randrange(12_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as tried:
            tried.bind(("127.0.0.1", port))
            (given / str(port)).touch(exist_ok=False)
            return port
