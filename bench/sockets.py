"""Many subscribers in one process that do as little as can be done: each notes when bytes came, and reads them later.

No event loop, no protocol objects on the way: `epoll`, one `recv` a socket, the time. What is measured is then how long
it takes until the bytes are in a client's hands, and not how long this client takes to make sense of them.
"""

import json
import select
import socket
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

# More than one message at light load, and few enough calls at heavy load.
RECEIVED = 1 << 18
# Nothing has come for so many seconds: there is time to read.
IDLE = 0.03


class Listener:
    """One socket whose subscription has been asked for. `came`: what came, and when; `heard`: what it says."""

    def __init__(self, url: str, key: str, query: str) -> None:
        self._conn = ClientProtocol(
            parse_uri(url.replace("http", "ws", 1)), subprotocols=[Subprotocol("graphql-transport-ws")]
        )
        self._key = key
        self._query = query
        self._begun = False
        self.came: list[tuple[float, bytes]] = []
        self.heard: list[tuple[float, dict[str, Any]]] = []
        place = urlsplit(url)
        self.socket = socket.create_connection((place.hostname or "", place.port or 80))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._conn.send_request(self._conn.connect())
        self._flush()
        while not self._begun:
            self.came.append((time.monotonic(), self.socket.recv(RECEIVED)))
            self.read()
        self.socket.setblocking(False)

    def read(self) -> None:
        """Make sense of what came; pings are answered."""
        came = list(self.came)
        self.came.clear()
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
        self.socket.close()

    def _hear(self, at: float, message: dict[str, Any]) -> None:
        match message["type"]:
            case "connection_ack":
                self._say(type="subscribe", id="1", payload={"query": self._query})
                self._begun = True
            case "next" if "errors" not in message["payload"]:
                self.heard.append((at, message["payload"]["data"]))
            case _:
                raise RuntimeError(f"The subscription was ended: {message}")

    def _say(self, **message: Any) -> None:
        self._conn.send_text(json.dumps(message).encode())

    def _flush(self) -> None:
        for data in self._conn.data_to_send():
            if data:
                self.socket.sendall(data)


def receive(listeners: Sequence[Listener], *, quiet: float, every: float) -> None:
    """Note what comes to the listeners until, after anything came at all, nothing has come for `quiet` seconds.

    What has come is read each `every` seconds, and at the end: nothing is noted meanwhile, but pings want an answer.
    """
    hands = {one.socket.fileno(): (one.socket.recv, one.came.append) for one in listeners}
    clock = time.monotonic
    with select.epoll() as poll:
        for number in hands:
            poll.register(number, select.EPOLLIN)
        last, read = None, clock()
        while last is None or clock() - last < quiet:
            # Reading takes its time, so it waits until nothing comes, if it can.
            due = clock() - read
            came = poll.poll(IDLE if due > every else quiet / 5)
            for number, _ in came:
                take, note = hands[number]
                data = take(RECEIVED)
                last = clock()
                note((last, data))
                if not data:
                    raise RuntimeError("The server has gone.")
            if due > every and (not came or due > 3 * every):
                for one in listeners:
                    one.read()
                read = clock()
    for one in listeners:
        one.read()
