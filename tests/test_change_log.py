"""The change log: nothing committed is passed over, nothing is handed out twice, order is commit order."""

import asyncio
import random
from datetime import UTC, datetime
from typing import Any

import pytest

from storage import changes
from storage.changes import Change, ChangeKind, Event, EventKind
from storage.database import AccountMissing, Actor, Database
from storage.ids import FIRST
from storage.notes import RecordsCreated
from storage.wake import Notify
from tests.processes import PATIENCE

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
WRITER = Actor("API")


async def bare_account(db: Database, account_id: int) -> int:
    """An account without definitions: the counters are all that the log needs."""
    async with db.pool.acquire() as connection:
        for statement in (
            "INSERT INTO catalogue_version (account_id, version) VALUES ($1, 1)",
            f"INSERT INTO id_block (account_id, next_id) VALUES ($1, {FIRST})",
            "INSERT INTO account_seq (account_id, seq) VALUES ($1, 0)",
        ):
            await connection.execute(statement, account_id)
    return account_id


def updated(record_id: int) -> Change:
    return Change(record_id, 1, ChangeKind.UPDATED, ("city",), {"city": None})


def told(record_id: int) -> Event:
    return Event(EventKind.RECORD_UPDATED, 1, record_id, payload={"record": record_id})


async def test_event_numbers_rise_in_commit_order_without_a_gap(db: Database) -> None:
    account = await bare_account(db, 11)
    chance = random.Random(5)
    seen: list[int] = []
    done = asyncio.Event()

    async def write(writer: int) -> None:
        for n in range(15):
            async with db.transaction(account, now=T0, actor=WRITER) as tx:
                tx.happened(told(writer * 100 + n))
                if chance.random() < 0.3:
                    tx.happened(told(writer * 100 + n + 50))
                # Think time inside the transaction: this is what makes a cursor on a plain sequence lose rows.
                await asyncio.sleep(chance.random() / 100)

    async def watch() -> None:
        cursor = 0
        async with db.read(account) as reader:
            while True:
                finished = done.is_set()
                events = await changes.read(reader, cursor, 7)
                seen.extend(event.seq for event in events)
                cursor = seen[-1] if seen else 0
                if finished and not events:
                    return

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(write(writer) for writer in range(6)))
    done.set()
    await watching
    async with db.read(account) as reader:
        assert seen == list(range(1, await changes.last(reader) + 1))


async def test_a_transaction_that_fails_leaves_neither_changes_nor_events(db: Database) -> None:
    account = await bare_account(db, 12)
    with pytest.raises(RuntimeError):
        async with db.transaction(account, now=T0, actor=WRITER) as tx:
            tx.changed(updated(1))
            tx.happened(told(1))
            raise RuntimeError
    async with db.transaction(account, now=T0, actor=WRITER) as tx:
        assert await changes.claim(tx, 10) == []
        assert await changes.read(tx, 0, 10) == []


async def test_every_change_is_claimed_once_by_racing_evaluators_some_of_which_crash(db: Database) -> None:
    account = await bare_account(db, 13)
    chance = random.Random(6)
    claimed: list[int] = []
    writing = 5

    async def write(writer: int) -> None:
        nonlocal writing
        for n in range(20):
            async with db.transaction(account, now=T0, actor=WRITER) as tx:
                tx.changed(updated(writer * 100 + n))
                await asyncio.sleep(chance.random() / 200)
        writing -= 1

    async def evaluate() -> None:
        while True:
            finished = writing == 0
            try:
                async with db.transaction(account, now=T0, actor=WRITER) as tx:
                    batch = await changes.claim(tx, 5)
                    await asyncio.sleep(chance.random() / 200)
                    if batch and chance.random() < 0.2:
                        raise RuntimeError
                claimed.extend(change.record_id for change in batch)
            except RuntimeError:
                continue
            if finished and not batch:
                return

    await asyncio.gather(*(write(writer) for writer in range(5)), *(evaluate() for _ in range(3)))
    # What a crashed evaluator had claimed may have been skipped by the others' last look.
    async with db.transaction(account, now=T0, actor=WRITER) as tx:
        claimed.extend(change.record_id for change in await changes.claim(tx, 1000))
    assert sorted(claimed) == sorted(writer * 100 + n for writer in range(5) for n in range(20))


async def test_changes_and_events_come_back_as_they_were_noted(db: Database) -> None:
    account = await bare_account(db, 14)
    change = Change(
        7, 3, ChangeKind.ASSOCIATED, ("a", "b"), {"a": [1, {"x": None}], "b": "ü"}, (4, 5), (8, 9)
    )
    actor = Actor("WORKFLOW", "41", 2, depth=3)
    async with db.transaction(account, now=T0, actor=actor) as tx:
        tx.changed(change)
        tx.happened(Event(EventKind.LABEL_ADDED, 3, 7, 41, {"label": "manager;\\"}))
    async with db.transaction(account, now=T0, actor=WRITER) as tx:
        (queued,) = await changes.claim(tx, 10)
        (event,) = await changes.read(tx, 0, 10)
    assert (queued.record_id, queued.object_type_id, queued.kind) == (7, 3, ChangeKind.ASSOCIATED)
    assert (queued.properties, queued.before) == (change.properties, change.before)
    assert (queued.type_ids, queued.other_ids) == ((4, 5), (8, 9))
    assert (queued.at, queued.source, queued.source_id, queued.depth) == (T0, "WORKFLOW", "41", 3)
    assert (event.kind, event.record_id, event.subject_id) == (EventKind.LABEL_ADDED, 7, 41)
    assert (event.payload, event.source, event.user_id) == ({"label": "manager;\\"}, "WORKFLOW", 2)


async def test_a_change_of_definitions_waits_for_running_writes_and_holds_for_later_ones(
    db: Database,
) -> None:
    account = await bare_account(db, 15)
    order: list[str] = []
    started = asyncio.Event()

    async def write() -> None:
        async with db.transaction(account, now=T0, actor=WRITER) as tx:
            version = tx.catalogue.version
            started.set()
            await asyncio.sleep(0.05)
            order.append(f"write under {version}")

    async def redefine() -> None:
        await started.wait()
        async with db.transaction(account, now=T0, actor=WRITER) as tx:
            await tx.redefine()
            order.append(f"definitions at {tx.catalogue.version}")

    await asyncio.gather(write(), redefine())
    await write()
    assert order == ["write under 1", "definitions at 2", "write under 2"]


async def test_an_unknown_account_is_an_error_of_the_operator(db: Database) -> None:
    with pytest.raises(AccountMissing):
        await db.catalogue(404)
    with pytest.raises(AccountMissing):
        async with db.transaction(404, now=T0, actor=WRITER):
            pass


async def test_ids_are_unique_over_processes_and_rise(db: Database, database_url: str) -> None:
    from storage.database import connect

    account = await bare_account(db, 16)
    async with connect(database_url) as other:

        async def take(ids: Database) -> list[int]:
            taken: list[int] = []
            for n in (1, 700, 3, 2_500, 400):
                mine = list(await ids.ids.take(account, n))
                assert len(mine) == n
                assert mine == sorted(mine)
                taken += mine
            return taken

        parts = await asyncio.gather(take(db), take(other), take(db), take(other))
    everything = [number for part in parts for number in part]
    assert len(everything) == len(set(everything))
    assert min(everything) >= FIRST


async def test_a_wake_up_reaches_other_processes(database_url: str) -> None:
    async with Notify(database_url).running() as here, Notify(database_url).running() as there:
        heard = asyncio.Queue[int]()
        stop = there.listen(heard.put_nowait)
        # Until both listen, a wake-up may be lost: that is what the poll is for.
        async with asyncio.timeout(PATIENCE):
            while heard.empty():
                here.send(7)
                await asyncio.sleep(0.05)
        assert heard.get_nowait() == 7
        stop()


VALUES = ["", "Köln", "x" * 40, '\u0001\\"', 0, 7, -1.5, True, False, ["a", "b"], {"": None, "a": [None, 1]}]


@pytest.mark.parametrize("seed", range(4))
async def test_records_made_together_share_rows_and_each_is_told_its_own_values(
    db: Database, seed: int
) -> None:
    chance = random.Random(seed)
    account = await bare_account(db, 40 + seed)
    names = ["email", "city", "n", "ünï", "changed"]
    made: list[dict[str, Any]] = [
        {name: chance.choice(VALUES) for name in chance.sample(names, chance.randrange(len(names) + 1))}
        for _ in range(chance.randrange(100, 300))
    ]
    # Now and then one that fills a row, or several.
    made[chance.randrange(len(made))]["email"] = "".join(chance.choices("abcdefghij", k=1_500))
    made[chance.randrange(len(made))]["city"] = "".join(chance.choices("abcdefghij", k=30_000))
    ids = list(range(1_000, 1_000 + len(made)))
    async with db.transaction(account, now=T0, actor=WRITER) as tx:
        tx.happened(told(1))
        tx.happened(RecordsCreated(1, ids, made))
        tx.happened(told(2))
    async with db.read(account) as reader:
        events = await changes.read(reader, 0, 1_000)
        rows = await reader.fetch(
            "SELECT cardinality(e.record_ids) AS n,"
            "       pg_column_compression(e.payload) IS NULL AND pg_column_compression(e.record_ids) IS NULL AS plain"
            "  FROM event_log AS e WHERE e.account_id = $1"
        )
        assert [(event.seq, event.record_id) for event in events] == list(enumerate([1, *ids, 2], 1))
        assert [event.payload for event in events[1:-1]] == [
            {"changed": {name: [None, value] for name, value in one.items()}} for one in made
        ]
        # Whoever begins, or stops, in the middle of a row is told the same.
        for _ in range(20):
            after, limit = chance.randrange(len(events)), chance.randrange(1, 90)
            assert await changes.read(reader, after, limit) == events[after : after + limit]
            first = (await changes.fresh(reader, after)).events
            assert first
            assert first == events[after : after + len(first)]
    assert len(rows) < len(made) / 4
    assert max(row["n"] for row in rows) <= 64
    # None is so long that PostgreSQL would compress it, but for what is by itself.
    assert all(row["plain"] for row in rows if row["n"] > 1)


@pytest.mark.parametrize("properties", [0, 1, 2, 6, 200])
async def test_rows_of_the_shortest_values_are_not_too_long_either(db: Database, properties: int) -> None:
    account = await bare_account(db, 60 + properties)
    made = [{f"p{n}": n % 10 for n in range(properties)} for _ in range(200)]
    async with db.transaction(account, now=T0, actor=WRITER) as tx:
        tx.happened(RecordsCreated(1, list(range(10**12, 10**12 + len(made))), made))
    async with db.read(account) as reader:
        events = await changes.read(reader, 0, 1_000)
        rows = await reader.fetch(
            "SELECT pg_column_compression(e.payload) AS payload, pg_column_compression(e.record_ids) AS records"
            "  FROM event_log AS e WHERE e.account_id = $1 AND cardinality(e.record_ids) > 1"
        )
    told = {"changed": {name: [None, value] for name, value in made[0].items()}}
    assert [event.payload for event in events] == [told] * len(made)
    assert {tuple(row) for row in rows} <= {(None, None)}


async def test_one_record_made_alone_is_told_in_the_words_of_all_others(db: Database) -> None:
    account = await bare_account(db, 50)
    async with db.transaction(account, now=T0, actor=WRITER) as tx:
        tx.happened(RecordsCreated(1, [7], [{"city": "Köln"}]))
        tx.happened(Event(EventKind.RECORD_CREATED, 1, 8, payload={"changed": {"city": [None, "Köln"]}}))
    async with db.read(account) as reader:
        one, other = await reader.fetch("SELECT e.payload FROM event_log AS e WHERE e.account_id = $1")
    assert one["payload"] == other["payload"]
