"""GraphQL over WebSocket, by the protocol graphql-transport-ws: one bad operation never ends the others.

The key comes in `connection_init`, or as a header of the handshake. No cookie means anything to us, so a page of
another site can open a socket but has nothing to say on it.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import orjson
import structlog
from graphql import OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.access import Principal, Unauthenticated
from engine.problems import Problem, Refused
from schema.errors import masked
from server.asking import Unanswerable, from_values
from server.auth import Authenticator, bearer, key_of
from server.frames import FRAMES, text_frame
from server.http import encode
from server.live import AccessChanged, GoingAway, Listening, Lot, SlowConsumer, cut
from server.operations import Answer, Invalid, Operations

log = structlog.get_logger("relata.sockets")

PROTOCOL = "graphql-transport-ws"
INIT_SECONDS = 10.0
# How often a socket's key is looked at: a revoked one ends its streams.
KEY_SECONDS = 2.0
OPERATIONS_A_SOCKET = 100

# The protocol's close codes.
BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, WRONG_PROTOCOL = 4400, 4401, 4403, 4406
INIT_TIMEOUT, DUPLICATE_ID, DUPLICATE_INIT = 4408, 4409, 4429
GOING_AWAY, TRY_AGAIN_LATER = 1001, 1013
# A message that the other side does not take for so long ends the socket.
STALLED_SECONDS = 30.0
# More than this is sent message by message, as the other side takes it.
AT_ONCE_BYTES = 64_000
# How long ending may take: whoever does not read is not waited for.
LAST_SECONDS = 2.0


class Closed(Exception):
    """The socket is to be closed, with this code and reason; `problem` is told to what runs on it before."""

    def __init__(self, code: int, reason: str, problem: Problem | None = None) -> None:
        self.code = code
        self.reason = reason
        self.problem = problem
        super().__init__(reason)


class Sockets:
    """`/graphql` for WebSockets. `stop` closes them all."""

    def __init__(
        self, operations: Operations, authenticator: Authenticator, stop: asyncio.Event, message_bytes: int
    ) -> None:
        self.operations = operations
        self.authenticator = authenticator
        self.stop = stop
        self.message_bytes = message_bytes

    async def __call__(self, socket: WebSocket) -> None:
        """Talk until one side has had enough."""
        if PROTOCOL not in socket.scope["subprotocols"]:
            await socket.accept()
            await socket.close(WRONG_PROTOCOL, f"Subprotocol not acceptable: use {PROTOCOL}")
            return
        await socket.accept(subprotocol=PROTOCOL)
        connection = Connection(self, socket)
        talk, guard = asyncio.create_task(connection.talk()), asyncio.create_task(connection.guard())
        try:
            done, _ = await asyncio.wait({talk, guard}, return_when=asyncio.FIRST_COMPLETED)
            error = next(iter(done)).exception()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    if isinstance(error, Closed) and error.problem is not None:
                        await connection.cut(error.problem)
                    await _close(socket, error)
        finally:
            tasks = [talk, guard, *connection.tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _close(socket: WebSocket, error: BaseException | None) -> None:
    # The other side may be gone already.
    with contextlib.suppress(RuntimeError, WebSocketDisconnect, OSError):
        match error:
            case None | WebSocketDisconnect():
                pass
            case Closed():
                await socket.close(error.code, error.reason)
            case _:
                masked(error)
                await socket.close(1011, "Internal error")


class Connection:
    """One socket: who is there, and which of its operations run."""

    def __init__(self, sockets: Sockets, socket: WebSocket) -> None:
        self._sockets = sockets
        self._socket = socket
        self._key: str | None = None
        self._principal: Principal | None = None
        self._initialised = asyncio.Event()
        # When the message began that is being sent, in seconds of the loop's clock.
        self._since: float | None = None
        # Writes finished frames, where the server has a way to; see server.frames.
        self._frames: Callable[[bytes], bool] | None = socket.scope.get("extensions", {}).get(FRAMES)
        self._listening: dict[str, Listening] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def talk(self) -> None:
        """Hear messages until the socket is closed; raises `Closed`."""
        while True:
            message = await self._hear()
            match message:
                case {"type": "ping"}:
                    await self._say({"type": "pong"})
                case {"type": "pong"}:
                    pass
                case {"type": "connection_init"}:
                    await self._initialise(message.get("payload"))
                case {"type": "subscribe", "id": str(ident), "payload": dict(payload)} if ident:
                    await self._subscribe(ident, payload)
                case {"type": "complete", "id": str(ident)}:
                    task = self.tasks.pop(ident, None)
                    self._listening.pop(ident, None)
                    if task is not None:
                        task.cancel()
                case _:
                    raise Closed(BAD_REQUEST, "Invalid message")

    async def guard(self) -> None:
        """Raise `Closed` when nobody says who he is, when the key is revoked, and when the server stops."""
        clock = asyncio.get_running_loop().time
        began = clock()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(KEY_SECONDS, INIT_SECONDS)):
                    await self._sockets.stop.wait()
                raise Closed(GOING_AWAY, "The server is stopping", GoingAway())
            if not self._initialised.is_set() and clock() - began >= INIT_SECONDS:
                raise Closed(INIT_TIMEOUT, "Connection initialisation timeout")
            if self._since is not None and clock() - self._since > STALLED_SECONDS:
                raise Closed(TRY_AGAIN_LATER, "Too slow", SlowConsumer())
            if self.tasks:
                await self._look()

    async def _look(self) -> None:
        """End what runs on the socket when the key may no longer do it."""
        assert self._principal is not None  # what runs was begun by somebody
        try:
            same = await self._sockets.authenticator.still(self._key, self._principal)
        except Unauthenticated as problem:
            raise Closed(FORBIDDEN, "Forbidden", problem) from None
        if not same:
            await self.cut(AccessChanged())
            self._principal = await self._authenticated()

    async def cut(self, problem: Problem) -> None:
        """End everything that runs on the socket, with the cursor behind which each can go on."""
        for ident, task in list(self.tasks.items()):
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            self.tasks.pop(ident, None)
            listening = self._listening.pop(ident, None)
            cursor = None if listening is None else listening.cursor
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._say({"type": "error", "id": ident, "payload": cut(problem, cursor)})

    async def _authenticated(self) -> Principal:
        try:
            return await self._sockets.authenticator.principal(self._key)
        except Unauthenticated:
            raise Closed(FORBIDDEN, "Forbidden") from None

    async def _hear(self) -> Any:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1000))
        text = message.get("text")
        if text is None or len(text) > self._sockets.message_bytes:
            raise Closed(BAD_REQUEST, "Messages must be text of bounded size")
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            raise Closed(BAD_REQUEST, "Messages must be JSON") from None

    async def _say(self, message: dict[str, Any]) -> None:
        await self._send(encode(message).decode())

    async def _send(self, text: str) -> None:
        # Of several at once the first to begin counts, until one of them has gone: then the other side takes some.
        self._since = self._since or asyncio.get_running_loop().time()
        await self._socket.send_text(text)
        self._since = None

    def _writer(self, opening: bytes) -> Callable[[Lot], bool] | None:
        """Sends a lot at once, if the other side can take it now: each answer between `opening` and a brace."""
        frames = self._frames
        if frames is None:
            return None

        def write(lot: Lot) -> bool:
            # Most clients call their only operation alike: then the bytes are those of the socket before.
            if lot.made_for != opening:
                if lot.size > AT_ONCE_BYTES:
                    return False
                lot.made = b"".join([text_frame(opening, piece.body, b"}") for piece in lot.pieces])
                lot.made_for = opening
            return frames(lot.made)

        return write

    async def _initialise(self, payload: Any) -> None:
        if self._initialised.is_set():
            raise Closed(DUPLICATE_INIT, "Too many initialisation requests")
        if payload is not None and not isinstance(payload, dict):
            raise Closed(BAD_REQUEST, "Invalid connection_init payload")
        told = {name.lower(): value for name, value in (payload or {}).items()}
        self._key = key_of(told.get("authorization")) or bearer(self._socket.headers)
        principal = self._principal = await self._authenticated()
        self._initialised.set()
        log.info("socket", account=principal.account_id, key=principal.key_id)
        await self._say({"type": "connection_ack"})

    async def _subscribe(self, ident: str, payload: dict[str, Any]) -> None:
        if not self._initialised.is_set():
            raise Closed(UNAUTHORIZED, "Unauthorized")
        if ident in self.tasks:
            raise Closed(DUPLICATE_ID, f"Subscriber for {ident[:50]} already exists")
        if len(self.tasks) >= OPERATIONS_A_SOCKET:
            refusal = Unanswerable(
                429, "TOO_MANY_OPERATIONS", f"A socket may have {OPERATIONS_A_SOCKET} operations at once."
            )
            await self._say({"type": "error", "id": ident, "payload": refusal.answer["errors"]})
            return
        self.tasks[ident] = asyncio.create_task(self._run(ident, payload))

    async def _run(self, ident: str, payload: dict[str, Any]) -> None:
        """Run one operation to its end. What goes wrong is told to it alone."""
        me = asyncio.current_task()
        slow = False
        try:
            last = await self._answers(ident, payload)
        except (Unanswerable, Invalid) as refusal:
            entries = refusal.answer["errors"] if isinstance(refusal, Unanswerable) else refusal.errors
            last = {"type": "error", "id": ident, "payload": entries}
        except (Problem, Refused) as problem:
            listening = self._listening.get(ident)
            cursor = None if listening is None else listening.cursor
            last = {"type": "error", "id": ident, "payload": cut(problem, cursor)}
            slow = isinstance(problem, SlowConsumer)
        except (WebSocketDisconnect, RuntimeError):
            return  # the socket is gone, and `talk` knows
        except Exception as error:
            last = {"type": "error", "id": ident, "payload": [masked(error)]}
        # The id is free before the client hears of the end; a client that completed it may use it already.
        if self.tasks.get(ident) is me:
            del self.tasks[ident]
            self._listening.pop(ident, None)
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await self._say(last)
                if slow:
                    await self._socket.close(TRY_AGAIN_LATER, "Too slow")

    async def _answers(self, ident: str, payload: dict[str, Any]) -> dict[str, Any]:
        asked = from_values(payload)
        operation = self._sockets.operations.prepare(asked.text, asked.name, asked.digest, asked.ident)
        principal = await self._sockets.authenticator.principal(self._key)
        if operation.kind is not OperationType.SUBSCRIPTION:
            answer = await self._sockets.operations.run(operation, asked.variables, principal)
            if _refused(answer):
                return {"type": "error", "id": ident, "payload": answer["errors"]}
            await self._say({"type": "next", "id": ident, "payload": answer})
            return {"type": "complete", "id": ident}
        listening = await self._sockets.operations.listen(operation, asked.variables, principal)
        self._listening[ident] = listening
        opening = encode({"type": "next", "id": ident})[:-1] + b',"payload":'
        # What does not wait goes out as the group is told it, with no task in between.
        listening.write = self._writer(opening)
        before = opening.decode()
        async with contextlib.aclosing(listening.batches()) as batches:
            async for pieces in batches:
                for piece in pieces:
                    await self._send(f"{before}{piece.body.decode()}}}")
                    listening.sent(piece)
        return {"type": "complete", "id": ident}


def _refused(answer: Answer) -> bool:
    """Whether the operation was not executed at all."""
    return "data" not in answer
