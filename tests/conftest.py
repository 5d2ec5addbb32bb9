"""A real PostgreSQL for the whole run, and a fresh, migrated database for every test that asks for one."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import structlog
from hypothesis import HealthCheck, settings

from server.postgres import start
from server.processes import prepared
from storage.database import Database, connect, on_statement
from storage.migrate import migrate
from storage.statements import Statement
from tests.processes import PATIENCE, fastest_place
from tests.statements import violations

# The same examples in every run, whoever runs it, and nothing that depends on how fast the machine is. Who looks for
# more asks for other ones: `--hypothesis-profile=wandering`.
AT_ANY_PACE: dict[str, Any] = {
    "deadline": None,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}
settings.register_profile("relata", derandomize=True, **AT_ANY_PACE)
settings.register_profile("wandering", **AT_ANY_PACE)
settings.load_profile("relata")

# Laws that test files inherit from: their failures show values, too.
pytest.register_assert_rewrite("tests.connector_laws")

T = TypeVar("T")

# Set by the first process of a run, inherited by its workers: they share one server.
RUN_DIR = "RELATA_TESTS_DIR"
# A server of your own instead; the suite makes databases in it and drops them again.
EXTERNAL = "RELATA_TEST_DATABASE_URL"

# The files that take longest, longest first. They are begun first: one that were begun last would be waited for by
# all other cores. A file that is missing here costs time, nothing else.
LONGEST = (
    "debian_graph", "serve", "filters_fresh", "dashboard", "commands", "sync_role_laws", "clients", "fuzz",
    "connector_carddav", "connector_sql", "export_command", "connector_hubspot", "connector_relata",
    "connector_directus", "postgres_supervisor", "property_indexes", "live_laws", "postgres_waiting", "filters_folds",
    "outbox_sending", "sync_chaos", "workflow_actions_hubs", "segments_laws", "workflow_actions_laws",
    "connector_hubspot_habits", "sync_story", "sync_carddav", "export_laws", "workflows_processes",
    "associations_laws", "workflow_actions_model", "imports_lanes", "connector_kinto", "reports_laws", "house",
    "workflows_model", "workflows_broken", "worker", "demo",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Server:
    """Where databases can be made, and the name of the migrated one that they are copied from."""

    url: str
    template: str

    def named(self, database: str) -> str:
        """The address of another database on the same server."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{database}"))


def pytest_configure(config: pytest.Config) -> None:
    """One directory for the whole run, and none of an earlier run that was killed."""
    # Plain tracebacks: the pretty ones show every local, the whole schema included, and take half a minute.
    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ]
    )
    if hasattr(config, "workerinput"):
        return
    base = fastest_place()
    for left in base.glob("relata-tests-*-*"):
        with contextlib.suppress(ValueError, ProcessLookupError, PermissionError):
            try:
                os.kill(int(left.name.split("-")[2]), 0)
            except ProcessLookupError:
                shutil.rmtree(left, ignore_errors=True)
    os.environ[RUN_DIR] = tempfile.mkdtemp(prefix=f"relata-tests-{os.getpid()}-", dir=base)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than there are processors: while one waits for others, a processor is not idle for it."""
    places = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return (places or 1) + 1


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The longest files first, then those of most tests, where several processes share them (see the Makefile)."""
    if hasattr(config, "workerinput"):
        places = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}
        tests = Counter(item.path for item in items)
        items.sort(key=lambda item: (places.get(item.path.name, len(places)), -tests[item.path], item.path))


def pytest_collection_finish() -> None:
    """The collector of garbage as in every process of ours: it need not walk through all modules time and again."""
    prepared()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    if not hasattr(config, "workerinput") and (run_dir := os.environ.pop(RUN_DIR, None)):
        # Here, not where one of several workers ends: the others copy it still.
        if (external := os.environ.get(EXTERNAL)) and (Path(run_dir) / "template.made").exists():
            found = elsewhere(external, Path(run_dir))
            with contextlib.suppress(OSError, asyncpg.PostgresError):
                outside_any_loop(command(found, f'DROP DATABASE IF EXISTS "{found.template}"'))
        shutil.rmtree(run_dir, ignore_errors=True)


@pytest.fixture(autouse=True)
def every_statement_is_read() -> Iterator[None]:
    """Fails the test that first runs a statement which breaks a rule of tests/statements.py."""
    run: list[str] = []
    on_statement.append(run.append)
    yield
    on_statement.remove(run.append)
    for sql in run:
        # `str()`: a named statement and a plain text of the same words are two different things.
        why = sql.spanning if isinstance(sql, Statement) else None
        if (str(sql), why) not in _READ:
            _READ.add((str(sql), why))
            found = violations(str(sql), spanning=why is not None)
            assert not found, f"{found} in {sql}"


# Statements that were read and found good (or told once).
_READ: set[tuple[str, str | None]] = set()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The server of this run: started by the first worker that needs it, stopped when the last one ends."""
    run_dir = Path(os.environ[RUN_DIR])
    with contextlib.ExitStack() as stack:
        if external := os.environ.get(EXTERNAL):
            found = elsewhere(external, run_dir)
        else:
            running = stack.enter_context(start(run_dir / "data", durable=False))
            found = Server(running.url("postgres"), "relata_template")
        with (run_dir / "template.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (run_dir / "template.made").exists():
                if not external:
                    outside_any_loop(leave_statistics_alone(found))
                outside_any_loop(make_template(found))
                (run_dir / "template.made").touch()
        yield found


def elsewhere(url: str, run_dir: Path) -> Server:
    """A server of your own, with a template of this run."""
    return Server(url, f"relata_template_{run_dir.name.rsplit('-', 1)[-1]}".lower())


@pytest.fixture
async def database_url(server: Server) -> AsyncIterator[str]:
    """The address of a fresh database with all tables, dropped after the test."""
    async with copied(server, server.template) as url:
        yield url


@contextlib.asynccontextmanager
async def copied(server: Server, template: str) -> AsyncIterator[str]:
    """The address of a copy of a database to which nobody is connected, dropped at the end."""
    name = f"t_{uuid.uuid4().hex}"
    # Files copied whole, nothing logged: this server's data need not outlive it.
    await command(server, f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
    yield server.named(name)
    await drop(server, name)


@pytest.fixture
async def empty_database_url(server: Server) -> AsyncIterator[str]:
    """The address of a fresh database without any table, dropped after the test."""
    name = f"t_{uuid.uuid4().hex}"
    await command(server, f'CREATE DATABASE "{name}" TEMPLATE template0')
    yield server.named(name)
    await drop(server, name)


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """An open database."""
    async with connect(database_url) as database:
        yield database


async def drop(server: Server, name: str) -> None:
    """Drop a database when all who are sent away from it have gone: PostgreSQL itself waits five seconds for them."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(asyncpg.ObjectInUseError):
                return await command(server, f'DROP DATABASE "{name}" WITH (FORCE)')


async def leave_statistics_alone(server: Server) -> None:
    """What the planner knows is what a test has it know: not what PostgreSQL finds by itself, four times a minute."""
    await command(server, "ALTER SYSTEM SET autovacuum = off")
    await command(server, "SELECT pg_reload_conf()")


async def make_template(server: Server) -> None:
    """Make the database that the tests' ones are copies of, and migrate it."""
    await command(server, f'DROP DATABASE IF EXISTS "{server.template}"')
    await command(server, f'CREATE DATABASE "{server.template}" TEMPLATE template0')
    await migrate(server.named(server.template))


async def command(server: Server, sql: str) -> None:
    """Run one command on the server."""
    connection: Any = await asyncpg.connect(server.url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def outside_any_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a loop of its own, whatever loop a test has."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
