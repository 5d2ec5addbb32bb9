"""WebSocket frames written straight to a socket: one pass over many sockets, without a task for each; and how they end.

uvicorn's own way to send is a coroutine through the application's layers, for one message on one socket. Whoever has
the same answer for a hundred sockets finds the short way in the scope, under `FRAMES`.
"""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

# In the scope's extensions: `write(frames: bytes) -> bool`.
FRAMES = "relata.frames"

# How long the other side may take to answer that the socket is closed, when the server ends.
ANSWER_SECONDS = 1.0

# A final frame of text.
_TEXT = 0x81


def text_frame(*parts: bytes) -> bytes:
    """The frame of one message of UTF-8 text, as servers send it: not masked, not compressed."""
    size = sum(map(len, parts))
    if size < 126:
        head = bytes((_TEXT, size))
    elif size < 65_536:
        head = bytes((_TEXT, 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((_TEXT, 127)) + size.to_bytes(8, "big")
    return b"".join((head, *parts))


class WebSockets(WebSocketsSansIOProtocol):
    """uvicorn's protocol, with the short way. Only for sockets that are not compressed."""

    def handle_connect(self, event: Any) -> None:
        """As ever; the application, which begins later, is told of `write`."""
        super().handle_connect(event)
        if self.response.status_code == 101:
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[FRAMES] = self.write

    def write(self, frames: bytes) -> bool:
        """Send whole frames; False, and nothing is sent, while the other side takes no more, or is gone."""
        if not self.writable.is_set() or self.disconnected or self.close_sent or self.transport.is_closing():
            return False
        self.transport.write(frames)
        return True

    def shutdown(self) -> None:
        """The server ends, and so will the application's talk: it tells where to go on, and closes by itself.

        uvicorn would close the socket before that is said, however little is missing.
        """
        if self.handshake_complete and not self.close_sent:
            self.stop_keepalive()
            self.close_timeout = ANSWER_SECONDS
        else:
            super().shutdown()
