"""Workers in trouble: poison, lost connections and places, clocks that jump; each with an engine that gets it wrong."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from engine import accounts
from engine.evaluation import run as evaluate
from engine.workflows import enrolling, steps
from storage import enrollments, outbox_sending
from storage import workflows as stored
from storage.database import Database
from storage.enrollments import DueGroup
from storage.faults import Fault, fault
from tests.chaos import Crash
from tests.crm import done_or_waiting
from tests.flows import Flows, equals, flows, met, set_property, waits
from tests.graph import T0
from tests.outside import Outside, receiving

DONE = set_property("jobtitle", "x")


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


# --- poison -------------------------------------------------------------------------------------------------


async def poisoned(crm: Flows) -> None:
    """One record's row is so broken that its action fails, and with it whoever is in its transaction."""
    flow = await crm.make("contacts", equals("city", "Boston"), DONE)
    contacts = await crm.create("contacts", *[{"city": "Boston"}] * 40)
    await crm.evaluate()
    poison, now = contacts[17], crm.tick()
    async with crm.db.pool.acquire() as connection:
        sql = "UPDATE record SET properties = '[1]' WHERE account_id = $1 AND id = $2"
        await connection.execute(sql, crm.account, poison)
    await steps.run_due(crm.db, now=now)
    rows = {row.record_id: row for row in await crm.enrolled(flow)}
    assert Counter(row.status for row in rows.values()) == {"COMPLETED": 39, "ACTIVE": 1}
    assert rows[poison].status == "ACTIVE"
    # It is tried again, ever later, and then says what is wrong with it.
    for _ in range(10):
        now += timedelta(minutes=15)
        await steps.run_due(crm.db, now=now)
    [row] = [row for row in await crm.enrolled(flow) if row.record_id == poison]
    assert row.status == "FAILED"
    assert row.error is not None
    assert [line.outcome for line in await crm.history(row.id)] == ["FAILED"]
    for one, other in rows.items():
        assert one == poison or [line.outcome for line in await crm.history(other.id)] == ["DONE"]


async def test_a_poison_row_holds_up_nobody(crm: Flows) -> None:
    await poisoned(crm)


async def test_an_engine_whose_batch_fails_as_a_whole_is_caught(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def whole(db: Database, account: int, group: DueGroup, ids: Any, now: Any, *_: Any) -> int:
        try:
            return await steps._step(db, account, group, ids, now)
        except Exception:
            return 0  # The broken variant: it is tried again as it is.

    monkeypatch.setattr(steps, "_batch", whole)
    with pytest.raises(AssertionError):
        await poisoned(crm)


# --- lost ---------------------------------------------------------------------------------------------------


async def test_a_connection_that_is_lost_between_two_statements_is_a_lost_connection(crm: Flows) -> None:
    async with crm.db.read(crm.account) as reader:
        pid = await reader.fetchval("SELECT pg_backend_pid() WHERE $1::bigint IS NOT NULL")
        async with crm.db.pool.acquire() as other:
            await other.execute("SELECT pg_terminate_backend($1)", pid)
        await until_closed(reader)
        with pytest.raises(Exception) as lost:
            await reader.fetchval("SELECT 1 WHERE $1::bigint IS NOT NULL")
    # Whoever meets it tries again later; it is no mistake of what was being done.
    assert fault(lost.value) is Fault.DISCONNECTED


async def until_closed(tx: Any) -> None:
    """Until the driver has heard of it."""
    async with asyncio.timeout(60):
        while True:
            try:
                if tx._connection.is_closed():
                    return
            except Exception:
                return
            await asyncio.sleep(0.01)


async def test_a_stepper_whose_connection_is_lost_changes_nothing_and_counts_nothing_against_anybody(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), DONE)
    await crm.one("contacts", city="Boston")
    await crm.evaluate()
    honest = enrollments.insert_steps

    async def cut(tx: Any, lines: Any) -> None:
        await honest(tx, lines)
        pid = await tx.fetchval("SELECT pg_backend_pid() WHERE $1::bigint IS NOT NULL")
        async with crm.db.pool.acquire() as other:
            await other.execute("SELECT pg_terminate_backend($1)", pid)
        await until_closed(tx)

    with monkeypatch.context() as patch:
        patch.setattr(enrollments, "insert_steps", cut)
        with pytest.raises(Exception) as lost:
            await steps.run_once(crm.db, crm.account, now=crm.tick())
    assert fault(lost.value) is Fault.DISCONNECTED
    [row] = await crm.enrolled(flow)
    assert (row.status, row.steps, row.attempts, row.error) == ("ACTIVE", 0, 0, None)
    assert await crm.value(row.record_id, "jobtitle") is None
    await crm.work()
    [row] = await crm.enrolled(flow)
    assert [line.n for line in await crm.history(row.id)] == [0]


# --- overtaken ----------------------------------------------------------------------------------------------


async def overtaken(crm: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    """One evaluator has looked, and before it notes what it saw, a newer change is evaluated by another one."""
    boston = met(equals("city", "Boston"))
    flow = await crm.flow("contacts", [boston], reenrollmentTriggers=[boston])
    ann = await crm.one("contacts", city="Boston")
    await crm.work()
    await crm.set(ann, city="Rome")
    honest, others = enrolling.settle, list[Any]()

    async def slow(*args: Any) -> Any:
        monkeypatch.setattr(enrolling, "settle", honest)
        await crm.set(ann, city="Boston")
        others.append(asyncio.create_task(evaluate.run_once(crm.db, crm.account, now=crm.tick())))
        await done_or_waiting(crm.db, others[0])
        return await honest(*args)

    monkeypatch.setattr(enrolling, "settle", slow)
    await evaluate.run_once(crm.db, crm.account, now=crm.tick())
    await asyncio.gather(*others)
    await crm.work()
    assert await crm.standing(flow) == [(ann, 1, "COMPLETED"), (ann, 2, "COMPLETED")]


async def test_what_an_older_look_notes_never_overwrites_a_newer_one(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await overtaken(crm, monkeypatch)


async def test_an_engine_whose_looks_do_not_wait_for_each_other_is_caught(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody(_tx: Any, _ids: Any) -> None:
        pass  # The broken variant: what is noted of triggers is held by nobody.

    monkeypatch.setattr(stored, "hold", nobody)
    with pytest.raises(AssertionError):
        await overtaken(crm, monkeypatch)


# --- the outside --------------------------------------------------------------------------------------------


async def once_each(crm: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Senders die when all was sent and nothing noted: whoever receives can tell what is the same."""
    async with receiving() as receiver:
        await crm.make(
            "contacts", equals("city", "Boston"), {"callWebhook": {"url": receiver.url("/200")}}, DONE
        )
        await crm.create("contacts", *[{"city": "Boston"}] * 5)
        await crm.work()
        sender = Outside(crm.db, crm.account, at=crm.tick())
        for _ in range(2):
            with monkeypatch.context() as patch:
                patch.setattr(outbox_sending, "finish", dies)
                with pytest.raises(BaseException):  # noqa: B017 - however it comes out of the block
                    await sender.send()
            sender.later(hours=1)
        await sender.send()
        keys = receiver.keys("/200")
    assert len(keys) > 5
    assert len(set(keys)) == 5


async def dies(*_: Any) -> Any:
    """The process ends."""
    raise Crash


async def test_what_is_sent_again_has_the_same_key(crm: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    await once_each(crm, monkeypatch)


async def test_an_engine_whose_keys_are_not_stable_is_caught(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = outbox_sending.claim

    async def anew(*args: Any, **words: Any) -> Any:
        # The broken variant: each attempt is a thing of its own.
        return [
            replace(one, key=f"{one.key}-{one.attempts}-{words['token']}")
            for one in await honest(*args, **words)
        ]

    monkeypatch.setattr(outbox_sending, "claim", anew)
    with pytest.raises(AssertionError):
        await once_each(crm, monkeypatch)


# --- clocks -------------------------------------------------------------------------------------------------


async def test_a_worker_whose_clock_is_ahead_or_behind_harms_nobody_and_keeps_the_order(crm: Flows) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), DONE, waits(), set_property("lastname", "y"))
    ann = await crm.one("contacts", city="Boston")
    # Ahead: enrolled at a time that others have yet to see. Then back by two hours, and there again.
    noon = crm.tick()
    for hours in (1, -1, 0, 1, -1, 23, 24, 26, 24, -1, 27):
        now = noon + timedelta(hours=hours)
        await evaluate.run_all(crm.db, now=now)
        await steps.run_due(crm.db, now=now)
    [row] = await crm.enrolled(flow)
    assert (row.record_id, row.status) == (ann, "COMPLETED")
    first, second, third = await crm.history(row.id)
    assert [first.n, second.n, third.n] == [0, 1, 2]
    assert first.at <= second.at <= third.at
    assert second.at >= row.enrolled_at + timedelta(days=1)


@pytest.mark.parametrize(
    ("before", "hours"),
    [("2026-03-28T11:30:00+00:00", 23), ("2026-10-24T10:30:00+00:00", 25), ("2026-06-01T10:30:00+00:00", 24)],
)
async def test_a_day_s_delay_is_a_day_of_the_account_s_clocks_whatever_they_are_set_to(
    db: Database, before: str, hours: int
) -> None:
    settings = {"time_zone": "Europe/Berlin"}
    crm = Flows(db, await accounts.create(db, "Berlin", now=T0, settings=settings))
    crm.now = datetime.fromisoformat(before)
    flow = await crm.make("contacts", equals("city", "Boston"), waits(), DONE)
    await crm.one("contacts", city="Boston")
    now = crm.tick()
    await crm.work(now)
    early = timedelta(hours=hours) - timedelta(seconds=1)
    for later, steps_taken in ((early, 0), (timedelta(hours=hours), 2)):
        await crm.work(now + later)
        [row] = await crm.enrolled(flow)
        assert row.steps == steps_taken
