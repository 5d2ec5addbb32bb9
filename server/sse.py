"""Server-sent events: the answers of an operation as a stream over HTTP, with a sign of life in between."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from typing import Any

from graphql import OperationType
from starlette.types import Receive, Scope, Send

from engine.access import Principal
from engine.problems import Problem, Refused
from schema.errors import masked
from server.asking import EVENTS_TYPE
from server.auth import Authenticator
from server.documents import Operation
from server.http import COMPLETE, PLAIN, next_event
from server.live import AccessChanged, GoingAway, Listening, Piece, cut
from server.operations import Invalid, Operations

# Proxies close what is silent for longer; how often the key is looked at; what the other side does not take for so
# long ends the stream.
BEAT_SECONDS = 10.0
KEY_SECONDS = 2.0
STALLED_SECONDS = 30.0

HEADERS = [
    (name.lower().encode(), value.encode())
    for name, value in {
        "Content-Type": f"{EVENTS_TYPE}; charset=utf-8",
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
        **PLAIN,
    }.items()
]


class Events:
    """Streams for `Accept: text/event-stream`, each connection for one operation. `stop` ends them all."""

    def __init__(self, operations: Operations, authenticator: Authenticator, stop: asyncio.Event) -> None:
        self._operations = operations
        self._authenticator = authenticator
        self._stop = stop

    def __call__(
        self, operation: Operation, variables: dict[str, Any], principal: Principal, key: str | None
    ) -> "Streamed":
        """The response whose body is the stream: `next` events, and `complete` as the last."""
        return Streamed(self._bytes(operation, variables, principal, key))

    async def _bytes(
        self, operation: Operation, variables: dict[str, Any], principal: Principal, key: str | None
    ) -> AsyncGenerator[bytes, None]:
        yield b":\n\n"
        if operation.kind is not OperationType.SUBSCRIPTION:
            yield next_event(await self._operations.run(operation, variables, principal))
            yield COMPLETE
            return
        listening: Listening | None = None
        try:
            listening = await self._operations.listen(operation, variables, principal)
            async with contextlib.aclosing(self._told(listening, principal, key)) as told:
                async for part in told:
                    yield part
        except Invalid as invalid:
            yield next_event({"errors": invalid.errors})
        except (Problem, Refused) as problem:
            yield next_event({"errors": cut(problem, None if listening is None else listening.cursor)})
        except Exception as error:
            yield next_event({"errors": [masked(error)]})
        yield COMPLETE

    async def _told(
        self, listening: Listening, principal: Principal, key: str | None
    ) -> AsyncGenerator[bytes, None]:
        """What is told, beats in between; raises why it ends."""
        # One at a time: the next lot is not taken before this one is on its way.
        lots: asyncio.Queue[list[Piece]] = asyncio.Queue(maxsize=1)

        async def produce() -> None:
            async with contextlib.aclosing(listening.batches()) as batches:
                async for pieces in batches:
                    await lots.put(pieces)
                    await lots.join()

        producer = asyncio.create_task(produce())
        stopped = asyncio.create_task(self._stop.wait())
        taken: asyncio.Task[list[Piece]] | None = None
        silent, looked = 0.0, asyncio.get_running_loop().time()
        try:
            while True:
                taken = asyncio.create_task(lots.get())
                await asyncio.wait(
                    {taken, producer, stopped}, timeout=KEY_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if taken.done():
                    silent = 0.0
                    pieces = taken.result()
                    yield b"".join(b"event: next\ndata: %b\n\n" % piece.body for piece in pieces)
                    listening.sent(pieces[-1])
                    lots.task_done()
                else:
                    taken.cancel()
                    silent += KEY_SECONDS
                if producer.done():
                    producer.result()
                    return
                if stopped.done():
                    raise GoingAway
                if asyncio.get_running_loop().time() - looked >= KEY_SECONDS:
                    looked = asyncio.get_running_loop().time()
                    if not await self._authenticator.still(key, principal):
                        raise AccessChanged
                if silent >= BEAT_SECONDS:
                    silent = 0.0
                    yield b":\n\n"
        finally:
            tasks = [task for task in (producer, stopped, taken) if task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


class Streamed:
    """A response that goes on until it ends, its client has gone, or its client takes nothing more."""

    status_code = 200

    def __init__(self, body: AsyncGenerator[bytes, None]) -> None:
        self._body = body

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send the body, part by part."""
        telling, gone = asyncio.create_task(self._tell(send)), asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({telling, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (telling, gone):
                task.cancel()
            await asyncio.gather(telling, gone, return_exceptions=True)
        if not telling.cancelled() and (error := telling.exception()) is not None:
            raise error

    async def _tell(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": HEADERS})
        with contextlib.suppress(TimeoutError):
            async with contextlib.aclosing(self._body) as parts:
                async for part in parts:
                    async with asyncio.timeout(STALLED_SECONDS):
                        await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
