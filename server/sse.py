"""Server-sent events: the answers of an operation as a stream over HTTP, with a sign of life in between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from engine.access import Principal, Unauthenticated
from schema.errors import outside
from server.auth import Authenticator
from server.http import COMPLETE, next_event
from server.operations import Answer, Invalid, Operation, Operations

# Proxies close what is silent for longer; also how often the key is looked at.
BEAT_SECONDS = 10.0
KEY_SECONDS = 1.0


class Events:
    """Streams for `Accept: text/event-stream`, each connection for one operation. `stop` ends them all."""

    def __init__(self, operations: Operations, authenticator: Authenticator, stop: asyncio.Event) -> None:
        self._operations = operations
        self._authenticator = authenticator
        self._stop = stop

    async def __call__(
        self, operation: Operation, variables: dict[str, Any], principal: Principal, key: str | None
    ) -> AsyncIterator[bytes]:
        """The stream's bytes: `next` events, and `complete` as the last."""
        queue: asyncio.Queue[Answer | None] = asyncio.Queue(maxsize=1)

        async def produce() -> None:
            try:
                async with contextlib.aclosing(
                    self._operations.stream(operation, variables, principal)  # type: ignore[type-var]
                ) as answers:
                    async for answer in answers:
                        await queue.put(answer)
            except Invalid as invalid:
                await queue.put({"errors": invalid.errors})
            await queue.put(None)

        producer = asyncio.create_task(produce())
        try:
            silent = 0.0
            yield b":\n\n"
            while not self._stop.is_set():
                try:
                    answer = await asyncio.wait_for(queue.get(), KEY_SECONDS)
                except TimeoutError:
                    silent += KEY_SECONDS
                    await self._authenticator.still(key)
                    if silent >= BEAT_SECONDS:
                        silent = 0.0
                        yield b":\n\n"
                    continue
                if answer is None:
                    break
                silent = 0.0
                await self._authenticator.still(key)
                yield next_event(answer)
        except Unauthenticated as problem:
            yield next_event({"errors": outside(problem)})
        finally:
            producer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await producer
        yield COMPLETE
