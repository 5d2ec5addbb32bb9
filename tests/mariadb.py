"""A real MariaDB for the tests of one process, where Debian's server is there: on a socket, as nobody in particular."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pymysql
import pytest

from tests.processes import PATIENCE, fastest_place


class MariaDb:
    """A server in a directory of its own, started and stopped at will."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = str(directory / "s")
        # Their server does not run as root.
        self.user = "mysql" if os.getuid() == 0 else None
        self._process: subprocess.Popen[bytes] | None = None

    def install(self) -> None:
        """Make an empty one."""
        if self.user is not None:
            os.chown(self.directory, pwd.getpwnam(self.user).pw_uid, -1)
        subprocess.run(
            [
                "mariadb-install-db",
                "--no-defaults",
                f"--datadir={self.directory / 'data'}",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
            ],
            user=self.user,
            check=True,
            capture_output=True,
            # Nothing here measures time.
            timeout=10 * PATIENCE,
        )

    def start(self) -> None:
        """Start it, and wait until it answers."""
        server = shutil.which("mariadbd", path=f"{os.environ['PATH']}:/usr/sbin")
        assert server is not None
        self._process = subprocess.Popen(
            [
                server,
                "--no-defaults",
                f"--datadir={self.directory / 'data'}",
                f"--socket={self.socket}",
                f"--pid-file={self.directory / 'pid'}",
                "--skip-networking",
                "--innodb-flush-log-at-trx-commit=0",
                "--innodb-buffer-pool-size=32M",
            ],
            user=self.user,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + PATIENCE
        while True:
            with (
                contextlib.suppress(OSError, pymysql.Error),
                contextlib.closing(socket.socket(socket.AF_UNIX)) as door,
            ):
                # Their client does not close a socket that leads nowhere.
                door.connect(self.socket)
                self.command("SELECT 1")
                return
            assert time.monotonic() < deadline, "MariaDB never answered"
            assert self._process.poll() is None, "MariaDB has ended"
            time.sleep(0.05)

    def stop(self) -> None:
        """As a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def command(self, sql: str) -> None:
        """Run a command as its root."""
        with pymysql.connect(unix_socket=self.socket, user="root") as connection:
            connection.cursor().execute(sql)

    def url(self, database: str, user: str = "root") -> str:
        """The address of a database on it."""
        return f"mysql://{user}@localhost/{database}?unix_socket={self.socket}"


@contextlib.contextmanager
def running() -> Iterator[MariaDb]:
    """A server that runs; skips where there is none."""
    if shutil.which("mariadb-install-db") is None:
        pytest.skip("MariaDB is not installed")
    directory = Path(tempfile.mkdtemp(prefix="relata-mariadb-", dir=fastest_place()))
    server = MariaDb(directory)
    try:
        server.install()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)
