"""Many subscribers in one process, each of which only notes when bytes came: what is measured is not their reading."""

import asyncio
import json
import time
from typing import Any
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol
from websockets.uri import parse_uri


class Listener(asyncio.Protocol):
    """One socket with one subscription. `begun` is done when the subscription was asked for."""

    def __init__(self, url: str, key: str, query: str) -> None:
        self._conn = ClientProtocol(
            parse_uri(url.replace("http", "ws", 1)), subprotocols=[Subprotocol("graphql-transport-ws")]
        )
        self._key = key
        self._query = query
        self._came: list[tuple[float, bytes]] = []
        self._transport: asyncio.Transport
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.size = 0
        self.heard: list[tuple[float, dict[str, Any]]] = []

    def connection_made(self, transport: Any) -> None:
        """Shake hands."""
        self._transport = transport
        self._conn.send_request(self._conn.connect())
        self._flush()

    def data_received(self, data: bytes) -> None:
        """Note when it came. It is read later, by `read`."""
        self._came.append((time.monotonic(), data))
        self.size += len(data)
        if not self.begun.done():
            self.read()

    def read(self) -> None:
        """Read what came: (when, answer) of each message; pings are answered."""
        came, self._came = self._came, []
        for at, data in came:
            self._conn.receive_data(data)
            for event in self._conn.events_received():
                if not isinstance(event, Frame):
                    self._say(type="connection_init", payload={"authorization": f"Bearer {self._key}"})
                elif event.opcode is Opcode.TEXT:
                    self._hear(at, json.loads(bytes(event.data)))
        self._flush()

    def close(self) -> None:
        """Leave."""
        self._transport.abort()

    def _hear(self, at: float, message: dict[str, Any]) -> None:
        match message["type"]:
            case "connection_ack":
                self._say(type="subscribe", id="1", payload={"query": self._query})
                self.begun.set_result(None)
            case "next" if "errors" not in message["payload"]:
                self.heard.append((at, message["payload"]["data"]))
            case _:
                raise RuntimeError(f"The subscription was ended: {message}")

    def _say(self, **message: Any) -> None:
        self._conn.send_text(json.dumps(message).encode())

    def _flush(self) -> None:
        for data in self._conn.data_to_send():
            if data:
                self._transport.write(data)


async def listener(url: str, key: str, query: str) -> Listener:
    """A socket to `url` whose subscription has been asked for."""
    place = urlsplit(url)
    _, one = await asyncio.get_running_loop().create_connection(
        lambda: Listener(url, key, query), place.hostname or "", place.port or 80
    )
    await one.begun
    return one
