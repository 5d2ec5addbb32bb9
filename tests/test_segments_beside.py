"""Segments that look at what is no change of a record: the clock, other segments, workflows."""

from datetime import timedelta
from typing import Any

import pytest

from engine import ids, properties, records
from engine.batches import Mode
from engine.evaluation import run as evaluate
from engine.segments.problems import SegmentCircle, SegmentUsed
from storage import changes, walks
from storage.database import Actor, Database
from tests.flows import associated, equals, set_property
from tests.graph import T0
from tests.segments import Segments, segments

HOUR = timedelta(hours=1)


@pytest.fixture
async def crm(db: Database) -> Segments:
    made = await segments(db)
    async with made.writing(defining=True) as tx:
        await properties.create(tx, "contacts", name="due", label="Due", type="DATETIME")
    return made


def recent(name: str, hours: int) -> dict[str, Any]:
    return {"property": {"name": name, "operator": "LESS_THAN_AGO", "value": hours, "unit": "HOUR"}}


def inside(segment: int, **more: Any) -> dict[str, Any]:
    return {"inSegment": {"segment": ids.encode("segment", segment), **more}}


async def test_members_come_and_go_with_the_clock_and_nobody_else_is_looked_at(crm: Segments) -> None:
    past = await crm.one("contacts", due="2020-01-01T00:00:00Z")
    near = await crm.segment("contacts", recent("due", 2))
    far = await crm.segment("companies", associated("contacts", recent("due", 2)))
    await crm.settle()
    ann, acme = await crm.one("contacts", due=(T0 + HOUR).isoformat()), await crm.one("companies")
    await crm.associate((ann, acme))
    await crm.settle()
    for hours, there in ((0.5, False), (1.01, True), (2.9, True), (3.01, False), (9, False)):
        now = T0 + hours * HOUR
        await crm.settle(now)
        assert await crm.members(near) == ({ann} if there else set()), hours
        assert await crm.members(far) == ({acme} if there else set()), hours
        await crm.expect_at_rest(now=now)
    # What the clock can change no more is not waited for.
    assert await crm.read("SELECT 1 FROM match_state AS s WHERE s.account_id = $1") == []
    assert past not in {line.record_id for line in await crm.lines(near)}
    came, went = await crm.lines(near)
    assert (came.cause, went.cause) == ({"kind": "CLOCK"}, {"kind": "CLOCK"})


async def test_the_clock_wakes_nobody_before_its_time_and_a_new_value_moves_it(crm: Segments) -> None:
    segment = await crm.segment("contacts", recent("due", 2))
    ann = await crm.one("contacts", due=(T0 + 5 * HOUR).isoformat())
    await crm.settle()
    assert await walks.waiting(crm.db, T0 + 4 * HOUR) == []
    assert await walks.waiting(crm.db, T0 + 6 * HOUR) == [crm.account]
    await crm.set(ann, due=(T0 + 50 * HOUR).isoformat())
    await crm.settle()
    assert await walks.waiting(crm.db, T0 + 6 * HOUR) == []
    await crm.settle(T0 + 51 * HOUR)
    assert await crm.members(segment) == {ann}


async def test_an_edit_and_an_end_forget_what_the_clock_was_to_do(crm: Segments) -> None:
    one = await crm.segment("contacts", recent("due", 2), name="one")
    two = await crm.segment("contacts", recent("due", 2), name="two")
    await crm.one("contacts", due=(T0 + HOUR).isoformat())
    await crm.settle()
    await crm.edit(one, where=equals("city", "Boston"))
    await crm.edit(two, kind="STATIC")
    await crm.settle()
    assert await walks.waiting(crm.db, T0 + 9 * HOUR) == []


async def test_a_broken_segment_does_not_keep_the_clock_busy(crm: Segments) -> None:
    segment = await crm.segment("contacts", recent("due", 2))
    await crm.one("contacts", due=(T0 + HOUR).isoformat())
    await crm.settle()
    async with crm.writing(defining=True) as tx:
        await properties.archive(tx, "contacts", "due")
    late = T0 + 9 * HOUR
    await evaluate.run_once(crm.db, crm.account, now=late)
    assert not await evaluate.run_once(crm.db, crm.account, now=late)
    assert (await crm.details(segment)).filling


async def test_a_segment_of_segments_follows_them_near_and_far(crm: Segments) -> None:
    boston = await crm.segment("contacts", equals("city", "Boston"), name="boston")
    chosen = await crm.segment("contacts", kind="STATIC", name="chosen")
    either = await crm.segment("contacts", {"or": [inside(boston), inside(chosen)]}, name="either")
    outside = await crm.segment("contacts", inside(either, negated=True), name="outside")
    employers = await crm.segment("companies", associated("contacts", inside(either)), name="employers")
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {})
    acme = await crm.one("companies")
    await crm.associate((bob, acme))
    await crm.settle()
    assert (await crm.members(either), await crm.members(outside)) == ({ann}, {bob})
    await crm.add(chosen, bob)
    await crm.settle()
    assert (await crm.members(either), await crm.members(outside)) == ({ann, bob}, set())
    assert await crm.members(employers) == {acme}
    await crm.set(ann, city="Paris")
    await crm.remove(chosen, bob)
    await crm.settle()
    assert (await crm.members(either), await crm.members(outside)) == (set(), {ann, bob})
    assert await crm.members(employers) == set()
    await crm.expect_at_rest()
    # Nobody refers to it, so nothing is queued for its joins.
    assert await crm.read("SELECT 1 FROM change_queue AS q WHERE q.account_id = $1") == []


async def test_a_circle_through_others_is_refused_and_so_is_the_deletion_of_what_is_used(
    crm: Segments,
) -> None:
    one = await crm.segment("contacts", equals("city", "Boston"), name="one")
    two = await crm.segment("contacts", {"not": inside(one)}, name="two")
    three = await crm.segment("companies", associated("contacts", inside(two)), name="three")
    for where in (inside(one), inside(two), associated("companies", inside(three))):
        with pytest.raises(SegmentCircle) as refused:
            await crm.edit(one, where=where)
        way = refused.value.details["segments"]
        assert way[0] == way[-1] == ids.encode("segment", one)
    assert "three" in refused.value.message
    with pytest.raises(SegmentUsed) as used:
        await crm.delete(two)
    assert [use["name"] for use in used.value.details["used_by"]] == ["three"]
    await crm.edit(three, where=equals("city", "Boston"))
    await crm.delete(two)
    await crm.edit(one, where=associated("companies", inside(three)))


async def test_joining_a_segment_enrolls_and_enrolling_lets_join(crm: Segments) -> None:
    boston = await crm.segment("contacts", equals("city", "Boston"))
    flow = await crm.make("contacts", inside(boston), set_property("jobtitle", "x"))
    member = {"inWorkflow": {"workflow": ids.encode("workflow", flow)}}
    ever = await crm.segment("contacts", {"inWorkflow": {**member["inWorkflow"], "status": "ENROLLED_EVER"}})
    done = await crm.segment("contacts", {"inWorkflow": {**member["inWorkflow"], "status": "COMPLETED"}})
    ann = await crm.one("contacts", city="Boston")
    await crm.settle()
    assert await crm.who(flow) == [ann]
    assert (await crm.members(ever), await crm.members(done)) == ({ann}, set())
    await crm.work()
    await crm.settle()
    assert (await crm.members(ever), await crm.members(done)) == ({ann}, {ann})
    assert await crm.value(ann, "jobtitle") == "x"
    await crm.expect_at_rest()


async def test_a_deep_cause_makes_nothing_else_deeper(crm: Segments) -> None:
    base = await crm.segment("contacts", equals("city", "Boston"))
    await crm.segment("contacts", {"inSegment": {"segment": ids.encode("segment", base)}})
    deep, shallow = await crm.create("contacts", {}, {})
    await crm.settle()
    for one, depth in ((deep, 19), (shallow, 0)):
        actor = Actor("WORKFLOW", "1", depth=depth)
        async with crm.db.transaction(crm.account, now=crm.tick(), actor=actor) as tx:
            await records.update(tx, [(one, {"city": "Boston"})], Mode.ATOMIC)
    # Both in one batch.
    assert await evaluate.run_once(crm.db, crm.account, now=crm.tick())
    async with crm.writing() as tx:
        told = {change.record_id: change.depth for change in await changes.claim(tx, 10)}
    assert told == {deep: 19, shallow: 0}
