"""Segments from the inside: who is in them, why they came and went, and what is refused."""

import pytest

from engine import properties, records
from engine.batches import Mode
from engine.evaluation import run as evaluate
from engine.problems import NotFound, Refused, UnknownObjectType
from engine.segments import commands, fill
from engine.segments.commands import circle
from engine.segments.problems import (
    FilterMissing,
    FilterNotWanted,
    SegmentKindFixed,
    SegmentNameTaken,
    SegmentNotByHand,
    StaleSegment,
)
from storage.changes import EventKind
from storage.database import Database
from tests.flows import associated, equals
from tests.segments import Segments, segments
from tests.statements import counted

CUSTOMERS = associated("companies", equals("city", "Boston"), labels=["customer"])
TWO_LEVELS = associated("companies", associated("deals", equals("name", "Big")))


@pytest.fixture
async def crm(db: Database) -> Segments:
    made = await segments(db)
    await made.label("contacts", "companies", "Customer of", name="customer", inverse_name="supplier")
    return made


async def test_an_active_segment_is_filled_and_then_follows_changes_of_the_record_itself(
    crm: Segments,
) -> None:
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {"city": "Paris"})
    segment = await crm.segment("contacts", equals("city", "Boston"))
    assert (await crm.details(segment)).filling
    await crm.settle()
    assert not (await crm.details(segment)).filling
    assert await crm.members(segment) == {ann}
    await crm.set(bob, city="Boston")
    await crm.set(ann, city="Rome")
    carl = await crm.one("contacts", city="Boston")
    await crm.settle()
    assert await crm.members(segment) == {bob, carl}
    await crm.archive(bob)
    await crm.settle()
    assert await crm.members(segment) == {carl}
    await crm.restore(bob)
    await crm.settle()
    assert await crm.members(segment) == {bob, carl}
    await crm.expect_at_rest()


async def test_a_line_of_history_says_what_made_the_record_come_and_go(crm: Segments) -> None:
    segment = await crm.segment("contacts", CUSTOMERS)
    ann, acme = await crm.one("contacts"), await crm.one("companies")
    await crm.associate((ann, acme, "customer"))
    await crm.settle()
    await crm.set(acme, city="Boston")
    await crm.settle()
    await crm.set(acme, city="Paris")
    await crm.settle()
    came, went = await crm.lines(segment)
    assert (came.record_id, came.joined, went.joined) == (ann, True, False)
    assert came.cause == {"kind": "UPDATED", "record": acme, "source": "API", "sourceId": "7"}
    assert came.at < went.at


@pytest.mark.parametrize("where", [CUSTOMERS, TWO_LEVELS])
async def test_it_follows_what_happens_behind_associations(crm: Segments, where: dict[str, object]) -> None:
    segment = await crm.segment("contacts", where)
    contacts = await crm.create("contacts", {}, {}, {})
    acme, deal = await crm.one("companies"), await crm.one("deals")
    await crm.associate(*[(one, acme, "customer") for one in contacts], (acme, deal))
    await crm.settle()
    assert await crm.members(segment) == set()
    await crm.set(acme, city="Boston")
    await crm.set(deal, name="Big")
    await crm.settle()
    assert await crm.members(segment) == set(contacts)
    await crm.archive(acme)
    await crm.settle()
    assert await crm.members(segment) == set()
    await crm.restore(acme)
    await crm.settle()
    assert await crm.members(segment) == set(contacts)
    await crm.expect_at_rest()


async def test_a_new_filter_examines_all_and_old_members_that_do_not_meet_it_leave(
    crm: Segments, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fill, "RECORDS_A_BATCH", 3)
    boston = await crm.create("contacts", *[{"city": "Boston"}] * 7)
    paris = await crm.create("contacts", *[{"city": "Paris"}] * 7)
    segment = await crm.segment("contacts", equals("city", "Boston"))
    await crm.settle()
    assert await crm.members(segment) == set(boston)
    edited = await crm.edit(segment, where=equals("city", "Paris"), name="French")
    assert (edited.version, edited.name, edited.filling) == (2, "French", True)
    # Gone in the meantime, and behind the last living record: found all the same.
    await crm.archive(boston[0], paris[-1])
    await crm.settle()
    assert await crm.members(segment) == set(paris[:-1])
    await crm.expect_at_rest()


async def test_a_change_made_before_the_segment_and_evaluated_after_it_is_not_lost(crm: Segments) -> None:
    ann = await crm.one("contacts")
    await crm.settle()
    await crm.set(ann, city="Boston")
    segment = await crm.segment("contacts", equals("city", "Boston"))
    await crm.set(ann, city="Paris")
    await crm.settle()
    assert await crm.members(segment) == set()
    await crm.expect_at_rest()


async def test_static_members_are_chosen_by_hand_and_told_one_by_one(crm: Segments) -> None:
    segment = await crm.segment("contacts", kind="STATIC")
    ann, bob = await crm.create("contacts", {}, {})
    acme = await crm.one("companies")
    outcomes = await crm.add(segment, ann, acme, 999, ann, bob, mode=Mode.PER_ITEM)
    codes = [None if one.problem is None else one.problem.code for one in outcomes]
    assert codes == [None, "OTHER_OBJECT_TYPE", "NOT_FOUND", None, None]
    assert [one.value for one in await crm.add(segment, ann)] == [False]
    assert await crm.members(segment) == {ann, bob}
    assert [one.value for one in await crm.remove(segment, ann, ann, acme)] == [True, True, False]
    assert await crm.members(segment) == {bob}
    with pytest.raises(Refused):
        await crm.add(segment, ann, acme)
    assert await crm.members(segment) == {bob}
    (line,) = [line for line in await crm.lines(segment) if not line.joined]
    assert line.cause["kind"] == "BY_HAND"
    await crm.expect_at_rest()


async def test_what_is_archived_leaves_a_static_segment_and_comes_back_with_its_restoration(
    crm: Segments,
) -> None:
    segment = await crm.segment("contacts", kind="STATIC")
    ann, bob, carl = await crm.create("contacts", {}, {}, {})
    await crm.add(segment, ann, bob)
    await crm.remove(segment, bob)
    await crm.archive(ann, bob)
    await crm.settle()
    assert await crm.members(segment) == set()
    await crm.restore(ann, bob)
    await crm.settle()
    # Bob was removed by a person, before.
    assert await crm.members(segment) == {ann}
    async with crm.writing() as tx:
        await records.merge(tx, carl, ann)
    await crm.settle()
    assert await crm.members(segment) == {carl}
    assert [one.problem for one in await crm.add(segment, ann)] == [None]
    assert await crm.members(segment) == {carl}
    # Archived and restored before anybody looked: nothing happened.
    await crm.archive(carl)
    await crm.restore(carl)
    await crm.settle()
    assert await crm.members(segment) == {carl}
    await crm.expect_at_rest()


async def test_a_snapshot_is_filtered_once(crm: Segments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "PART", 2)
    boston = await crm.create("contacts", *[{"city": "Boston"}] * 5)
    segment = await crm.segment("contacts", equals("city", "Boston"), kind="SNAPSHOT")
    assert await crm.members(segment) == set(boston)
    await crm.set(boston[0], city="Paris")
    carl = await crm.one("contacts", city="Boston")
    await crm.settle()
    assert await crm.members(segment) == set(boston)
    await crm.add(segment, carl)
    assert await crm.members(segment) == {*boston, carl}
    await crm.expect_at_rest()


async def test_an_active_segment_made_static_keeps_its_members_and_follows_no_more(crm: Segments) -> None:
    ann, bob = await crm.create("contacts", {"city": "Boston"}, {})
    segment = await crm.segment("contacts", equals("city", "Boston"))
    await crm.settle()
    with pytest.raises(SegmentNotByHand):
        await crm.add(segment, bob)
    changed = await crm.edit(segment, kind="STATIC")
    assert (changed.kind, changed.definition) == ("STATIC", None)
    await crm.set(ann, city="Paris")
    await crm.settle()
    assert await crm.members(segment) == {ann}
    await crm.add(segment, bob)
    assert await crm.members(segment) == {ann, bob}
    with pytest.raises(SegmentKindFixed):
        await crm.edit(segment, kind="ACTIVE")


async def test_what_is_wrong_is_refused(crm: Segments) -> None:
    segment = await crm.segment("contacts", equals("city", "Boston"), name="one")
    with pytest.raises(SegmentNameTaken):
        await crm.segment("companies", kind="STATIC", name=" one ")
    with pytest.raises(FilterMissing):
        await crm.segment("contacts")
    with pytest.raises(FilterMissing):
        await crm.segment("contacts", kind="SNAPSHOT")
    with pytest.raises(FilterNotWanted):
        await crm.segment("contacts", equals("city", "Boston"), kind="STATIC")
    with pytest.raises(UnknownObjectType):
        await crm.segment("unicorns", kind="STATIC")
    with pytest.raises(NotFound):
        await crm.add(17, 4)
    other = await crm.segment("contacts", kind="STATIC", name="other")
    with pytest.raises(SegmentNameTaken):
        await crm.edit(other, name="one")
    with pytest.raises(FilterNotWanted):
        await crm.edit(other, where=equals("city", "Boston"))
    async with crm.writing(defining=True) as tx:
        with pytest.raises(StaleSegment):
            await commands.update(tx, segment, 7, name="late")
        with pytest.raises(NotFound):
            await commands.delete(tx, 17)


@pytest.mark.parametrize(
    ("where", "path"),
    [
        ({}, ("where",)),
        ({"and": []}, ("where", "and")),
        (
            {"and": [equals("city", "Boston"), equals("unicorn", "x")]},
            ("where", "and", 1, "property", "name"),
        ),
        ({"or": [equals("city", "x")] * 251}, ("where",)),
        (associated("companies", labels=["nobody"]), ("where", "associated", "labels", 0)),
    ],
)
async def test_a_filter_is_refused_with_the_place_at_fault(
    crm: Segments, where: dict[str, object], path: tuple[object, ...]
) -> None:
    with pytest.raises(Refused) as refused:
        await crm.segment("contacts", where)
    assert [problem.path for problem in refused.value.problems] == [path]
    assert await crm.read("SELECT 1 FROM segment AS s WHERE s.account_id = $1") == []


async def test_a_contradiction_has_no_members_and_the_largest_filter_is_followed(crm: Segments) -> None:
    never = await crm.segment(
        "contacts", {"and": [equals("city", "Boston"), {"not": equals("city", "Boston")}]}
    )
    large = await crm.segment("contacts", {"or": [equals("city", f"{n}") for n in range(250)]})
    ann, _ = await crm.create("contacts", {"city": "249"}, {"city": "Boston"})
    await crm.settle()
    assert (await crm.members(never), await crm.members(large)) == (set(), {ann})
    await crm.expect_at_rest()


async def test_a_deleted_segment_is_gone_and_its_history_stays(crm: Segments) -> None:
    ann = await crm.one("contacts", city="Boston")
    segment = await crm.segment("contacts", equals("city", "Boston"), name="one")
    await crm.settle()
    await crm.set(ann, city="Paris")
    await crm.delete(segment)
    await crm.settle()
    assert (await crm.db.catalogue(crm.account)).segments == {}
    assert [line.record_id for line in await crm.lines(segment)] == [ann]
    assert await crm.members(segment) == set()
    assert len(await crm.events(EventKind.SEGMENT_DELETED)) == 1
    assert await crm.segment("contacts", kind="STATIC", name="one") != segment


async def test_what_is_broken_stands_still_and_is_examined_whole_once_it_is_mended(crm: Segments) -> None:
    async with crm.writing(defining=True) as tx:
        tier = await properties.create(tx, "contacts", name="tier", label="Tier", type="STRING")
    ann, bob = await crm.create("contacts", {"tier": "gold"}, {})
    broken = await crm.segment(
        "contacts", {"or": [equals("tier", "gold"), equals("city", "Boston")]}, name="broken"
    )
    sound = await crm.segment("contacts", equals("city", "Boston"), name="sound")
    await crm.settle()
    async with crm.writing(defining=True) as tx:
        await properties.archive(tx, "contacts", tier.name)
    await crm.set(ann, city="Boston")
    await crm.set(bob, city="Boston")
    await crm.settle()
    assert (await crm.members(broken), await crm.members(sound)) == ({ann}, {ann, bob})
    await crm.edit(broken, where=equals("city", "Boston"))
    await crm.settle()
    assert await crm.members(broken) == {ann, bob}
    await crm.expect_at_rest()


async def test_the_number_of_statements_does_not_grow_with_changes_or_segments(crm: Segments) -> None:

    async def statements(n: int, more: int) -> int:
        for number in range(more):
            where = {"and": [equals("city", "Boston"), associated("companies", equals("city", f"{number}"))]}
            await crm.segment("contacts", {"or": [where, equals("city", "Boston")]}, name=f"{n} {number}")
        await crm.settle()
        await crm.create("contacts", *[{"city": "Boston"}] * n)
        with counted() as said:
            await evaluate.run_once(crm.db, crm.account, now=crm.tick())
        return len(said)

    await statements(1, 1)
    few = await statements(2, 1)
    assert await statements(200, 12) <= few + 2


def test_circles_are_found_by_their_shortest_way() -> None:
    assert circle({1: {2}, 2: {3}, 3: set()}, 1) == []
    assert circle({1: {1}}, 1) == [1, 1]
    assert circle({1: {2, 3}, 2: {4}, 3: {4, 1}, 4: {1}}, 1) == [1, 3, 1]
    assert circle({1: {2}, 2: {2}}, 1) == []
