"""Who met the triggers beforehand is enrolled, however often the workflow is turned off and on in the middle of it."""

import asyncio
import random

import pytest

from engine.workflows import backfill, commands, enrolling
from storage import backfills, enrollments, walks
from storage.backfills import BackfillRow
from storage.changes import EventKind
from storage.database import Database
from tests.crm import done_or_waiting
from tests.flows import Flows, equals, flows
from tests.test_workflows_laws import Crash, crashing

BOSTON = equals("city", "Boston")


@pytest.fixture
async def crm(db: Database) -> Flows:
    return await flows(db)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of a few records."""
    monkeypatch.setattr(backfill, "RECORDS_A_BATCH", 10)


async def part(crm: Flows) -> bool:
    """One part, if there is one to be done."""
    return await backfill.run_once(crm.db, crm.account, now=crm.tick())


async def place(crm: Flows, flow: int) -> BackfillRow | None:
    """How far it is."""
    async with crm.db.read(crm.account) as reader:
        (found,) = await backfills.of(reader, [flow])
    return found


async def begun(crm: Flows, number: int = 40) -> tuple[int, list[int]]:
    """A workflow that was turned off behind the second part of its backfill; all the records that meet it."""
    contacts = sorted(await crm.create("contacts", *[{"city": "Boston"}] * number))
    await crm.evaluate()
    flow = await crm.make("contacts", BOSTON, existing=True)
    assert [await part(crm), await part(crm)] == [True, True]
    await crm.switch(flow, False)
    return flow, contacts


async def test_turned_off_it_stays_where_it_is_and_turned_on_it_goes_on_from_there(crm: Flows) -> None:
    flow, contacts = await begun(crm)
    stood = await place(crm, flow)
    assert stood is not None
    assert (stood.after_id, stood.enrolled) == (contacts[19], 20)
    # Nobody enrolls while it is off, and no worker is kept awake by it.
    assert not await part(crm)
    assert crm.account not in await walks.waiting(crm.db, crm.tick())
    assert await place(crm, flow) == stood
    # Somebody behind the place comes to meet it, somebody before it no longer does.
    late, gone = await crm.one("contacts", city="Rome"), contacts[30]
    await crm.set(late, city="Boston")
    await crm.set(gone, city="Rome")
    await crm.work()
    assert await crm.who(flow) == contacts[:20]
    await crm.switch(flow, True)
    assert crm.account in await walks.waiting(crm.db, crm.tick())
    assert await place(crm, flow) == stood
    await crm.work()
    assert await crm.who(flow) == sorted({*contacts, late} - {gone})
    assert await place(crm, flow) is None
    assert len(await crm.events(EventKind.ENROLLED)) == 40


async def test_turned_on_with_everybody_it_begins_anew_and_enrolls_nobody_twice(crm: Flows) -> None:
    flow, contacts = await begun(crm)
    await crm.switch(flow, True, existing=True)
    anew = await place(crm, flow)
    assert anew is not None
    assert (anew.after_id, anew.enrolled) == (0, 0)
    await crm.work()
    assert await crm.who(flow) == contacts
    assert len(await crm.enrolled(flow)) == len(contacts)


@pytest.mark.parametrize("on", [True, False])
async def test_who_wants_no_more_of_it_ends_it(crm: Flows, on: bool) -> None:
    flow, contacts = await begun(crm)
    if on:
        await crm.switch(flow, True)
        assert await place(crm, flow) is not None
    await crm.switch(flow, True, existing=False)
    assert await place(crm, flow) is None
    await crm.work()
    assert await crm.who(flow) == contacts[:20]


async def test_it_goes_with_its_workflow(crm: Flows) -> None:
    flow, _ = await begun(crm)
    async with crm.writing(defining=True) as tx:
        await commands.delete(tx, flow)
    assert await place(crm, flow) is None


async def test_who_turns_it_off_waits_for_the_part_that_is_under_way(crm: Flows) -> None:
    """Once it is off nobody enters, though a part had been begun before."""
    flow, contacts = await begun(crm)
    await crm.switch(flow, True)
    async with crm.db.transaction(crm.account, now=crm.tick(), actor=backfill.EVALUATOR) as tx:
        held = await backfills.claim(tx)
        assert held is not None
        off = asyncio.create_task(crm.switch(flow, False))
        await done_or_waiting(crm.db, off)
        assert not off.done()
        await backfill._part(crm.db, tx, held)
    await off
    before = await crm.who(flow)
    assert before == contacts[:30]
    assert not await part(crm)
    assert await crm.who(flow) == before


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_is_turned_off_and_wherever_it_crashes_everybody_is_enrolled_once(
    crm: Flows, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr(backfill, "RECORDS_A_BATCH", 4)
    contacts = sorted(await crm.create("contacts", *[{"city": "Boston"}] * 60))
    await crm.evaluate()
    flow = await crm.make("contacts", BOSTON, existing=True)
    crashing(monkeypatch, enrollments, "enter", 0.3, seed)
    crashing(monkeypatch, enrolling, "begin", 0.2, seed + 1)
    on, ended, whole, broken_off = True, False, asyncio.Event(), 0
    # Whoever fills, fills some and waits until it was turned off once: that it is in the middle.
    begun_by, off_once = 0, asyncio.Event()

    async def fill() -> None:
        nonlocal begun_by
        while not ended:
            if begun_by >= 5:
                await off_once.wait()
            try:
                worked = await part(crm)
                begun_by += worked
            except Crash:
                worked = True
            if not worked and await place(crm, flow) is None:
                whole.set()
            await asyncio.sleep(0 if worked else 0.005)

    async def switch() -> None:
        nonlocal on, broken_off
        # The first time, in the middle.
        while not await crm.who(flow):  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0)
        for _ in range(12):
            await asyncio.sleep(dice.random() * 0.03)
            await crm.switch(flow, not on)
            on = not on
            if not on:
                # Whatever is under way has ended.
                before = await crm.who(flow)
                broken_off += 0 < len(before) < len(contacts)
                off_once.set()
                await asyncio.sleep(0.02)
                assert await crm.who(flow) == before
        await whole.wait()

    fillers = [asyncio.create_task(fill()) for _ in range(2)]
    try:
        await asyncio.wait_for(switch(), 60)
    finally:
        ended = True
        off_once.set()
        await asyncio.gather(*fillers)
    assert broken_off
    assert await crm.who(flow) == contacts
    assert len(await crm.events(EventKind.ENROLLED)) == 60
