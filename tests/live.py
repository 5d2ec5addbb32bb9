"""Subscribers that come and go, and what they must have heard in the end: the log, from their cursor on."""

import asyncio
import contextlib
import json
import random
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect, unix_connect
from websockets.exceptions import WebSocketException

from engine import cursors
from resolvers.events import CHANGES
from storage import changes
from storage.database import Database
from tests.processes import PATIENCE
from tests.served import PROTOCOL, UNHURRIED

WATCH = "subscription ($after: String) { changes(after: $after) { cursor kind recordId record { id } } }"


class Cut(Exception):
    """The stream was ended by the server, with these errors."""

    def __init__(self, errors: list[dict[str, Any]]) -> None:
        self.errors = errors
        super().__init__(str(errors))


@contextlib.asynccontextmanager
async def socket_to(place: str, key: str) -> AsyncIterator[ClientConnection]:
    """A socket that has begun; `place` is a socket file or an http URL."""
    if place.startswith("http"):
        address = place.replace("http", "ws", 1)
        opening = connect(address, subprotocols=[PROTOCOL], compression=None, **UNHURRIED)
    else:
        address = "ws://relata.test/graphql"
        opening = unix_connect(place, address, subprotocols=[PROTOCOL], compression=None, **UNHURRIED)
    socket = await opening
    try:
        said = {"type": "connection_init", "payload": {"authorization": f"Bearer {key}"}}
        await socket.send(json.dumps(said))
        assert json.loads(await socket.recv())["type"] == "connection_ack"
        yield socket
    finally:
        # Without a word, as a laptop is shut.
        socket.transport.abort()


async def listen(socket: ClientConnection, query: str = WATCH, **variables: Any) -> AsyncGenerator[Any, None]:
    """What a subscription tells: the value of its one field. Raises `Cut`."""
    payload = {"query": query, "variables": variables}
    await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
    async for text in socket:
        message = json.loads(text)
        if message["type"] == "error":
            raise Cut(message["payload"])
        if message["type"] == "next":
            assert "errors" not in message["payload"], message
            (value,) = message["payload"]["data"].values()
            yield value


async def stream(place: str, key: str, query: str = WATCH, **variables: Any) -> AsyncGenerator[Any, None]:
    """The same, over server-sent events."""
    local = not place.startswith("http")
    asked = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
    async with (
        httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(uds=place if local else None), timeout=PATIENCE
        ) as client,
        client.stream(
            "POST",
            "http://relata.test/graphql" if local else place,
            json={"query": query, "variables": variables},
            headers=asked,
        ) as response,
    ):
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                answer = json.loads(line.removeprefix("data: "))
                if "errors" in answer:
                    raise Cut(answer["errors"])
                (value,) = answer["data"].values()
                yield value


async def told_by(
    how: str, place: str, key: str, after: str, query: str = WATCH
) -> AsyncGenerator[Any, None]:
    """What comes behind a cursor, over a "socket" or a "stream"."""
    if how == "stream":
        async with contextlib.aclosing(stream(place, key, query, after=after)) as told:
            async for value in told:
                yield value
    else:
        async with (
            socket_to(place, key) as socket,
            contextlib.aclosing(listen(socket, query, after=after)) as told,
        ):
            async for value in told:
                yield value


@dataclass(slots=True)
class Subscriber:
    """Somebody who listens at one place after another, each time behind what he heard last."""

    places: Callable[[], list[str]]
    key: str
    account_id: int
    chance: random.Random
    heard: list[int] = field(default_factory=list)
    came: int = 0

    async def run(self, last: asyncio.Future[int], patience: int = 40) -> None:
        """Listen until event number `last` was heard, leaving now and then. What is torn is taken up again."""
        while not (last.done() and self.heard and self.heard[-1] >= last.result()):
            # In the end he stays until he has heard all.
            stay = 10**9 if last.done() else self.chance.randrange(1, patience)
            with contextlib.suppress(OSError, WebSocketException, Cut, TimeoutError, EOFError):
                async with (
                    asyncio.timeout(5),
                    socket_to(self.chance.choice(self.places()), self.key) as socket,
                ):
                    self.came += 1
                    await self._hear(socket, last, stay)
            await asyncio.sleep(self.chance.random() / 20)

    async def _hear(self, socket: ClientConnection, last: asyncio.Future[int], stay: int) -> None:
        after = cursors.encode(self.account_id, self.heard[-1] if self.heard else 0)
        async for event in listen(socket, after=after):
            self.heard.append(cursors.decode(self.account_id, event["cursor"]))
            stay -= 1
            if stay == 0 or (last.done() and self.heard[-1] >= last.result()):
                return


async def logged(db: Database, account_id: int) -> list[int]:
    """The numbers of the events that a subscriber to all changes must hear."""
    found: list[int] = []
    after = 0
    async with db.read(account_id) as reader:
        while events := await changes.read(reader, after, 1_000):
            found += [event.seq for event in events if event.kind in CHANGES]
            after = events[-1].seq
    return found
