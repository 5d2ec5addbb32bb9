"""An owner's side: find the server of a data directory or have it started, hold it, let go of it."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from server.postgres.cluster import DATABASE, USER, last_lines
from server.postgres.order import Order
from server.postgres.places import Places, UnsafePlace

LOG_BYTES = 10_000_000
STOPPING_SECONDS = 60.0
# How long other wardens may be in the way, which start or stop.
IN_THE_WAY_SECONDS = 300.0
# After so long without a word from the warden it is said what is waited for, again and again.
TELL_SECONDS = 5.0


class CannotStart(Exception):
    """There is no server to be had; the message is for the user."""


@dataclass(slots=True)
class PostgresServer:
    """A running server that lives at least as long as this handle (or the process that holds it)."""

    sockets: Path
    _warden: socket.socket = field(repr=False)

    def url(self, database: str = DATABASE) -> str:
        """The address as asyncpg takes it: postgresql://relata@/DATABASE?host=DIRECTORY."""
        return f"postgresql://{USER}@/{quote(database)}?host={quote(str(self.sockets), safe='/')}"

    def fileno(self) -> int:
        """Readable once the server's warden has ended, and with it the server: it says nothing else any more."""
        return self._warden.fileno()

    def close(self) -> None:
        """Let go. The last owner's close returns when the server has stopped."""
        with contextlib.suppress(OSError):
            self._warden.shutdown(socket.SHUT_WR)
            self._warden.settimeout(STOPPING_SECONDS)
            while self._warden.recv(4096):
                pass
        self._warden.close()

    def __enter__(self) -> "PostgresServer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def start(
    data_dir: Path,
    *,
    bin_dir: Path | None = None,
    durable: bool = True,
    waiting: Callable[[str], None] = lambda words: None,
    wanted: Callable[[], bool] = lambda: True,
) -> PostgresServer:
    """The server of a data directory: attached to when it runs, started (and made, the first time) when not.

    `durable=False` is for tests: commits may be lost when the machine fails. Blocks until the server takes connections,
    however long it has to recover; `waiting` is told now and then what it says meanwhile, and `wanted` is asked.
    Raises CannotStart, also when it is not wanted any more.
    """
    try:
        places = Places.of(data_dir)
        until = time.monotonic() + IN_THE_WAY_SECONDS
        while time.monotonic() < until:
            attached = _attach(places)
            warden = attached or _hire(places, bin_dir, durable)
            answer = _hear(warden, places, waiting, wanted)
            if "sockets" in answer:
                return PostgresServer(Path(str(answer["sockets"])), warden)
            warden.close()
            if "failed" in answer:
                raise CannotStart(str(answer["failed"]))
            if not answer and not attached:
                raise CannotStart(
                    f"The process that watches over PostgreSQL ended:\n{last_lines(places.log)}"
                )
            # Another process's warden is starting, or stopping: ask again.
            time.sleep(0.05)
    except PermissionError as error:
        raise CannotStart(
            f"{error.filename or data_dir} cannot be used: {error.strerror}. It may belong to another user; "
            "choose another directory with RELATA_DATA_DIR."
        ) from error
    except OSError as error:
        raise CannotStart(
            f"{error.filename or data_dir} cannot be used: {error.strerror or error}. "
            "The directory is chosen with RELATA_DATA_DIR."
        ) from error
    except UnsafePlace as error:
        raise CannotStart(str(error)) from error
    raise CannotStart(f"PostgreSQL in {data_dir} neither starts nor stops; see {places.log}.")


def _attach(places: Places) -> socket.socket | None:
    """A connection to the warden, when there is one."""
    warden = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        warden.connect(str(places.run_dir() / places.control_name))
    except (FileNotFoundError, ConnectionRefusedError):
        warden.close()
        return None
    except BaseException:
        warden.close()
        raise
    return warden


def _hire(places: Places, bin_dir: Path | None, durable: bool) -> socket.socket:
    """Start a warden; our end of the connection to it."""
    if places.log.exists() and places.log.stat().st_size > LOG_BYTES:
        places.log.replace(places.log.with_suffix(".log.1"))
    ours, theirs = socket.socketpair()
    with theirs, places.log.open("ab") as log:
        order = Order(
            str(places.data_dir), str(bin_dir.absolute()) if bin_dir else None, durable, theirs.fileno()
        )
        found_as_here = [
            str(Path(__file__).resolve().parents[2]),
            *filter(None, [os.environ.get("PYTHONPATH")]),
        ]
        hired = subprocess.run(
            [sys.executable, "-m", "server.postgres.warden", order.text()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(theirs.fileno(),),
            # Out of our session: Ctrl-C is meant for us, and we decide when the server stops.
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(found_as_here)},
            check=False,
        )
    if hired.returncode != 0:
        ours.close()
        raise CannotStart(
            f"The process that watches over PostgreSQL did not start:\n{last_lines(places.log)}"
        )
    return ours


def _hear(
    warden: socket.socket, places: Places, waiting: Callable[[str], None], wanted: Callable[[], bool]
) -> dict[str, object]:
    """The warden's line; empty when it ended without one, as it does when it was stopping already.

    It lives as long as its PostgreSQL starts, so its silence means that there is something to wait for.
    """
    heard = b""
    warden.settimeout(TELL_SECONDS)
    with contextlib.suppress(ConnectionError):
        while not heard.endswith(b"\n"):
            try:
                more = warden.recv(65536)
            except TimeoutError:
                if not wanted():
                    # The warden goes on until PostgreSQL is ready, finds nobody, and stops it.
                    return {"failed": "PostgreSQL is not waited for any more."}
                waiting(last_lines(places.log, 1) or "PostgreSQL starts")
                continue
            if not more:
                return {}
            heard += more
        answer = json.loads(heard)
        return answer if isinstance(answer, dict) else {}
    return {}
