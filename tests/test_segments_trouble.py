"""What cannot be evaluated is put aside with its reason and holds nobody up; it is not lost, and is tried again."""

import asyncio
import os
import random
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from engine import filters, records
from engine.batches import Mode
from engine.evaluation import listening, trouble, walking
from engine.evaluation import run as evaluate
from engine.segments import hand
from storage import troubles
from storage.database import Database
from storage.filters.tree import Not
from storage.troubles import TroubleRow
from tests.flows import associated, equals
from tests.segments import Segments, segments

LATER = timedelta(hours=2)
PATIENCE = 60


@pytest.fixture
async def crm(db: Database) -> Segments:
    return await segments(db)


class Poison(Exception):
    """Nobody expected it."""


async def aside(crm: Segments) -> list[TroubleRow]:
    """What is put aside."""
    async with crm.db.read(crm.account) as reader:
        return await troubles.listing(reader, 0, 10_000)


async def evaluated(crm: Segments) -> None:
    """Nothing is left to do but what was put aside."""
    now = crm.tick()
    while await evaluate.run_once(crm.db, crm.account, now=now):
        pass
    assert not await evaluate.waiting(crm.db, now)


async def become(crm: Segments, ids: Sequence[int], *cities: str) -> None:
    """Set the cities of records, in one transaction: each its own, or all the same."""
    named = cities if len(cities) > 1 else cities * len(ids)
    async with crm.writing() as tx:
        changes = [(one, {"city": city}) for one, city in zip(ids, named, strict=True)]
        await records.update(tx, changes, Mode.ATOMIC)


def poisoned(monkeypatch: pytest.MonkeyPatch, record: int) -> None:
    """Let every look at this record fail."""
    honest = filters.foreseen

    async def foreseen(reader: Any, catalogue: Any, asked: Any, **words: Any) -> Any:
        if any(record in ids for _, ids, _ in asked):
            raise Poison(f"record {record}")
        return await honest(reader, catalogue, asked, **words)

    monkeypatch.setattr(filters, "foreseen", foreseen)


async def test_a_record_that_cannot_be_examined_holds_up_nobody_and_is_examined_later(
    crm: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = await crm.segment("contacts", equals("city", "Boston"))
    other = await crm.segment("contacts", {"not": equals("city", "Boston")})
    people = await crm.create("contacts", *[{}] * 20)
    await crm.settle()
    told: list[TroubleRow] = []
    monkeypatch.setattr(trouble, "on_trouble", [lambda _account, row: told.append(row)])
    with monkeypatch.context() as poison:
        poisoned(poison, people[7])
        await become(crm, people, "Boston")
        await evaluated(crm)
        assert await crm.members(segment) == {*people} - {people[7]}
        assert await crm.members(other) == {people[7]}
        found = await aside(crm)
        assert {row.work["listener_id"] for row in found} == {segment, other}
        assert all(row.error.startswith("Poison: record") and row.attempts == 1 for row in found)
        assert [row.work for row in told] == [row.work for row in found]
        # Neither is it tried again at once, nor ever given up.
        assert not await evaluate.retry_once(crm.db, crm.account, now=crm.now)
        assert await evaluate.retry_once(crm.db, crm.account, now=crm.now + LATER)
        again = await aside(crm)
        assert [row.attempts for row in again] == [2, 2]
        assert all(row.retry_at - crm.now - LATER == 2 * trouble.FIRST_WAIT for row in again)
    await crm.settle(crm.now + 2 * LATER)
    assert await aside(crm) == []
    assert await crm.members(segment) == {*people}
    await crm.expect_at_rest()


async def test_a_segment_that_cannot_be_examined_holds_up_no_other(
    crm: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = [await crm.segment("contacts", equals("city", "Boston")) for _ in range(5)]
    bad = await crm.segment("contacts", {"not": equals("city", "Rome")})
    people = await crm.create("contacts", *[{}] * 40)
    honest = filters.foreseen
    looks = 0

    async def foreseen(reader: Any, catalogue: Any, asked: Any, **words: Any) -> Any:
        nonlocal looks
        looks += 1
        if any(isinstance(filter_, Not) for filter_, _, _ in asked):
            raise Poison
        return await honest(reader, catalogue, asked, **words)

    await crm.settle()
    with monkeypatch.context() as poison:
        poison.setattr(filters, "foreseen", foreseen)
        await become(crm, people, "Rome")
        await become(crm, people[:30], "Boston")
        await evaluated(crm)
        for one in good:
            assert await crm.members(one) == {*people[:30]}
        assert {row.work["listener_id"] for row in await aside(crm)} == {bad}
        # It is the segment, not its records: they are not all tried one by one.
        assert looks < 100
    await crm.settle(crm.now + LATER)
    await crm.expect_at_rest()


async def test_what_breaks_before_it_is_known_whom_it_concerns_is_put_aside_as_a_change(
    crm: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = await crm.segment("contacts", equals("city", "Boston"))
    people = await crm.create("contacts", *[{}] * 9)
    await crm.settle()
    honest = listening.keys

    def keys(change: Any, catalogue: Any) -> Any:
        if change.record_id == people[3]:
            raise Poison
        return honest(change, catalogue)

    with monkeypatch.context() as poison:
        poison.setattr(listening, "keys", keys)
        await become(crm, people, "Boston")
        await evaluated(crm)
        assert await crm.members(segment) == {*people} - {people[3]}
        (row,) = await aside(crm)
        assert (row.kind, row.work["record_id"], row.work["properties"]) == ("CHANGE", people[3], ["city"])
    async with crm.writing() as tx:
        assert await troubles.retry(tx, [row.id]) == 1
    await crm.settle()
    await crm.expect_at_rest()


async def test_a_walk_and_what_is_done_by_hand_are_put_aside_each_alone(
    crm: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    far = await crm.segment("contacts", associated("companies", equals("city", "Boston")))
    static = await crm.segment("contacts", kind="STATIC")
    firms = await crm.create("companies", *[{}] * 4)
    people = await crm.create("contacts", *[{}] * 8)
    await crm.associate(*[(person, firms[n % 4]) for n, person in enumerate(people)])
    await crm.add(static, *people)
    await crm.settle()
    follow, regain = walking.follow, hand.lose_and_regain

    async def following(tx: Any, begun: Any, *more: Any) -> Any:
        if any(walk.record_id == firms[0] for walk in begun):
            raise Poison
        return await follow(tx, begun, *more)

    async def regaining(tx: Any, changes: Any) -> None:
        if any(change.record_id == people[1] for change in changes):
            raise Poison
        await regain(tx, changes)

    with monkeypatch.context() as poison:
        poison.setattr(walking, "follow", following)
        poison.setattr(hand, "lose_and_regain", regaining)
        await become(crm, firms, "Boston")
        await crm.archive(*people[1:3])
        await evaluated(crm)
        assert await crm.members(far) == {*people[3:]} - {people[4]}
        assert await crm.members(static) == {*people} - {people[2]}
        assert sorted(row.kind for row in await aside(crm)) == ["BY_HAND", "WALK"]
    await crm.settle(crm.now + LATER)
    assert await crm.members(far) == {*people} - {*people[1:3]}
    assert await crm.members(static) == {*people} - {*people[1:3]}
    await crm.expect_at_rest()


# What no command writes: a change of a record whose type there is not, and a walk that has no way to go.
BROKEN_CHANGE = """
INSERT INTO change_queue (account_id, id, object_type_id, kind, properties, before, record_ids, type_ids, other_ids,
                          at, source, depth, version)
VALUES ($1, $2, 999999, 'UPDATED', '{city}', '{}', ARRAY[$3::bigint], '{}', '{}', $4, 'API', 0, 1)
"""
BROKEN_WALK = """
INSERT INTO trigger_walk (account_id, id, record_id, path, after_id, listener_ids, cause, at, depth, version)
VALUES ($1, $2, $3, '{}', 0, '{}', '{}', $4, 0, 1)
"""


async def broken(crm: Segments, record: int) -> None:
    """Queue a change and a walk that nobody can evaluate."""
    async with crm.writing() as tx:
        change, walk = await tx.new_ids(2)
        await tx.execute(BROKEN_CHANGE, change, record, tx.now)
        await tx.execute(BROKEN_WALK, walk, record, tx.now)


async def test_rows_that_nobody_can_evaluate_harm_no_others(crm: Segments) -> None:
    far = await crm.segment("contacts", associated("companies", equals("city", "Boston")))
    near = await crm.segment("companies", equals("city", "Boston"))
    firm, person = await crm.one("companies"), await crm.one("contacts")
    await crm.associate((firm, person))
    await crm.settle()
    await broken(crm, firm)
    await crm.set(firm, city="Boston")
    await evaluated(crm)
    assert (await crm.members(near), await crm.members(far)) == ({firm}, {person})
    assert [(row.kind, row.work["record_id"]) for row in await aside(crm)] == [
        ("CHANGE", firm),
        ("WALK", firm),
    ]
    await crm.settle(crm.now + LATER)
    assert [row.attempts for row in await aside(crm)] == [2, 2]


async def test_several_evaluators_and_a_poison_leave_the_rest_as_it_should_be(
    crm: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment = await crm.segment("contacts", equals("city", "Boston"))
    people = await crm.create("contacts", *[{}] * 30)
    await crm.settle()
    chance = random.Random(3)
    monkeypatch.setattr(evaluate, "CHANGES_A_BATCH", 10)
    with monkeypatch.context() as poison:
        poisoned(poison, people[5])
        for _ in range(4):
            await become(crm, people, *(chance.choice(["Boston", "Rome"]) for _ in people))

        async def worker() -> None:
            while await evaluate.run_once(crm.db, crm.account, now=crm.now):
                pass

        await asyncio.gather(*(worker() for _ in range(3)))
        await evaluated(crm)
        meeting = await crm.meeting(segment)
        assert await crm.members(segment) - {people[5]} == meeting - {people[5]}
        assert {row.work["record_id"] for row in await aside(crm)} == {people[5]}
    await crm.settle(crm.now + LATER)
    await crm.expect_at_rest()


@pytest.mark.slow
async def test_workers_killed_while_they_put_aside_lose_nothing(crm: Segments, database_url: str) -> None:
    far = await crm.segment("contacts", associated("companies", equals("city", "Boston")))
    near = await crm.segment("companies", equals("city", "Boston"))
    firms = await crm.create("companies", *[{}] * 12)
    people = await crm.create("contacts", *[{}] * 24)
    await crm.associate(*[(person, firms[n % 12]) for n, person in enumerate(people)])
    await crm.settle()

    async def start() -> asyncio.subprocess.Process:
        environment = {**os.environ, "DATABASE_URL": database_url, "RELATA_LOG_LEVEL": "error"}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "server.cli", "work", env=environment, stdin=asyncio.subprocess.DEVNULL
        )

    workers = [await start(), await start()]
    try:
        for n in range(4):
            for firm in firms:
                await crm.set(firm, city="Boston" if n % 2 else "Rome")
                await broken(crm, firm)
            await asyncio.sleep(0.3 + n / 7)
            workers[n % 2].send_signal(signal.SIGKILL)
            await workers[n % 2].wait()
            workers[n % 2] = await start()
        async with asyncio.timeout(PATIENCE):
            while await evaluate.waiting(crm.db, crm.now):  # noqa: ASYNC110 (the tables tell nobody)
                await asyncio.sleep(0.2)
    finally:
        for process in workers:
            process.send_signal(signal.SIGTERM)
        await asyncio.gather(*(asyncio.wait_for(process.wait(), PATIENCE) for process in workers))
    # Each is there once, however often a worker died over it.
    wanted = sorted((kind, firm) for firm in firms for kind in ("CHANGE", "WALK") for _ in range(4))
    assert sorted((row.kind, row.work["record_id"]) for row in await aside(crm)) == wanted
    assert (await crm.members(near), await crm.members(far)) == ({*firms}, {*people})
    await crm.expect_at_rest()
