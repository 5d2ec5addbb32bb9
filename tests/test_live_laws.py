"""Whoever listens, wherever, and whatever dies: what he has heard is the log, once, in order."""

import asyncio
import contextlib
import gc
import os
import random
import re
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import accounts, cursors
from resolvers.streams import EventStream
from server.app import create_app
from server.live import Lot
from server.live.groups import Group
from server.postgres import start
from storage import changes
from storage.changes import Event, EventKind
from storage.database import Actor, Database, connect
from storage.faults import Fault, fault
from storage.migrate import migrate
from storage.wake import Notify
from tests.crm import Crm
from tests.face import T0, new_key
from tests.live import Cut, Subscriber, logged, told_by
from tests.processes import PATIENCE, fastest_place, nobody_runs_in, until
from tests.served import served

# A client's library leaves sockets to the collector where the other side was killed in the middle of a greeting.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

WRITER = Actor("API")
# The short form stands in the suite; longer ones are asked for by hand.
SECONDS = float(os.environ.get("RELATA_LIVE_SECONDS", "3"))

# The record that everything happens to: the first that an account makes.
RECORD = 1_000

# So often each subscriber comes, at least, within one process.
COMES = 5
# So many events the last of them may be behind before more are written.
AHEAD = 8


class Postgres:
    """A PostgreSQL of one test's own, which is killed and comes back."""

    def __init__(self, data_dir: Path, url: str) -> None:
        self._data_dir = data_dir
        self.url = url

    def kill(self) -> None:
        """Stop it at once, as a crash does: who watches over it starts it again, and it recovers."""
        lines = (self._data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
        os.kill(int(lines[0]), signal.SIGQUIT)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """One whose commits outlive its crashes."""
    place = Path(tempfile.mkdtemp(prefix="relata-pg-", dir=fastest_place()))
    place.chmod(0o755)
    with start(place / "data") as server:
        yield Postgres(place / "data", server.url())
    until(lambda: nobody_runs_in(place / "data"))
    shutil.rmtree(place)


class Nodes:
    """Processes of `relata serve` on one database."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._running: dict[str, asyncio.subprocess.Process] = {}

    def places(self) -> list[str]:
        """Where they listen; one that has just died may be among them."""
        return list(self._running) or ["http://127.0.0.1:9/graphql"]

    async def begin(self) -> None:
        """One more. While there is no database, none begins."""
        for _ in range(20):
            if await self._begun():
                return
            await asyncio.sleep(0.1)
        raise AssertionError("it did not begin")

    async def _begun(self) -> bool:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RELATA_")}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "server.cli", "serve"),
            env={**kept, "DATABASE_URL": self._url, "RELATA_PORT": "0", "RELATA_WORKERS": "0"},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert process.stdout is not None
        async for line in process.stdout:
            if found := re.search(r"ready: (http://\S+)", line.decode()):
                self._running[found[1]] = process
                return True
        await process.wait()
        return False

    async def tell_to_end(self, place: str) -> int:
        """End one in order; its status."""
        process = self._running.pop(place)
        process.terminate()
        return await process.wait()

    async def kill(self, place: str) -> None:
        """End one without a word."""
        process = self._running.pop(place)
        process.kill()
        await process.wait()

    async def end(self) -> None:
        """End all."""
        for place in list(self._running):
            await self.kill(place)


async def write(
    db: Database,
    account_id: int,
    over: Callable[[], bool],
    chance: random.Random,
    ahead: Callable[[int], bool] = lambda _: False,
) -> None:
    """Commit events until it is over, some at once, some alone; what fails with the database is tried again.

    `ahead` is told how many more there are, and says whether that is enough for now.
    """
    n = 0
    while not over():
        if ahead(n):
            n = 0
            await asyncio.sleep(0.005)
            continue
        n = 0
        try:
            async with db.transaction(account_id, now=T0, actor=WRITER) as tx:
                some = chance.choice((1, 1, 1, 5, 12))
                for _ in range(some):
                    tx.happened(
                        Event(EventKind.RECORD_UPDATED, 1, RECORD, payload={"changed": {"n": [None, 1]}})
                    )
                # Nobody asks for these.
                tx.happened(Event(EventKind.ENROLLED, 1, RECORD, 7, {"enrollment": 1}))
            n = some + 1
        except Exception as error:
            if fault(error) is None:
                raise
        await asyncio.sleep(chance.random() / 30)


async def with_record(db: Database, name: str = "demo") -> tuple[int, str]:
    """An account with one record, and a key of it."""
    account_id = await accounts.create(db, name, now=T0)
    assert await Crm(db, account_id).contact() == RECORD
    return account_id, await new_key(db, account_id)


@contextlib.asynccontextmanager
async def notifying(url: str) -> AsyncIterator[Database]:
    """The database for writers who tell other processes."""
    async with Notify(url).running() as wake, connect(url, wake=wake) as db:
        yield db


async def test_subscribers_hear_the_log_whatever_is_killed(postgres: Postgres) -> None:
    seed = int(os.environ.get("RELATA_LIVE_SEED", "7"))
    chance = random.Random(seed)
    nodes = Nodes(postgres.url)
    await migrate(postgres.url)
    async with notifying(postgres.url) as db:
        account_id, key = await with_record(db)
        try:
            await asyncio.gather(*(nodes.begin() for _ in range(2)))
            await law(db, account_id, key, nodes, postgres, chance)
        finally:
            await nodes.end()
            gc.collect()


async def law(
    db: Database, account_id: int, key: str, nodes: Nodes, postgres: Postgres, chance: random.Random
) -> None:
    """Writers, subscribers and murderers, for a time; then everybody has heard everything.

    It goes on until there was something to hear, and somebody came back to hear it, however slow the machine is.
    """
    loop = asyncio.get_running_loop()
    ends, over = loop.time() + SECONDS, asyncio.Event()
    last: asyncio.Future[int] = loop.create_future()
    subscribers = [
        Subscriber(nodes.places, key, account_id, random.Random(chance.random())) for _ in range(12)
    ]
    running = [asyncio.create_task(one.run(last)) for one in subscribers]
    writing = [asyncio.create_task(write(db, account_id, over.is_set, chance)) for _ in range(3)]
    restarted = 0
    while loop.time() < ends:
        await asyncio.sleep(SECONDS / 6)
        # Once in half a minute: who watches over PostgreSQL gives up on one that ends too often.
        late = loop.time() > ends - SECONDS / 2
        if restarted < 1 + SECONDS // 30 and (chance.random() < 0.4 or (late and not restarted)):
            postgres.kill()
            restarted += 1
        elif chance.random() < 0.6:
            await nodes.kill(chance.choice(nodes.places()))
            await nodes.begin()
        else:
            await cut_connections(db)
    if not restarted:
        # On a busy machine the blows before took all the time.
        postgres.kill()
        restarted += 1
    assert restarted
    async with asyncio.timeout(PATIENCE):
        while (  # noqa: ASYNC110 (nobody tells)
            sum(one.came for one in subscribers) <= 2 * len(subscribers)
            or max(len(one.heard) for one in subscribers) <= 100
        ):
            await asyncio.sleep(0.05)
    over.set()
    await asyncio.gather(*writing)
    expected = await logged_once_up(db, account_id)
    last.set_result(expected[-1])
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*running)
    for one in subscribers:
        assert one.heard == expected


async def logged_once_up(db: Database, account_id: int) -> list[int]:
    """What the log holds, as soon as PostgreSQL has recovered."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await logged(db, account_id)
            except Exception as error:
                if fault(error) is not Fault.DISCONNECTED:
                    raise
                await asyncio.sleep(0.2)


async def cut_connections(db: Database) -> None:
    """What a restart of PostgreSQL does to those who are connected."""
    with contextlib.suppress(Exception):
        async with db.pool.acquire() as connection:
            await connection.fetch(
                "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a"
                " WHERE a.datname = current_database()"
            )


async def test_a_node_that_is_told_to_end_says_where_to_go_on(database_url: str) -> None:
    nodes = Nodes(database_url)
    async with notifying(database_url) as db:
        account_id, key = await with_record(db)
        over = asyncio.Event()
        await nodes.begin()
        try:
            (place,) = nodes.places()
            writing = asyncio.create_task(write(db, account_id, over.is_set, random.Random(7)))
            heard: dict[str, list[str]] = {"socket": [], "stream": []}
            began = {how: asyncio.Event() for how in heard}
            hearing = [
                asyncio.create_task(until_cut(place, key, account_id, how, heard[how], began[how]))
                for how in heard
            ]
            await asyncio.gather(*(one.wait() for one in began.values()))
            assert await nodes.tell_to_end(place) == 0
            going_on_behind = dict(zip(heard, await asyncio.gather(*hearing), strict=True))
        finally:
            over.set()
            await nodes.end()
        await writing
        expected = [cursors.encode(account_id, number) for number in await logged(db, account_id)]
        async with served(create_app(db)) as path:
            for how in heard:
                async with contextlib.aclosing(
                    told_by(how, str(path), key, going_on_behind[how])
                ) as going_on:
                    while heard[how][-1] != expected[-1]:
                        heard[how].append((await anext(going_on))["cursor"])
        assert heard == {"socket": expected, "stream": expected}


async def until_cut(
    place: str, key: str, account_id: int, how: str, heard: list[str], began: asyncio.Event
) -> str:
    """Hear an account's log from its beginning until the server goes away; where it says to go on."""
    with pytest.raises(Cut) as cut:
        async for event in told_by(how, place, key, cursors.encode(account_id, 0)):
            heard.append(event["cursor"])
            began.set()
    assert cut.value.errors[0]["extensions"]["code"] == "GOING_AWAY"
    return str(cut.value.errors[0]["extensions"]["cursor"])


async def within_one_process(db: Database, name: str = "demo") -> list[tuple[list[int], list[int]]]:
    """What some subscribers heard among writers, beside what they should have heard."""
    account_id, key = await with_record(db, name)
    last: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    async with served(create_app(db)) as path:
        subscribers = [Subscriber(lambda: [str(path)], key, account_id, random.Random(n)) for n in range(8)]
        running = [asyncio.create_task(one.run(last, 15)) for one in subscribers]

        def over() -> bool:
            """Each has come back, and there were others meanwhile."""
            return all(one.came >= COMES for one in subscribers)

        async with db.read(account_id) as reader:
            last_written = await changes.last(reader)

        def ahead(n: int) -> bool:
            """Who is far behind would leave before he has caught up with his group, on a slow machine each time."""
            nonlocal last_written
            last_written += n
            return last_written > min((one.heard or [0])[-1] for one in subscribers) + AHEAD

        await asyncio.gather(*(write(db, account_id, over, random.Random(n), ahead) for n in range(3)))
        expected = await logged(db, account_id)
        last.set_result(expected[-1])
        # Who has heard something else will never hear what is right.
        left: set[asyncio.Task[None]] = set(running)
        while left and all(one.heard == expected[: len(one.heard)] for one in subscribers):
            _, left = await asyncio.wait(left, timeout=0.05)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
    return [(one.heard, expected) for one in subscribers]


async def test_subscribers_that_come_and_go_hear_the_log(db: Database) -> None:
    for heard, expected in await within_one_process(db):
        assert heard == expected


def inclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cursor that stands for its own event as well."""
    beginning = EventStream.beginning

    async def before(self: EventStream[Any]) -> int:
        return max(await beginning(self) - 1, 0)

    monkeypatch.setattr(EventStream, "beginning", before)


def gap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that lets others catch up to two events before it."""
    join = Group.join
    monkeypatch.setattr(Group, "join", lambda self, member: join(self, member) - 2)


def twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hand-over of what was handed over."""
    tell = Group._tell

    def again(self: Group, lot: Lot, position: int) -> None:
        tell(self, Lot([*lot.pieces[:1], *lot.pieces]), position)

    monkeypatch.setattr(Group, "_tell", again)


@pytest.mark.parametrize("broken", [inclusive, gap, twice])
async def test_what_is_broken_is_caught(db: Database, monkeypatch: pytest.MonkeyPatch, broken: Any) -> None:
    broken(monkeypatch)
    # Where the machine is busy, nobody may be in a group while there is anything to tell.
    for n in range(20):
        if any(heard != expected for heard, expected in await within_one_process(db, f"demo-{n}")):
            return
    pytest.fail("Nobody noticed.")
