"""One cluster on disk: made whole or not at all, cleared of a dead server's traces, started, stopped."""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from server.postgres.binaries import Binaries
from server.postgres.identity import Identity, Way, choose_identity
from server.postgres.places import Places

USER = "relata"
DATABASE = "relata"
POLL_SECONDS = 0.01
STOP_SECONDS = 30.0


class StartFailed(Exception):
    """PostgreSQL could not be started; the message is for the user."""


@dataclass(slots=True)
class Cluster:
    """The cluster of one data directory. Used by the warden alone, which holds its lock."""

    places: Places
    binaries: Binaries
    durable: bool
    identity: Identity = field(init=False)
    sockets: Path = field(init=False)
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.identity = choose_identity(self.places.cluster)
        if not self.identity.can_reach(self.binaries.directory):
            self.binaries = self.binaries.copied_below(Path("/var/tmp"))
        # Another user may not get through the data directory's parents: their sockets stand in /tmp.
        self.sockets = (
            self.places.short_dir("pg", self.identity.uid)
            if self.identity.way is Way.OTHER_USER
            else self.places.run_dir()
        )

    def prepare(self) -> None:
        """Everything before a start: leftovers removed, the cluster there, ours, and of the binaries' version."""
        for leftover in self.places.data_dir.glob("postgres.new-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        if not self.places.cluster.exists():
            self._make()
        self._take_over()
        version = (self.places.cluster / "PG_VERSION").read_text().strip()
        if version != str(self.binaries.major):
            raise StartFailed(
                f"The data in {self.places.cluster} are of PostgreSQL {version}, the binaries of "
                f"{self.binaries.major}. Set RELATA_PG_BIN to PostgreSQL {version}, or move the data with pg_dump."
            )
        (self.places.cluster / "relata.conf").write_text(
            settings(durable=self.durable, free=shutil.disk_usage(self.places.cluster).free)
        )

    def start(self, wanted: Callable[[], bool] = lambda: True) -> None:
        """Start the server and wait until it takes connections, as long as it is `wanted`. Raises StartFailed."""
        with self._postmaster_lock() as lock, _way_to(self.identity, self.places.cluster) as (path, fds):
            # Nobody holds the lock, so whatever process has the number in there now, it is no server of ours.
            (self.places.cluster / "postmaster.pid").unlink(missing_ok=True)
            self._process = subprocess.Popen(
                [
                    str(self.binaries.postgres),
                    *(
                        "-D",
                        path,
                        "-c",
                        "listen_addresses=",
                        "-c",
                        f"unix_socket_directories={_quoted(self.sockets)}",
                    ),
                ],
                stdin=subprocess.DEVNULL,
                env=_environment(),
                # It inherits the lock, and so do all its children: the lock is free when the last one is gone.
                pass_fds=(lock, *fds),
                preexec_fn=self.identity.entering(),
                start_new_session=True,
            )
        self._wait_until_ready(self._process, wanted)

    def running(self) -> bool:
        """Whether the server that we started is still there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> None:
        """Stop at once but in order: sessions are ended, everything is written, nothing needs recovery."""
        if (process := self._process) is None:
            return
        for how, patience in ((signal.SIGINT, STOP_SECONDS), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0)):
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(how)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(patience)
                break
        self._process = None

    def _make(self) -> None:
        aside = Path(tempfile.mkdtemp(prefix="postgres.new-", dir=self.places.data_dir))
        self.identity.take(aside)
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
            if self.binaries.major >= 17
            else ["--locale=C"]
        )
        with _way_to(self.identity, aside) as (path, fds):
            self._run(
                [
                    str(self.binaries.initdb),
                    "-D",
                    path,
                    "-U",
                    USER,
                    "--encoding=UTF8",
                    *locale,
                    "--auth=trust",
                ]
                + ([] if self.durable else ["--no-sync"]),
                fds,
            )
            self._run(
                [str(self.binaries.postgres), "--single", "-D", path, "postgres"],
                fds,
                b"CREATE DATABASE " + DATABASE.encode() + b";\n",
            )
        with (aside / "postgresql.conf").open("a") as conf:
            conf.write("\n# Written anew at every start:\ninclude 'relata.conf'\n")
            conf.write("# Yours; it has the last word:\ninclude 'local.conf'\n")
        for name in ("relata.conf", "local.conf"):
            (aside / name).touch(mode=0o600)
            self.identity.take(aside / name)
        aside.rename(self.places.cluster)

    def _run(self, command: list[str], fds: tuple[int, ...], given: bytes = b"") -> None:
        done = subprocess.run(
            command,
            input=given,
            capture_output=True,
            env=_environment(),
            pass_fds=fds,
            preexec_fn=self.identity.entering(),
            check=False,
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).decode(errors="replace").strip()
            raise StartFailed(f"{Path(command[0]).name} failed in {self.places.data_dir}: {said}")

    def _take_over(self) -> None:
        """Give the files to the identity, when they were root's and root may no longer use a namespace."""
        if self.identity.way is Way.OTHER_USER and self.places.cluster.stat().st_uid != self.identity.uid:
            for directory, _, files in os.walk(self.places.cluster):
                for path in (Path(directory), *(Path(directory) / name for name in files)):
                    self.identity.take(path)

    @contextlib.contextmanager
    def _postmaster_lock(self) -> Iterator[int]:
        """A locked descriptor for the server to inherit. Ends a server that outlived its warden first."""
        lock = os.open(self.places.postmaster_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            began = time.monotonic()
            while True:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                waited = time.monotonic() - began
                if waited > 2 * STOP_SECONDS:
                    raise StartFailed(f"A PostgreSQL that uses {self.places.cluster} does not end.")
                self._end_orphan(signal.SIGINT if waited < STOP_SECONDS else signal.SIGKILL)
                time.sleep(0.1)
            yield lock
        finally:
            os.close(lock)

    def _end_orphan(self, how: signal.Signals) -> None:
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int((self.places.cluster / "postmaster.pid").read_text().split()[0])
            # The lock says that some server process lives, not that this number is still its own.
            if "postgres" in _name_of(pid):
                os.kill(pid, how)

    def _wait_until_ready(self, process: subprocess.Popen[bytes], wanted: Callable[[], bool]) -> None:
        """However long it takes: after a crash in the middle of large writes, many minutes."""
        status = self.places.cluster / "postmaster.pid"
        while wanted():
            if process.poll() is not None:
                raise StartFailed(f"PostgreSQL did not start:\n{last_lines(self.places.log)}")
            with contextlib.suppress(FileNotFoundError):
                # The eighth line is PostgreSQL's own word to pg_ctl.
                lines = status.read_text().splitlines()
                if len(lines) >= 8 and lines[0] == str(process.pid) and lines[7].strip() == "ready":
                    return
            time.sleep(POLL_SECONDS)
        self.stop()
        raise StartFailed("PostgreSQL was told to stop before it was ready.")


def settings(*, durable: bool, free: int) -> str:
    """The configuration for a small machine that PostgreSQL shares with the application; `free` bytes on its disk."""
    megabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    buffers = min(max(megabytes // 16, 64), 1024)
    chosen = {
        "max_connections": "200",
        "shared_buffers": f"{buffers}MB",
        # A batch of an import is some 10 MB of log: with 16 MB at most, as by default, several at once wait for each
        # other to write it out (a tenth of their time), while nobody commits.
        "wal_buffers": f"{buffers // 16}MB",
        "effective_cache_size": f"{max(megabytes // 2, 256)}MB",
        "work_mem": "16MB",
        "maintenance_work_mem": f"{min(max(megabytes // 32, 64), 512)}MB",
        "random_page_cost": "1.1",
        # Our statements are short and prepared; compiling them costs more than it saves.
        "jit": "off",
        # A queue's rows live for moments: without an eager vacuum their dead versions are what gets scanned.
        "autovacuum_naptime": "15s",
        "autovacuum_vacuum_scale_factor": "0.05",
        "autovacuum_analyze_scale_factor": "0.02",
        # This build compresses with pglz alone, which took a sixth of the rate of what segments write.
        "wal_compression": "off",
        # After each checkpoint every page that is touched is logged whole, once: with 2 GB a fifth of what a million
        # associations write. More only where there is room for it.
        "max_wal_size": f"{min(max(free // 2**33, 2), 8)}GB",
        # A file of the log is not written full of zeros before it is used: while one writer does that for 16 MB, all
        # others wait, a seventh of what a first sync takes. What is committed is flushed either way, with where it is.
        "wal_init_zero": "off",
        "checkpoint_timeout": "15min",
        "synchronous_commit": "on" if durable else "off",
        "fsync": "on" if durable else "off",
        "full_page_writes": "on" if durable else "off",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_line_prefix": "%m [%p] ",
        "log_checkpoints": "off",
    }
    if not durable:
        # For tests: what a crash of the machine would need is not written at all.
        chosen |= {"wal_level": "minimal", "max_wal_senders": "0", "max_wal_size": "256MB"}
        # As many tests at once as there are processors, with processes of their own.
        chosen["max_connections"] = "600"
    return "".join(f"{name} = '{value}'\n" for name, value in chosen.items())


def _name_of(pid: int) -> str:
    """The program that a process runs; raises OSError when there is none such."""
    if Path("/proc/self/comm").exists():
        return Path(f"/proc/{pid}/comm").read_text()
    return subprocess.run(
        ["ps", "-o", "comm=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log, to be shown in a message."""
    with contextlib.suppress(OSError):
        return "\n".join(log.read_text(errors="replace").splitlines()[-count:])
    return ""


def _environment() -> dict[str, str]:
    """Ours without what libpq and the server would read from it; with one language on every machine."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return {**kept, "LC_ALL": "C"}


def _quoted(directory: Path) -> str:
    """One entry of the list that unix_socket_directories is."""
    return '"' + str(directory).replace('"', '""') + '"'


@contextlib.contextmanager
def _way_to(identity: Identity, directory: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A path by which the identity reaches a directory of its own, and the descriptors that must be inherited for it.

    Parents that it may not enter stay closed: an open descriptor leads past them.
    """
    if identity.can_reach(directory):
        yield str(directory), ()
        return
    if not Path("/proc/self/fd").is_dir():
        raise StartFailed(f"PostgreSQL must run as an ordinary user, and that user cannot reach {directory}.")
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}", (descriptor,)
    finally:
        os.close(descriptor)
