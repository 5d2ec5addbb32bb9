"""How a process listens: a socket of its own that is bound first, and a server that leaves signals to the process."""

import contextlib
import errno
import socket
from collections.abc import Callable, Iterator

import uvicorn

from engine.values import shown


class CannotListen(Exception):
    """The address cannot be listened on; the message says why and what to do."""


class Api(uvicorn.Server):
    """The HTTP server, which says when it is ready and leaves signals to the process."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self.ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, then say so."""
        await super().startup(sockets)
        if self.started:
            self.ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: on a signal, workers and database end after us, in order."""
        yield


@contextlib.contextmanager
def listening(host: str, port: int, variable: str) -> Iterator[socket.socket]:
    """A bound socket: a port that is taken is told before anything else is started. Raises CannotListen.

    `variable` is the setting by which the port is chosen.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CannotListen(f"RELATA_HOST is {host}, which is no address: {error.strerror}.") from error
    except UnicodeError as error:
        raise CannotListen(f"RELATA_HOST is {shown(host)}, which no host can be called.") from error
    family, kind, protocol, _, place = found[0]
    with socket.socket(family, kind, protocol) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(place)
            listener.listen(2048)
        except OSError as error:
            raise CannotListen(_why(host, port, variable, error)) from error
        yield listener


def address(host: str, listener: socket.socket) -> str:
    """Where others reach what listens here."""
    return f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"


def _why(host: str, port: int, variable: str, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is in use: perhaps Relata runs already. "
            f"Stop what uses it, or choose another with {variable}, such as {min(port + 1, 65535)}."
        )
    if error.errno == errno.EACCES:
        return f"Only root may listen on port {port}. Choose one above 1023 with {variable}."
    return f"{host}:{port} cannot be listened on: {error.strerror}."
