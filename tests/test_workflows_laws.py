"""Laws of enrolling and stepping: nothing lost and nothing twice, with any number of workers, whatever fails.

Each law is also tried on a deliberately broken engine, which it must catch.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from engine import accounts, associations, records
from engine.associations import Pair
from engine.batches import Mode
from engine.evaluation import run as evaluate
from engine.workflows import actions, backfill, enrolling, steps
from engine.workflows.advance import Result
from storage import changes, enrollments, walks
from storage.changes import EventKind
from storage.database import Actor, Database, Transaction
from storage.faults import Fault, fault
from storage.filters import facts
from tests.flows import Flows, apply_label, associated, equals, flows, set_property
from tests.graph import T0
from tests.statements import counted

WRITER = Actor("API", "7")


class Crash(BaseException):
    """The process dies here; its transaction with it, and nobody is left to look into why."""


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


async def random_writes(crm: Flows, contacts: list[int], companies: list[int], seed: int, n: int) -> None:
    """Change cities and associations at random, each in a transaction of its own that takes its time."""
    chance = random.Random(seed)
    for _ in range(n):
        try:
            async with crm.writing() as tx:
                pair = (chance.choice(contacts), chance.choice(companies))
                match chance.randrange(4):
                    case 0:
                        city = chance.choice(["Boston", "Paris"])
                        await records.update(tx, [(chance.choice(companies), {"city": city})], Mode.PER_ITEM)
                    case 1:
                        city = chance.choice(["Boston", "Paris"])
                        await records.update(tx, [(pair[0], {"city": city})], Mode.PER_ITEM)
                    case 2:
                        labels = ("customer",) if chance.random() < 0.5 else ()
                        await associations.associate(tx, [Pair(*pair, labels)], Mode.PER_ITEM)
                    case _:
                        await associations.dissociate(tx, [Pair(*pair)], Mode.PER_ITEM)
                await asyncio.sleep(chance.random() / 200)
        except Exception as error:
            if fault(error) is not Fault.COLLIDED:
                raise


async def until(idle: Callable[[], bool], work: Callable[[], Any], seed: int) -> None:
    """A worker's loop: go on until told that nobody writes any more, and then once to the end."""
    chance = random.Random(seed)
    while True:
        last = idle()
        try:
            busy = await work()
        except Crash:
            continue
        except Exception as error:
            if fault(error) is not Fault.COLLIDED:
                raise
            continue
        if last and not busy:
            return
        if not busy:
            await asyncio.sleep(chance.random() / 100)


async def turmoil(crm: Flows, *, crash: Callable[[], None] = lambda: None) -> tuple[int, int]:
    """Writers, evaluators and steppers at once. The two workflows that ran: by label, and by the neighbour's city."""
    await crm.label("contacts", "companies", "Customer of", name="customer", inverse_name="supplier")
    by_label = await crm.make("contacts", associated("companies", labels=["customer"]), name="label")
    by_city = await crm.make(
        "contacts",
        {"and": [associated("companies", equals("city", "Boston")), {"not": equals("city", "Paris")}]},
        set_property("jobtitle", "x"),
        apply_label("companies", "customer"),
        name="city",
    )
    contacts = await crm.create("contacts", *[{}] * 20)
    companies = await crm.create("companies", *[{}] * 5)
    writing = 3

    async def write(seed: int) -> None:
        nonlocal writing
        await random_writes(crm, contacts, companies, seed, 25)
        writing -= 1

    async def evaluating() -> Any:
        return await evaluate.run_once(crm.db, crm.account, now=crm.tick())

    async def stepping() -> Any:
        return await steps.run_once(crm.db, crm.account, now=crm.tick())

    work = [until(lambda: writing == 0, evaluating, n) for n in range(2)]
    work += [until(lambda: writing == 0, stepping, n) for n in range(2)]
    await asyncio.gather(*(write(seed) for seed in range(3)), *work)
    # What a crashed worker held may have been passed over by the others' last look.
    while True:
        try:
            await crm.work()
            return by_label, by_city
        except Crash:
            continue


async def expect_at_rest(crm: Flows, by_label: int, by_city: int) -> None:
    """At rest: whoever meets the criteria now was enrolled, nobody twice, and every step was taken once."""
    types = {row.name: row for row in (await crm.db.catalogue(crm.account)).association_types.values()}
    labelled = await crm.read(
        "SELECT DISTINCT a.from_id FROM association AS a WHERE a.account_id = $1 AND a.type_id = $2",
        types["customer"].id,
    )
    assert {row[0] for row in labelled} <= set(await crm.who(by_label))
    local = await crm.read(
        """
        SELECT DISTINCT c.id FROM record AS c
          JOIN association AS a ON a.account_id = $1 AND a.from_id = c.id
          JOIN record AS f ON f.account_id = $1 AND f.id = a.to_id
         WHERE c.account_id = $1 AND c.object_type_id = $2 AND f.object_type_id = $3
           AND f.properties ->> 'city' = 'Boston' AND c.properties ->> 'city' IS DISTINCT FROM 'Paris'
        """,
        types["customer"].from_object_type_id,
        types["customer"].to_object_type_id,
    )
    assert {row[0] for row in local} <= set(await crm.who(by_city))
    told = Counter(
        (event.kind, event.subject_id, event.record_id)
        for event in await crm.events(EventKind.ENROLLED, EventKind.ENROLLMENT_COMPLETED)
    )
    for flow in (by_label, by_city):
        rows = await crm.enrolled(flow)
        assert len({row.record_id for row in rows}) == len(rows) > 0
        assert {row.status for row in rows} == {"COMPLETED"}
        for row in rows:
            assert told[EventKind.ENROLLED, flow, row.record_id] == 1
            assert told[EventKind.ENROLLMENT_COMPLETED, flow, row.record_id] == 1
    for row in await crm.enrolled(by_city):
        assert [step.action for step in await crm.history(row.id)] == ["a1", "a2"]
        written = await crm.read(
            """
            SELECT 1 FROM property_history AS h
             WHERE h.account_id = $1 AND h.record_id = $2 AND h.source = 'WORKFLOW' AND h.changed ? 'jobtitle'
            """,
            row.record_id,
        )
        assert len(written) == 1


async def test_with_several_workers_at_once_everybody_is_enrolled_once_and_every_step_is_taken_once(
    crm: Flows,
) -> None:
    await expect_at_rest(crm, *await turmoil(crm))


def crashing(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, rate: float, seed: int) -> None:
    """Let a call fail at random, before or after it did its work."""
    chance, real = random.Random(seed), getattr(module, name)

    async def unreliable(*args: Any, **options: Any) -> Any:
        if chance.random() < rate / 2:
            raise Crash
        answer = await real(*args, **options)
        if chance.random() < rate / 2:
            raise Crash
        return answer

    monkeypatch.setattr(module, name, unreliable)


def crashes_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    # Between the claim of changes and the commit, and between the action, its history and the move. An
    # unexpected error of a step is counted against it, so a crash is let through like a lost connection.
    crashing(monkeypatch, changes, "claim", 0.2, 1)
    crashing(monkeypatch, walks, "keep", 0.2, 2)
    crashing(monkeypatch, enrollments, "enter", 0.3, 3)
    crashing(monkeypatch, enrollments, "claim", 0.2, 4)
    crashing(monkeypatch, enrollments, "insert_steps", 0.2, 5)
    crashing(monkeypatch, enrollments, "move", 0.3, 6)
    monkeypatch.setattr(
        steps, "fault", lambda error: Fault.DISCONNECTED if isinstance(error, Crash) else fault(error)
    )


async def test_workers_that_crash_anywhere_lose_nothing_and_do_nothing_twice(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashes_everywhere(monkeypatch)
    await expect_at_rest(crm, *await turmoil(crm))


async def test_an_engine_that_dequeues_before_it_enrolls_is_caught(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def early(tx: Transaction, limit: int) -> Any:
        # The broken variant: the changes are gone before anything came of them.
        async with tx._database.transaction(tx.account_id, now=tx.now, actor=WRITER) as other:
            return await honest(other, limit)

    honest = changes.claim
    monkeypatch.setattr(changes, "claim", early)
    crashes_everywhere(monkeypatch)
    with pytest.raises(AssertionError):
        # What was lost may be done all the same by what came later.
        for n in range(40):
            other = Flows(crm.db, await accounts.create(crm.db, f"demo {n}", now=T0))
            await expect_at_rest(other, *await turmoil(other))


async def test_an_engine_that_acts_outside_the_transaction_of_the_move_is_caught(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = actions.carry_out

    async def outside(batch: actions.Batch, bound: Any) -> list[Result]:
        # The broken variant: what is done stands, whether or not the move does. It lets the value alternate,
        # as an effect that cannot be seen to have been there before.
        tx = batch.tx
        async with tx._database.transaction(tx.account_id, now=tx.now, actor=tx.actor) as other:
            ids = [row.record_id for row in batch.standing]
            for value in (None, "again"):
                await records.update(other, [(one, {"jobtitle": value}) for one in ids], Mode.PER_ITEM)
        return await honest(batch, bound)

    monkeypatch.setattr(steps, "carry_out", outside)
    crashes_everywhere(monkeypatch)
    with pytest.raises(AssertionError):
        await expect_at_rest(crm, *await turmoil(crm))


async def hub(crm: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    """A company with many contacts changes: they are all enrolled, over many small transactions that may crash."""
    monkeypatch.setattr(evaluate, "NEIGHBOURS_A_BATCH", 5)
    where = associated("companies", associated("deals", equals("name", "Big")))
    flow = await crm.make("contacts", where)
    contacts = await crm.create("contacts", *[{}] * 40)
    [acme, small], deal = await crm.create("companies", {}, {}), await crm.one("deals")
    await crm.associate(*[(acme, one) for one in contacts], (small, contacts[0]), (acme, deal), (small, deal))
    await crm.evaluate()
    crashing(monkeypatch, walks, "keep", 0.3, 1)
    crashing(monkeypatch, enrollments, "enter", 0.3, 2)
    await crm.set(deal, name="Big")

    async def evaluating() -> Any:
        return await evaluate.run_once(crm.db, crm.account, now=crm.tick())

    await asyncio.gather(*(until(lambda: True, evaluating, n) for n in range(3)))
    while await walks.waiting(crm.db, crm.now):
        await until(lambda: True, evaluating, 9)
    assert await crm.who(flow) == sorted(contacts)
    assert len(await crm.events(EventKind.ENROLLED)) == len(contacts)


async def test_a_hub_s_neighbours_are_all_enrolled_once_whatever_crashes_on_the_way(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hub(crm, monkeypatch)


async def test_an_engine_that_forgets_the_rest_of_a_hub_is_caught(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def forget(tx: Transaction, rest: Any) -> None:
        pass  # The broken variant: what one transaction did not get to is nobody's.

    monkeypatch.setattr(walks, "keep", forget)
    with pytest.raises(AssertionError):
        await hub(crm, monkeypatch)


async def never_met(crm: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a contact is examined, it stops meeting one half of the criteria and begins to meet the other."""
    await crm.label("contacts", "companies", "Customer of", name="customer", inverse_name="supplier")
    where = {"and": [equals("city", "Boston"), associated("companies", labels=["customer"])]}
    flow = await crm.make("contacts", where)
    ann, acme = await crm.one("contacts"), await crm.one("companies")
    await crm.associate((ann, acme))
    await crm.evaluate()
    await crm.set(ann, city="Boston")
    honest = facts.visible

    async def turned(reader: Any, ids: Any) -> Any:
        monkeypatch.setattr(facts, "visible", honest)
        found = await honest(reader, ids)
        async with crm.writing() as tx:
            await records.update(tx, [(ann, {"city": "Paris"})], Mode.ATOMIC)
            await associations.add_labels(tx, [Pair(ann, acme, ("customer",))], Mode.ATOMIC)
        return found

    monkeypatch.setattr(facts, "visible", turned)
    await crm.work()
    assert facts.visible is honest
    assert await crm.who(flow) == []


async def test_a_record_that_met_the_criteria_at_no_time_is_not_enrolled(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await never_met(crm, monkeypatch)


async def test_an_engine_that_reads_bit_by_bit_is_caught(crm: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Database, "remembered_snapshot", Database.read)
    with pytest.raises(AssertionError):
        await never_met(crm, monkeypatch)


async def test_one_poison_row_does_not_hold_up_its_batch(crm: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = await crm.make("contacts", equals("city", "Boston"), set_property("jobtitle", "x"))
    contacts = await crm.create("contacts", *[{"city": "Boston"}] * 50)
    await crm.evaluate()
    poison, real = contacts[17], records.update

    async def poisoned(tx: Transaction, given: Any, mode: Mode, **more: Any) -> Any:
        if any(record_id == poison for record_id, _ in given):
            await tx.fetch("SELECT 1 / 0 WHERE $1::bigint IS NOT NULL")
        return await real(tx, given, mode, **more)

    monkeypatch.setattr("engine.records.update", poisoned)
    now = crm.tick()
    await steps.run_due(crm.db, now=now)
    status = {row.record_id: row.status for row in await crm.enrolled(flow)}
    assert [record for record, one in status.items() if one == "ACTIVE"] == [poison]
    assert Counter(status.values()) == {"COMPLETED": 49, "ACTIVE": 1}
    # It is tried again later, a limited number of times, and then says why it failed.
    for _ in range(10):
        [row] = [row for row in await crm.enrolled(flow) if row.record_id == poison]
        if row.status != "ACTIVE":
            break
        assert row.due_at is not None
        assert row.due_at > now
        await steps.run_due(crm.db, now=now)
        assert [r for r in await crm.enrolled(flow) if r.id == row.id] == [row]  # not before its time
        now = row.due_at
        await steps.run_due(crm.db, now=now)
    assert row.status == "FAILED"
    assert "DivisionByZero" in (row.error or {})["message"]
    assert [step.outcome for step in await crm.history(row.id)] == ["FAILED"]


async def test_a_stepper_that_comes_second_takes_no_step_again(crm: Flows) -> None:
    await crm.make("contacts", equals("city", "Boston"), set_property("jobtitle", "x"))
    await crm.create("contacts", *[{"city": "Boston"}] * 30)
    await crm.evaluate()
    now = crm.tick()
    async with crm.db.read(crm.account) as reader:
        [group] = await enrollments.due(reader, now, 100)
    # Both have seen the same enrollments due.
    taken = await asyncio.gather(
        *(steps._batch(crm.db, crm.account, group, group.ids, now) for _ in range(4))
    )
    assert sorted(taken) == [0, 0, 0, 30]
    assert len(await crm.events(EventKind.STEP_DONE)) == 30


async def test_a_backfill_that_crashes_goes_on_where_it_was_and_enrolls_everybody_once(
    crm: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "RECORDS_A_BATCH", 7)
    contacts = await crm.create("contacts", *[{"city": "Boston"}] * 60)
    flow = await crm.make("contacts", equals("city", "Boston"), existing=True)
    crashing(monkeypatch, enrollments, "enter", 0.5, 9)
    crashing(monkeypatch, enrolling, "begin", 0.3, 10)

    async def fill() -> None:
        while True:
            try:
                if not await backfill.run_once(crm.db, crm.account, now=crm.tick()):
                    return
            except Crash:
                continue

    async def change(some: list[int]) -> None:
        # The same records change while they are being filled in.
        for record_id in some:
            await crm.set(record_id, city="Boston", lastname=str(record_id))
            try:
                await crm.evaluate()
            except Crash:
                continue

    await asyncio.gather(fill(), fill(), change(contacts[::4]))
    assert await crm.who(flow) == sorted(contacts)
    assert len(await crm.events(EventKind.ENROLLED)) == 60


async def test_the_number_of_statements_does_not_grow_with_changes_or_workflows(crm: Flows) -> None:

    async def statements(n: int, workflows: int) -> int:
        for number in range(workflows):
            where = {"and": [equals("city", "Boston"), associated("companies", equals("city", f"{number}"))]}
            await crm.make("contacts", where, name=f"{n} {number}")
        await crm.create("contacts", *[{"city": "Boston"}] * n)
        with counted() as said:
            await evaluate.run_once(crm.db, crm.account, now=crm.tick())
        return len(said)

    await statements(1, 1)
    few = await statements(2, 1)
    assert await statements(200, 12) <= few + 2
