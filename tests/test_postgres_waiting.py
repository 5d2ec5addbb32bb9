"""A database that is not there yet is waited for: as long as it takes where it recovers, a while where it is away."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from engine.evaluation import run as evaluate
from engine.workflows import steps
from server.app import create_app
from server.postgres import CannotStart, start
from storage.database import connect
from storage.faults import Away, Fault, away, fault
from tests.conftest import Server
from tests.face import Client, clients, new_key
from tests.flows import equals, flows, set_property
from tests.processes import PATIENCE, nobody_runs_in, until


@dataclass(slots=True)
class Recovering:
    """A server whose recovery goes on until it is told to end: a standby that follows nobody and lets nobody in."""

    data_dir: Path
    url: str

    def end(self) -> None:
        """Let it be an ordinary server, once it recovers: what one that only begins is told, it forgets."""
        until(self.recovers)
        cluster = self.data_dir / "postgres"
        (cluster / "promote").touch()
        shutil.chown(cluster / "promote", cluster.stat().st_uid)
        os.kill(int((cluster / "postmaster.pid").read_text().split()[0]), signal.SIGUSR1)

    def recovers(self) -> bool:
        """Whether it has come to its recovery: its own word to pg_ctl, in the eighth line."""
        with contextlib.suppress(FileNotFoundError):
            return (self.data_dir / "postgres" / "postmaster.pid").read_text().split("\n")[7:8] == [
                "standby "
            ]
        return False

    def begin(self) -> None:
        """What the next start of the server will be."""
        cluster = self.data_dir / "postgres"
        (cluster / "standby.signal").touch()
        shutil.chown(cluster / "standby.signal", cluster.stat().st_uid)
        (cluster / "local.conf").write_text("hot_standby = off\n")


@pytest.fixture(scope="module")
def made() -> Iterator[Path]:
    """Data of a server that has ended, made once: each test has a copy of its own."""
    # On a disk: a server whose commits last writes the log that a standby needs.
    place = Path(tempfile.mkdtemp(prefix="relata-pg-"))
    place.chmod(0o755)
    with start(place / "data"):
        pass
    yield place / "data"
    shutil.rmtree(place)


@pytest.fixture
def recovering(made: Path) -> Iterator[Recovering]:
    place = Path(tempfile.mkdtemp(prefix="relata-pg-"))
    place.chmod(0o755)
    # With their owners, which Python's own copying forgets.
    subprocess.run(["cp", "-a", made, place / "data"], check=True)
    with start(place / "data") as server:
        found = Recovering(place / "data", server.url())
    found.begin()
    yield found
    until(lambda: nobody_runs_in(place / "data"))
    shutil.rmtree(place)


def relata(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "server.cli", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def heard(process: subprocess.Popen[str], words: str) -> None:
    """Wait until it says these words in its log."""
    assert process.stderr is not None
    said = [process.stderr.readline()]
    while said[-1] and words not in said[-1]:
        said.append(process.stderr.readline())
    assert said[-1], "".join(said)


def test_a_server_that_recovers_is_waited_for_however_long_it_takes(recovering: Recovering) -> None:
    told: list[str] = []
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(start, recovering.data_dir, waiting=told.append)
        # Others who come by its address are as patient, though they wait for nobody who is gone.
        until(lambda: (recovering.data_dir / "postgres" / "postmaster.pid").exists())
        other = relata("migrate", DATABASE_URL=recovering.url, RELATA_DATABASE_SECONDS="20")
        heard(other, "the database is waited for, as long as it takes")
        until(lambda: told != [])
        assert not starting.done()
        assert other.poll() is None
        recovering.end()
        with starting.result():
            out, _ = other.communicate()
            assert (other.returncode, out) == (0, "The database is migrated.\n")


def test_that_our_own_server_starts_is_no_warning(recovering: Recovering) -> None:
    serving = relata("serve", DATABASE_URL="", RELATA_DATA_DIR=str(recovering.data_dir), RELATA_PORT="0")
    assert serving.stderr is not None
    lines = iter(serving.stderr.readline, "")
    said = next(line for line in lines if "the database is waited for" in line)
    recovering.end()
    serving.terminate()
    serving.communicate()
    assert "info" in said
    assert "warning" not in said


def test_who_waits_for_a_recovery_can_be_told_to_end(recovering: Recovering) -> None:
    with pytest.raises(CannotStart):
        start(recovering.data_dir, wanted=lambda: False)
    # What was begun goes on, and ends when nobody wants it.
    recovering.end()
    until(lambda: nobody_runs_in(recovering.data_dir))


def test_a_server_that_is_not_up_yet_is_waited_for(recovering: Recovering) -> None:
    (recovering.data_dir / "postgres" / "standby.signal").unlink()
    server = relata("serve", DATABASE_URL=recovering.url, RELATA_PORT="0", RELATA_WORKERS="0")
    heard(server, "the database is waited for")
    with start(recovering.data_dir):
        assert server.stdout is not None
        assert any("Relata is ready" in line for line in server.stdout)
        server.terminate()
        server.communicate()
        assert server.returncode == 0


def test_a_server_that_never_comes_is_given_up(tmp_path: Path) -> None:
    gone = relata("work", DATABASE_URL=f"postgresql:///gone?host={tmp_path}", RELATA_DATABASE_SECONDS="1")
    _, err = gone.communicate()
    assert gone.returncode == 1
    assert "more seconds" in err
    assert "The database gone at localhost cannot be used" in err
    assert "Traceback" not in err


def test_what_waiting_does_not_change_is_told_at_once(server: Server) -> None:
    gone = relata("migrate", DATABASE_URL=server.named("no_such_database"))
    _, err = gone.communicate()
    assert gone.returncode == 1
    assert "does not exist" in err
    assert "waited for" not in err


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (asyncpg.CannotConnectNowError("the database system is starting up"), Away.BUSY),
        (asyncpg.TooManyConnectionsError("sorry, too many clients already"), Away.UNREACHABLE),
        (ConnectionRefusedError(111, "refused"), Away.UNREACHABLE),
        (FileNotFoundError(2, "no such socket"), Away.UNREACHABLE),
        (TimeoutError(), Away.UNREACHABLE),
        (asyncpg.InvalidPasswordError("password authentication failed"), None),
        (asyncpg.InvalidCatalogNameError("no such database"), None),
        (asyncpg.InsufficientPrivilegeError("may not"), None),
        (asyncpg.QueryCanceledError("statement timeout"), None),
        (PermissionError(13, "not your socket"), None),
        (ConnectionError("PostgreSQL server rejected SSL upgrade"), None),
        (ValueError("a defect"), None),
    ],
)
def test_what_may_pass_is_told_from_what_stays(error: Exception, expected: Away | None) -> None:
    assert away(error) is expected


def test_a_postgresql_that_cannot_start_again_is_tried_until_it_can(recovering: Recovering) -> None:
    cluster = recovering.data_dir / "postgres"
    (cluster / "standby.signal").unlink()
    log = recovering.data_dir / "postgres.log"
    with start(recovering.data_dir):
        (cluster / "local.conf").write_text("shared_buffers = 'as many as there are'\n")
        os.kill(int((cluster / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        until(lambda: log.read_text().count("The warden starts PostgreSQL again.") >= 3)
        (cluster / "local.conf").write_text("")
        said = relata("migrate", DATABASE_URL=recovering.url)
        out, err = said.communicate()
        assert (said.returncode, out) == (0, "The database is migrated.\n"), err


def test_commands_answer_on_one_stream_and_tell_of_waiting_on_the_other(recovering: Recovering) -> None:
    (recovering.data_dir / "postgres" / "standby.signal").unlink()
    making = relata("keys", "create", "-a", "acme", "--create", "-q", DATABASE_URL=recovering.url)
    heard(making, "waited for")
    with start(recovering.data_dir):
        out, _ = making.communicate()
    assert making.returncode == 0
    assert len(out.split()) == 1
    with contextlib.suppress(ProcessLookupError):
        making.kill()


async def test_a_database_of_a_newer_version_is_left_alone_and_told_plainly(database_url: str) -> None:
    connection = await asyncpg.connect(database_url)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    said = relata("migrate", DATABASE_URL=database_url)
    _, err = said.communicate()
    assert said.returncode == 1
    assert "newer version of Relata (migration 9999" in err
    assert "Traceback" not in err


async def test_work_for_which_nothing_can_be_written_waits_and_is_nobodys_failure(database_url: str) -> None:
    async with connect(database_url) as db:
        crm = await flows(db)
        key = await new_key(db, crm.account)
        flow = await crm.make("contacts", equals("city", "Rome"), set_property("jobtitle", "Roman"))
        first, second = await crm.create("contacts", {"city": "Rome"}, {"city": "Oslo"})
        await crm.evaluate()
        await crm.set(second, city="Rome")
    owner = await asyncpg.connect(database_url)
    name = await owner.fetchval("SELECT current_database()")
    # As a disk that is full, or a server that became a standby; for whoever connects from now on.
    await owner.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    async with connect(database_url) as db:
        for work in (
            evaluate.run_once(db, crm.account, now=crm.tick()),
            steps.run_once(db, crm.account, now=crm.tick()),
        ):
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError) as told:
                await work
            assert fault(told.value) is Fault.DISCONNECTED
        async with clients(create_app(db)) as http:
            client = Client(http, key, crm.account)
            given = '{objectType: "contacts", records: [{properties: {}}]}'
            answer = await client.ask(f"mutation {{ createRecords(input: {given}) {{ __typename }} }}")
            assert [error["extensions"]["code"] for error in answer["errors"]] == ["UNAVAILABLE"]
            assert (await client.get("{ account { name } }"))["account"] == {"name": "demo"}
    await owner.execute(f'ALTER DATABASE "{name}" RESET default_transaction_read_only')
    await owner.close()
    async with connect(database_url) as db:
        crm.db = db
        await crm.work()
        assert await crm.standing(flow) == [(first, 1, "COMPLETED"), (second, 1, "COMPLETED")]
        assert await crm.read("SELECT t.id FROM change_trouble AS t WHERE t.account_id = $1") == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a file that is always full")
def test_a_log_that_takes_nothing_keeps_nobody_from_starting_again(recovering: Recovering) -> None:
    cluster, log = recovering.data_dir / "postgres", recovering.data_dir / "postgres.log"
    (cluster / "standby.signal").unlink()
    log.unlink()
    log.symlink_to("/dev/full")
    with start(recovering.data_dir):
        os.kill(int((cluster / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
        said = relata("migrate", DATABASE_URL=recovering.url)
        out, err = said.communicate()
        assert (said.returncode, out) == (0, "The database is migrated.\n"), err


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="finds a parent by /proc")
def test_a_server_whose_warden_is_killed_hires_another(recovering: Recovering) -> None:
    cluster = recovering.data_dir / "postgres"
    (cluster / "standby.signal").unlink()
    server = relata("serve", RELATA_DATA_DIR=str(recovering.data_dir), RELATA_PORT="0", DATABASE_URL="")
    assert server.stdout is not None
    url = next(line.split()[-1] for line in server.stdout if "Relata is ready" in line)
    ready = url.replace("/graphql", "/readyz")

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return bool(urllib.request.urlopen(ready, timeout=PATIENCE).status == 200)
        return False

    until(answers)
    first = (cluster / "postmaster.pid").read_text()
    status = Path(f"/proc/{first.split()[0]}/status").read_text()
    os.kill(int(status.split("PPid:")[1].split()[0]), signal.SIGKILL)
    heard(server, "another one is started")

    def another() -> bool:
        with contextlib.suppress(FileNotFoundError):
            return (cluster / "postmaster.pid").read_text() != first
        return False

    until(another)
    until(answers)
    server.terminate()
    server.communicate()
    assert server.returncode == 0
    assert nobody_runs_in(recovering.data_dir)
