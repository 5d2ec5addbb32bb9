"""What goes lot by lot when its days are over, and what stays: deliveries, mails, imports, histories, events, plans."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from engine import accounts, events, imports, retention
from engine.batches import Mode
from engine.events import EventInput
from engine.sync import planning
from engine.workflows import commands
from storage.database import Database
from tests.face import T0 as FACE_T0
from tests.face import opened
from tests.flows import Flows, flows, met, set_property
from tests.outside import Outside
from tests.segments import Segments, segments
from tests.sync_elsewhere import Elsewhere
from tests.test_imports_run import Rig, people, rig
from tests.test_outbox import DELIVERED, FAILED, claim, enrollment, finish
from tests.test_retention import keep_all
from tests.test_sync_preview import previewing
from tests.test_webhooks import Clock, created, kept, post

__all__ = ["rig"]

DAY = timedelta(days=1)
URL = "https://hooks.example/in"
VIEWED = {"event": {"type": "page_viewed"}}


@pytest.fixture(autouse=True)
def small_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lots of two: nothing that is told here fits into one."""
    monkeypatch.setattr(retention, "LOT", 2)
    monkeypatch.setattr(retention, "FEW", 2)


async def choose(db: Database, account: int, now: datetime, **settings: int) -> None:
    async with db.transaction(account, now=now, actor=retention.KEEPER, defining=True) as tx:
        await accounts.change_settings(tx, settings)


# --- to and from the outside --------------------------------------------------------------------------------


async def test_what_webhooks_received_is_told_for_its_days(db: Database) -> None:
    clock = Clock()
    async with opened(db, now=clock) as client:
        hook = await created(client)
        for n in range(5):
            clock.now = FACE_T0 + n * DAY
            assert (await post(client, hook["url"], {"n": n})).status_code == 200
        await client.do("updateAccountSettings", "userErrors { code }", {"deliveryDays": 2})
        await keep_all(db, client.account_id, FACE_T0 + 4 * DAY + timedelta(hours=1))
        assert [one["payload"]["n"] for one in await kept(client, hook["id"])] == [4, 3]


async def test_mails_and_calls_that_came_to_an_end_go_and_open_ones_stay(db: Database) -> None:
    crm = Outside(db, await accounts.create(db, "demo", now=FACE_T0))
    first = await crm.put(*(crm.call(URL, n) for n in range(5)))
    await finish(crm, (await claim(crm))[:4])
    crm.later(minutes=100 * 24 * 60)
    late = await crm.put(*(crm.call(URL, n) for n in range(10, 13)))
    await finish(crm, [one for one in await claim(crm) if one.id in late])
    await keep_all(db, crm.account, crm.at)
    assert [row.id for row in await crm.rows()] == [first[4], *late]


async def test_what_an_enrollment_may_still_ask_about_stays_however_old_and_hides_nothing_behind_it(
    db: Database,
) -> None:
    crm = Outside(db, await accounts.create(db, "demo", now=FACE_T0))
    stands = {
        1: "ACTIVE",
        2: "FAILED",
        3: "FAILED",
        4: "ACTIVE",
        5: "COMPLETED",
        6: "UNENROLLED",
        7: "COMPLETED",
    }
    for number, status in stands.items():
        await enrollment(crm, number, status=status, steps=1)
        await crm.put(crm.call(URL, number, enrollment=number))
    for then in (FAILED, DELIVERED):
        half = [one for one in await claim(crm) if (then is FAILED) == (one.enrollment_id in (2, 3))]
        await finish(crm, half, then)
        crm.later(minutes=10)
    await keep_all(db, crm.account, crm.at + 91 * DAY)
    assert [number for number in stands if await crm.rows(number)] == [1, 2, 3, 4]


# --- imports ------------------------------------------------------------------------------------------------


async def test_errors_go_when_the_import_has_ended_long_ago_and_their_number_stays(rig: Rig) -> None:
    wrong = b"".join(b"ragged %d\n" % n for n in range(5))
    number = await rig.uploaded(people(2) + wrong)
    await rig.do(imports.start, number)
    await rig.work(rig.runner())
    assert await rig.count("import_row_error") == 5
    await keep_all(rig.db, rig.account, rig.clock() + 89 * DAY)
    assert await rig.count("import_row_error") == 5
    await keep_all(rig.db, rig.account, rig.clock() + 91 * DAY)
    assert await rig.count("import_row_error") == 0
    row = await rig.row(number)
    assert (row.status, row.errors, await rig.count("import_record")) == ("DONE", 5, 2)
    await rig.do(imports.undo, number)
    await rig.work(rig.runner())
    assert await rig.cities() == {}


async def test_files_that_nobody_starts_go_and_those_that_somebody_paused_stay(rig: Rig) -> None:
    left = [await rig.uploaded(people(1)) for _ in range(3)]
    paused = await rig.uploaded(people(1))
    await rig.do(imports.start, paused)
    await rig.do(imports.pause, paused)
    await keep_all(rig.db, rig.account, rig.clock() + 89 * DAY)
    assert await rig.count("import_chunk") == 4
    await keep_all(rig.db, rig.account, rig.clock() + 91 * DAY)
    await rig.work(rig.runner())
    assert {(await rig.row(number)).status for number in left} == {"CANCELLED"}
    assert await rig.count("import_chunk") == 1
    await rig.do(imports.resume, paused)
    await rig.work(rig.runner())
    assert len(await rig.cities()) == 1


# --- workflows ----------------------------------------------------------------------------------------------


async def rows(crm: Flows) -> dict[str, int]:
    tables = ("enrollment", "enrollment_step", "enrollment_diagnosis", "trigger_state")
    return {
        table: (await crm.read(f"SELECT count(*) FROM {table} AS t WHERE t.account_id = $1"))[0][0]
        for table in tables
    }


async def test_the_histories_of_a_deleted_workflow_go_and_those_of_others_stay(db: Database) -> None:
    crm = await flows(db)
    here = {"property": {"name": "city", "operator": "KNOWN"}}
    again: Any = {"reenrollmentTriggers": [met(here)]}
    gone = await crm.flow("contacts", [met(here)], set_property("jobtitle", "a"), name="gone", **again)
    stays = await crm.flow("contacts", [met(here)], set_property("country", "b"), name="stays", **again)
    people = [await crm.one("contacts", city="Rome") for _ in range(5)]
    await crm.work()
    before = await rows(crm)
    assert before == {
        "enrollment": 10,
        "enrollment_step": 10,
        "enrollment_diagnosis": 10,
        "trigger_state": before["trigger_state"],
    }
    async with crm.writing(defining=True) as tx:
        await commands.delete(tx, gone)
    await keep_all(db, crm.account, crm.now + 364 * DAY)
    assert await rows(crm) == before
    await keep_all(db, crm.account, crm.now + 366 * DAY)
    assert await rows(crm) == {name: n // 2 for name, n in before.items()}
    assert await crm.who(gone) == []
    assert await crm.who(stays) == people
    # Once is enough, for who was enrolled as for who is not remembered.
    await crm.set(people[0], city="Oslo")
    await crm.work()
    assert [status for *_, status in await crm.standing(stays)] == ["COMPLETED"] * 5


# --- what occurred to records -------------------------------------------------------------------------------


async def occur(crm: Flows, type_: str, record: int, **properties: Any) -> None:
    async with crm.writing() as tx:
        await events.record(tx, [EventInput(type_, record, properties, None, None)], Mode.ATOMIC)


async def kinds(crm: Flows) -> list[tuple[int, int]]:
    found = await crm.read(
        "SELECT e.record_id, e.event_type_id FROM record_event AS e WHERE e.account_id = $1 ORDER BY e.id"
    )
    return [tuple(row) for row in found]


async def test_what_occurred_is_kept_for_ever_unless_the_account_chooses_otherwise(db: Database) -> None:
    crm = await flows(db)
    ann = await crm.one("contacts")
    await occur(crm, "page_viewed", ann)
    await keep_all(db, crm.account, crm.now + 3_650 * DAY)
    assert len(await kinds(crm)) == 1
    await choose(db, crm.account, crm.now, record_event_days=30)
    await keep_all(db, crm.account, crm.now + 29 * DAY)
    assert len(await kinds(crm)) == 1
    await keep_all(db, crm.account, crm.now + 31 * DAY)
    assert await kinds(crm) == []


async def test_a_segment_that_asks_for_events_forgets_with_them_and_nothing_occurs_by_it(
    db: Database,
) -> None:
    crm: Segments = await segments(db)
    visitors = await crm.segment("contacts", VIEWED)
    occurs = {"eventOccurred": {"type": "page_viewed"}}
    flow = await crm.flow(
        "contacts", [occurs], set_property("jobtitle", "visitor"), reenrollmentTriggers=[occurs]
    )
    people = [await crm.one("contacts") for _ in range(5)]
    for person in people:
        await occur(crm, "page_viewed", person)
        await occur(crm, "email_subscription_changed", person, status="UNSUBSCRIBED")
    await crm.settle()
    await crm.work()
    assert await crm.members(visitors) == set(people)
    assert await crm.who(flow) == people
    await choose(db, crm.account, crm.now, record_event_days=30, event_days=365)
    crm.now += 31 * DAY
    await occur(crm, "page_viewed", people[3])
    await keep_all(db, crm.account, crm.now)
    await crm.work()
    assert await crm.members(visitors) == {people[3]}
    await crm.expect_at_rest()
    # Whom no mail may reach is never forgotten.
    assert len([kind for _, kind in await kinds(crm) if kind == -8]) == 5
    # Those who viewed something before the days were over are not enrolled again by forgetting it.
    assert [epoch for _, epoch, _ in await crm.standing(flow)] == [1, 1, 1, 1, 1, 2]


# --- syncs --------------------------------------------------------------------------------------------------


async def test_plans_go_when_nobody_has_applied_them_for_long(db: Database) -> None:
    there = Elsewhere()
    for n in range(5):
        there.put(str(n), email=f"p{n}@example.com", first="Pat")
    preview = await previewing(db, there)
    row = await preview.made()
    assert (row.state, len(await preview.items())) == ("READY", 5)
    assert row.ready_at is not None
    account = preview.it.account
    await keep_all(db, account, row.ready_at + 29 * DAY)
    assert len(await preview.items()) == 5
    await keep_all(db, account, row.ready_at + 31 * DAY)
    assert await preview.items() == []
    async with db.read(account) as reader:
        assert await planning.get(reader, [row.id]) == [None]


async def test_two_who_keep_at_once_keep_the_same(db: Database) -> None:
    crm = Outside(db, await accounts.create(db, "demo", now=FACE_T0))
    await crm.put(*(crm.call(URL, n) for n in range(9)))
    await finish(crm, (await claim(crm))[:8])
    await asyncio.gather(*(keep_all(db, crm.account, crm.at + 91 * DAY) for _ in range(3)))
    assert len(await crm.rows()) == 1


async def test_keeping_times_have_bounds(db: Database) -> None:
    async with opened(db) as client:
        for wrong in (
            {"deliveryDays": 0},
            {"importDays": 4_000},
            {"deletedWorkflowDays": 0},
            {"recordEventDays": 29},
            {"recordEventDays": -1},
        ):
            told = await client.do("updateAccountSettings", "userErrors { code }", wrong)
            assert told["userErrors"] == [{"code": "INVALID_SETTING"}], wrong
        fields = "account { settings { deliveryDays importDays deletedWorkflowDays recordEventDays } }"
        given = {"deliveryDays": 1, "importDays": 2, "deletedWorkflowDays": 3, "recordEventDays": 30}
        told = await client.do("updateAccountSettings", fields, given)
        assert told["account"]["settings"] == given
