"""The server that we start ourselves: it lives as long as somebody needs it, and no crash costs committed data."""

import asyncio
import contextlib
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import asyncpg
import pytest

from server.postgres import CannotStart, NoBinaries, find_binaries, start
from tests.processes import fastest_place, nobody_runs_in, until

SOURCE = Path(__file__).resolve().parents[1]
OWNER = """
import sys
from pathlib import Path
from server.postgres import start
with start(Path(sys.argv[1])) as server:
    print(server.url(), flush=True)
    sys.stdin.read()
"""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="what the kernel does here is Linux's own")


@dataclass(slots=True)
class Owners:
    """Processes that own a server, started for one test and ended with it."""

    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def begin(self, data_dir: Path, *before: str, python: str = sys.executable) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [*before, python, "-c", OWNER, str(data_dir)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": f"{SOURCE}:{packages()}"},
        )
        self.processes.append(process)
        return process

    def own(
        self, data_dir: Path, *before: str, python: str = sys.executable
    ) -> tuple[subprocess.Popen[str], str]:
        """A process that holds a running server, and the server's address."""
        process = self.begin(data_dir, *before, python=python)
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        assert url, process.stderr.read()
        return process, url


@pytest.fixture
def owners() -> Iterator[Owners]:
    found = Owners()
    yield found
    for process in found.processes:
        process.kill()
        process.communicate()


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user may enter; when the test ends, so has whatever ran in it."""
    path = Path(tempfile.mkdtemp(prefix="relata-pg-", dir=fastest_place()))
    path.chmod(0o755)
    yield path
    for lock in path.rglob("warden.lock"):
        until(lambda lock=lock: nobody_runs_in(lock.parent))  # type: ignore[misc]
    shutil.rmtree(path)


def packages() -> str:
    return str(Path(asyncpg.__file__).parents[1])


def ask(url: str, sql: str) -> Any:
    async def asking() -> Any:
        connection: Any = await asyncpg.connect(url)
        try:
            return await connection.fetchval(sql)
        finally:
            await connection.close()

    return asyncio.run(asking())


def postmaster(data_dir: Path) -> int:
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split()[0])


def warden(data_dir: Path) -> int:
    return shown(postmaster(data_dir), "ppid")


def shown(pid: int, what: str) -> int:
    """A number that the system shows of a process."""
    if (status := Path(f"/proc/{pid}/status")).exists():
        line = {"ppid": "PPid:", "euid": "Uid:"}[what]
        numbers = next(text for text in status.read_text().splitlines() if text.startswith(line)).split()
        # Four user ids: real, effective, saved, of the file system.
        return int(numbers[2] if what == "euid" else numbers[1])
    seen = subprocess.run(
        ["ps", "-o", f"{what}=", "-p", str(pid)], capture_output=True, text=True, check=True
    )
    return int(seen.stdout)


def test_the_server_lives_as_long_as_its_last_owner(place: Path, owners: Owners) -> None:
    first, url = owners.own(place / "data")
    second, same = owners.own(place / "data")
    assert same == url
    served_by = postmaster(place / "data")

    first.communicate("")
    assert ask(url, "SELECT 1") == 1
    assert postmaster(place / "data") == served_by

    second.communicate("")
    # The last owner's end is the server's: it waits for it.
    assert nobody_runs_in(place / "data")
    assert not (place / "data" / "postgres" / "postmaster.pid").exists()


def test_many_that_start_at_once_share_one_server(place: Path, owners: Owners) -> None:
    started = [owners.begin(place / "data") for _ in range(6)]
    urls = {process.stdout.readline().strip() for process in started if process.stdout is not None}
    assert len(urls) == 1
    assert ask(urls.pop(), "SELECT 1") == 1


def test_an_owner_that_is_killed_takes_the_server_along_and_no_committed_row(
    place: Path, owners: Owners
) -> None:
    owner, url = owners.own(place / "data")
    ask(url, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    owner.kill()
    until(lambda: nobody_runs_in(place / "data"))

    _, url = owners.own(place / "data")
    assert ask(url, "SELECT count(*) FROM kept") == 1000


@on_linux
def test_a_killed_warden_takes_the_server_along(place: Path, owners: Owners) -> None:
    owners.own(place / "data")
    os.kill(warden(place / "data"), signal.SIGKILL)
    until(lambda: nobody_runs_in(place / "data"))


def test_a_server_that_outlived_its_warden_makes_room(place: Path, owners: Owners) -> None:
    _, url = owners.own(place / "data")
    ask(url, "CREATE TABLE kept ()")
    orphan, its_warden = postmaster(place / "data"), warden(place / "data")
    # Asleep, it cannot hear that its warden died.
    os.kill(orphan, signal.SIGSTOP)
    os.kill(its_warden, signal.SIGKILL)
    with (place / "data" / "postmaster.lock").open() as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    next_owner = owners.begin(place / "data")
    os.kill(orphan, signal.SIGCONT)
    assert next_owner.stdout is not None
    assert ask(next_owner.stdout.readline().strip(), "SELECT to_regclass('kept') IS NOT NULL") is True


def test_a_server_that_dies_under_its_owners_comes_back(place: Path, owners: Owners) -> None:
    owner, url = owners.own(place / "data")
    ask(url, "CREATE TABLE kept ()")
    died = postmaster(place / "data")
    os.kill(died, signal.SIGKILL)

    def back() -> bool:
        with contextlib.suppress(OSError, asyncpg.PostgresError, ValueError, IndexError):
            return (
                postmaster(place / "data") != died
                and ask(url, "SELECT to_regclass('kept') IS NOT NULL") is True
            )
        return False

    until(back)
    assert owner.poll() is None


def test_a_recycled_process_number_does_not_keep_the_server_from_starting(
    place: Path, owners: Owners
) -> None:
    owner, _ = owners.own(place / "data")
    owner.kill()
    until(lambda: nobody_runs_in(place / "data"))
    # As after a power cut: the number in the file now belongs to a process that lives, ours.
    (place / "data" / "postgres" / "postmaster.pid").write_text(
        f"{os.getpid()}\n{place / 'data' / 'postgres'}\n"
    )

    _, url = owners.own(place / "data")
    assert ask(url, "SELECT 1") == 1


def test_a_cluster_that_was_never_finished_is_made_anew(place: Path, owners: Owners) -> None:
    half = place / "data" / "postgres.new-half"
    (half / "base").mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")

    _, url = owners.own(place / "data")
    assert ask(url, "SELECT 1") == 1
    assert not half.exists()


@pytest.mark.parametrize(
    "name",
    [
        "with spaces and 'quotes', \"two\" kinds",
        "größer % als # gedacht?",
        "/".join(["a-deep-directory"] * 12),
    ],
    ids=["spaces", "unicode", "deep"],
)
def test_any_path_will_do(place: Path, owners: Owners, name: str) -> None:
    owner, url = owners.own(place / name / "data")
    assert ask(url, "SELECT current_database()") == "relata"
    sockets = Path(unquote(urlsplit(url).query.removeprefix("host=")))
    owner.communicate("")
    assert not list(sockets.glob("*"))


def test_text_is_ordered_by_its_bytes_and_times_are_utc(place: Path, owners: Owners) -> None:
    _, url = owners.own(place / "data")
    assert (
        ask(url, "SELECT string_agg(x, '' ORDER BY x) FROM unnest(ARRAY['b', 'a', 'B', 'é']) AS x") == "Babé"
    )
    assert ask(url, "SELECT upper('é')") == "É"
    assert ask(url, "SELECT current_setting('TimeZone')") == "UTC"


def test_an_owner_may_change_any_setting_for_good(place: Path, owners: Owners) -> None:
    owner, _ = owners.own(place / "data")
    owner.communicate("")
    (place / "data" / "postgres" / "local.conf").write_text("work_mem = '7MB'\n")
    _, url = owners.own(place / "data")
    assert ask(url, "SELECT current_setting('work_mem')") == "7MB"


def test_data_of_another_version_are_left_alone(place: Path, owners: Owners) -> None:
    owner, _ = owners.own(place / "data")
    owner.communicate("")
    (place / "data" / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(CannotStart, match="PostgreSQL 12"):
        start(place / "data")


def test_what_cannot_work_is_said_plainly(place: Path) -> None:
    with pytest.raises(CannotStart, match="RELATA_PG_BIN"):
        start(place / "data", bin_dir=place / "nowhere")
    (place / "file").write_text("not a directory")
    with pytest.raises(CannotStart, match="file"):
        start(place / "file")


@as_root
@on_linux
def test_root_needs_no_change_of_hands(place: Path, owners: Owners) -> None:
    """In a namespace the files stay root's, below a directory that only root may enter."""
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    _, url = owners.own(closed / "data")
    assert ask(url, "SELECT 1") == 1
    assert (closed / "data" / "postgres" / "PG_VERSION").stat().st_uid in (0, ordinary_user().pw_uid)
    assert closed.stat().st_mode & 0o777 == 0o700


@as_root
@on_linux
def test_root_without_namespaces_becomes_somebody_else(place: Path, owners: Owners) -> None:
    """Below a directory that only root may enter, whose mode stays as it is; and in the data that root had before."""
    closed = place / "closed"
    closed.mkdir(mode=0o700)
    owner, url = owners.own(closed / "data")
    ask(url, "CREATE TABLE kept ()")
    owner.communicate("")

    # Without this capability the kernel lets nobody map root into a namespace.
    _, url = owners.own(closed / "data", "setpriv", "--bounding-set=-setfcap")
    assert ask(url, "SELECT to_regclass('kept') IS NOT NULL") is True
    assert (closed / "data" / "postgres" / "PG_VERSION").stat().st_uid != 0
    assert closed.stat().st_mode & 0o777 == 0o700
    assert shown(postmaster(closed / "data"), "euid") != 0


@as_root
@on_linux
def test_root_without_namespaces_makes_a_cluster(place: Path, owners: Owners) -> None:
    owner, url = owners.own(place / "data", "setpriv", "--bounding-set=-setfcap")
    ask(url, "CREATE TABLE kept ()")
    owner.kill()
    until(lambda: nobody_runs_in(place / "data"))
    _, url = owners.own(place / "data", "setpriv", "--bounding-set=-setfcap")
    assert ask(url, "SELECT to_regclass('kept') IS NOT NULL") is True


@as_root
def test_an_ordinary_user_owns_a_server(place: Path, owners: Owners) -> None:
    python = python_for_everybody()
    user = ordinary_user()
    os.chown(place, user.pw_uid, user.pw_gid)
    switch = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    owner, url = owners.own(place / "data", *switch, python=python)
    assert ask(url, "SELECT 1") == 1
    assert shown(postmaster(place / "data"), "euid") == user.pw_uid
    # Root attaches to it, and leaves the files theirs when it starts the next one itself.
    _, same = owners.own(place / "data")
    assert same == url
    owner.communicate("")
    assert ask(url, "SELECT 1") == 1


@as_root
def test_an_ordinary_user_is_told_that_the_data_are_roots(place: Path, owners: Owners) -> None:
    python = python_for_everybody()
    owner, _ = owners.own(place / "data")
    owner.communicate("")
    user = ordinary_user()
    switch = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
    _, said = owners.begin(place / "data", *switch, python=python).communicate("")
    assert "RELATA_DATA_DIR" in said


def ordinary_user() -> pwd.struct_passwd:
    return pwd.getpwnam("nobody")


def python_for_everybody() -> str:
    """A Python that another user may run, and that finds the binaries; skips where there is none."""
    user = ordinary_user()
    probe = (
        "import subprocess, sys; from server.postgres import find_binaries; find_binaries();"
        "subprocess.run([sys.executable, '-c', 'import sys; assert sys.version_info >= (3, 11)'], check=True)"
    )
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        with contextlib.suppress(OSError):
            tried = subprocess.run(
                [
                    "setpriv",
                    f"--reuid={user.pw_uid}",
                    f"--regid={user.pw_gid}",
                    "--clear-groups",
                    python,
                    "-c",
                    probe,
                ],
                env={**os.environ, "PYTHONPATH": f"{SOURCE}:{packages()}"},
                cwd="/",
                capture_output=True,
                check=False,
            )
            if tried.returncode == 0:
                return python
    pytest.skip("no other user may run this Python and these binaries")


def test_the_binaries_are_of_a_version_that_we_support(tmp_path: Path) -> None:
    assert find_binaries().major >= 16
    for program in ("postgres", "initdb"):
        (tmp_path / program).write_text(
            "#!/bin/sh\necho 'postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)'\n"
        )
        (tmp_path / program).chmod(0o755)
    with pytest.raises(NoBinaries, match="is PostgreSQL 15; Relata needs 16 or newer"):
        find_binaries(tmp_path)
