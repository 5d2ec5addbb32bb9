"""The warden: PostgreSQL's parent, which lives as long as somebody holds a connection to it.

Run as `python -m server.postgres.warden ORDER`, detached. It says one JSON line to each owner:
`{"sockets": DIRECTORY}` when the server is ready, `{"failed": MESSAGE}`, or `{"taken": true}` when another warden has
the data directory. An owner leaves by closing its connection, or by shutting down its sending side and waiting for
ours to close: then whatever had to end has ended.
"""

import contextlib
import fcntl
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from server.postgres.binaries import NoBinaries, find_binaries
from server.postgres.cluster import Cluster, StartFailed
from server.postgres.order import Order
from server.postgres.places import Places, UnsafePlace

# A PostgreSQL that ended sooner than this is started again after a pause, longer each time.
STEADY_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 30.0


def serve(order: Order) -> None:
    """Live as long as there are owners."""
    first = socket.socket(fileno=order.owner)
    places = Places(Path(order.data_dir))
    lock = os.open(places.warden_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        _say(first, {"taken": True})
        return
    with contextlib.ExitStack() as last:
        try:
            binaries = find_binaries(Path(order.bin_dir) if order.bin_dir else None)
            cluster = Cluster(places, binaries, order.durable)
            try:
                with _listening(places) as door:
                    warden = Warden(cluster, door, first)
                    last.callback(warden.let_go)
                    warden.run()
            finally:
                places.leave(cluster.sockets, places.run_dir())
        except (StartFailed, NoBinaries, UnsafePlace, OSError) as problem:
            _say(first, {"failed": str(problem)})
        # Whoever waits for our end finds everything free.
        os.close(lock)


@dataclass(slots=True)
class Warden:
    """The owners, the server, and the wait for a change of either."""

    cluster: Cluster
    door: socket.socket
    first: socket.socket
    selector: selectors.DefaultSelector = field(default_factory=selectors.DefaultSelector)
    owners: set[socket.socket] = field(default_factory=set)
    leaving: list[socket.socket] = field(default_factory=list)
    told_to_stop: bool = False
    # How often PostgreSQL ended without having been steady, when it was last started, and when it will be again.
    restarts: int = 0
    began: float = 0.0
    again_at: float | None = None

    def run(self) -> None:
        """Start, watch, stop. Raises StartFailed."""
        wake_up = self._listen_to_signals()
        self.cluster.prepare()
        self.cluster.start(self._not_told)
        self.began = time.monotonic()
        self._admit(self.first)
        self.selector.register(self.door, selectors.EVENT_READ)
        self.selector.register(wake_up, selectors.EVENT_READ)
        try:
            while self._wanted():
                for key, _ in self.selector.select(self._patience()):
                    source = key.fileobj
                    if source is self.door:
                        self._admit_all()
                    elif source is wake_up:
                        wake_up.recv(4096)
                    elif isinstance(source, socket.socket):
                        self._hear(source)
                if not self.cluster.running() and not self.told_to_stop:
                    self._start_again()
        finally:
            # Closed before the server stops: who comes now finds nobody, and starts the next warden.
            self.door.close()
            self.cluster.stop()

    def let_go(self) -> None:
        """Tell those who wait for our end."""
        for owner in (*self.owners, *self.leaving):
            owner.close()

    def _wanted(self) -> bool:
        if self.told_to_stop:
            return False
        if not self.owners:
            self._admit_all()  # somebody may have knocked while the last one left
        for owner in self.leaving if self.owners else ():
            owner.close()
        if self.owners:
            self.leaving.clear()
        return bool(self.owners)

    def _admit_all(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self._admit(self.door.accept()[0])

    def _admit(self, owner: socket.socket) -> None:
        owner.setblocking(False)
        if _say(owner, {"sockets": str(self.cluster.sockets)}):
            self.owners.add(owner)
            self.selector.register(owner, selectors.EVENT_READ)

    def _hear(self, owner: socket.socket) -> None:
        """Owners say nothing but their end."""
        with contextlib.suppress(BlockingIOError):
            try:
                gone = owner.recv(4096) == b""
            except OSError:
                gone = True
            if gone:
                self.selector.unregister(owner)
                self.owners.discard(owner)
                self.leaving.append(owner)

    def _start_again(self) -> None:
        """PostgreSQL ended although it is wanted (out of memory, killed): owners' pools connect again by themselves.

        Never given up: what keeps it from starting, such as a full disk, may be over at any time.
        """
        now = time.monotonic()
        if self.again_at is None:
            self.restarts = 0 if now - self.began > STEADY_SECONDS else self.restarts
            self.again_at = now + self._pause()
            self.restarts += 1
        if now < self.again_at:
            return
        self.again_at = None
        _log("The warden starts PostgreSQL again.")
        try:
            self.cluster.start(self._not_told)
        except (StartFailed, OSError) as problem:
            # The log has PostgreSQL's own words already.
            _log(str(problem).splitlines()[0])
        self.began = time.monotonic()

    def _pause(self) -> float:
        """None before the first time; then 1 second, 2, 4 …"""
        return min(2.0 ** min(self.restarts - 1, 10), LONGEST_PAUSE_SECONDS) if self.restarts else 0.0

    def _patience(self) -> float | None:
        """How long to wait for something to happen: until PostgreSQL is to be started again."""
        return None if self.again_at is None else max(self.again_at - time.monotonic(), 0.0)

    def _not_told(self) -> bool:
        return not self.told_to_stop

    def _listen_to_signals(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)

        def stop(*_: object) -> None:
            self.told_to_stop = True

        signal.set_wakeup_fd(theirs.detach(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        return ours


@contextlib.contextmanager
def _listening(places: Places) -> Iterator[socket.socket]:
    path = places.run_dir() / places.control_name
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        door.bind(str(path))
        path.chmod(0o600)
        door.listen(128)
        door.setblocking(False)
        yield door
    finally:
        door.close()
        path.unlink(missing_ok=True)


def _log(line: str) -> None:
    """Into postgres.log, if there is room: no line is worth ending for."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f"{line}\n".encode())


def _say(owner: socket.socket, what: dict[str, object]) -> bool:
    """One line, small enough to fit any socket's buffer. False when the owner is gone."""
    try:
        owner.sendall(json.dumps(what).encode() + b"\n")
    except OSError:
        owner.close()
        return False
    return True


def main() -> None:
    """Detach from the process that started us, then serve."""
    if os.fork() != 0:
        os._exit(0)
    os.umask(0o077)
    serve(Order(**json.loads(sys.argv[1])))


if __name__ == "__main__":
    main()
