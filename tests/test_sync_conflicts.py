"""The conflict inbox: both sides changed a field, a person decides, and the decision is about what they saw."""

from dataclasses import replace
from typing import Any

import pytest

from engine.batches import Outcome
from engine.sync import conflicts
from engine.sync.conflicts import OpenConflict, Resolution
from engine.sync.rules import Policy, Side
from storage.database import Database
from tests.crm import codes
from tests.sync_rig import Rig, rig
from tests.sync_world import FIRMS, PEOPLE, World

SHORT = replace(
    PEOPLE, fields=tuple(replace(one, max_length=8) if one.name == "first" else one for one in PEOPLE.fields)
)


async def torn(db: Database, n: int = 1) -> tuple[Rig, World, list[OpenConflict]]:
    """People whose city both sides have changed."""
    world = World(objects=(SHORT, FIRMS))
    it = await rig(db, world, policy=Policy.ASK)
    for number in range(n):
        world.add(mail=f"{number}@example.com", first="Ann", city="Bonn")
    await it.rest()
    for link in await it.links():
        world.edit(link.external_id or "", city="Oslo")
        await it.crm.update((link.record_id or 0, {"city": "Rome"}))
    await it.later()
    found = await inbox(it)
    assert [(one.ours, one.theirs, one.agreed) for one in found] == [("Rome", "Oslo", "Bonn")] * n
    return it, world, found


async def inbox(it: Rig, **words: Any) -> list[OpenConflict]:
    async with it.crm.db.read(it.crm.account) as reader:
        return await conflicts.inbox(reader, it.syncs, **words)


async def resolve(it: Rig, *given: Resolution) -> list[Outcome[OpenConflict]]:
    async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        return await conflicts.resolve(tx, given)


async def cities(it: Rig) -> tuple[list[Any], list[Any]]:
    return [one[0] for one in await it.ours("city")], [one[0] for one in it.theirs("city")]


@pytest.mark.parametrize(
    ("winner", "value", "city"),
    [(Side.OURS, None, "Rome"), (Side.THEIRS, None, "Oslo"), (None, "Paris", "Paris")],
)
async def test_a_conflict_goes_as_a_person_decides(
    db: Database, winner: Side | None, value: Any, city: str
) -> None:
    it, _, (one,) = await torn(db)
    assert (await it.link()).state == "CONFLICT"
    (outcome,) = await resolve(it, Resolution(one.id, winner, value))
    assert outcome.value is not None
    assert outcome.value.resolved is (winner or Side.OURS)
    await it.later()
    assert await cities(it) == ([city], [city])
    assert (await it.link()).state == "IN_SYNC"
    assert await inbox(it) == []
    assert codes(await resolve(it, Resolution(one.id, Side.OURS))) == ["CONFLICT_SETTLED"]


async def test_fields_that_are_not_in_conflict_go_on_meanwhile(db: Database) -> None:
    it, world, (one,) = await torn(db)
    link = await it.link()
    world.edit(link.external_id or "", first="Anna")
    await it.later()
    assert await it.ours("firstname", "city") == [("Anna", "Rome")]
    assert [open_.id for open_ in await inbox(it)] == [one.id]


@pytest.mark.parametrize("whose", ["ours", "theirs"])
async def test_a_decision_about_what_is_no_longer_there_is_asked_again(db: Database, whose: str) -> None:
    it, world, (one,) = await torn(db)
    link = await it.link()
    # Between the look at the inbox and the runner's turn.
    if whose == "theirs":
        world.edit(link.external_id or "", city="Kiel")
        await resolve(it, Resolution(one.id, Side.THEIRS))
    else:
        await resolve(it, Resolution(one.id, Side.OURS))
        await it.crm.update((link.record_id or 0, {"city": "Turin"}))
    await it.later()
    (again,) = await inbox(it)
    expected = ("Rome", "Kiel") if whose == "theirs" else ("Turin", "Oslo")
    assert (again.ours, again.theirs, again.resolved) == (*expected, None)
    assert await cities(it) == ([expected[0]], [expected[1]])
    await resolve(it, Resolution(again.id, Side.THEIRS))
    await it.later()
    assert await cities(it) == ([expected[1]], [expected[1]])


async def test_many_are_decided_at_once_and_each_problem_is_told_with_its_own(db: Database) -> None:
    it, _, found = await torn(db, 3)
    one, two, three = found
    outcomes = await resolve(
        it,
        Resolution(one.id, Side.OURS),
        Resolution(two.id, None, 17),
        Resolution(999, Side.OURS),
        Resolution(three.id, Side.THEIRS),
        Resolution(three.id, Side.OURS),
    )
    assert [outcome.problem is None for outcome in outcomes] == [True, False, False, True, False]
    assert codes(outcomes)[1:] == ["CONFLICT_SETTLED", "CONFLICT_DECIDED_TWICE"]
    await it.later()
    assert [open_.id for open_ in await inbox(it)] == [two.id]


async def test_the_inbox_is_paged_newest_first(db: Database) -> None:
    it, _, found = await torn(db, 5)
    assert [one.id for one in found] == sorted((one.id for one in found), reverse=True)
    first = await inbox(it, first=2)
    rest = await inbox(it, before=first[-1].id)
    assert [*first, *rest] == found
    async with db.read(it.crm.account) as reader:
        (of_one,) = await conflicts.of_links(reader, [found[0].link_id])
    assert of_one == [found[0]]


async def test_a_conflict_that_both_sides_have_settled_themselves_goes_by_itself(db: Database) -> None:
    it, world, _ = await torn(db)
    link = await it.link()
    world.edit(link.external_id or "", city="Rome")
    await it.later()
    assert await inbox(it) == []
    assert (await it.link()).state == "IN_SYNC"


async def test_a_conflict_stands_beside_a_failure_and_is_decided_all_the_same(db: Database) -> None:
    it, _, (one,) = await torn(db)
    number = (await it.link()).record_id or 0
    await it.crm.update((number, {"firstname": "Maximiliana"}))
    await it.later()
    assert ((await it.link()).state, (await it.link()).category) == ("FAILED", "VALUE_TOO_LONG")
    await it.crm.update((number, {"lastname": "Roe"}))
    await it.later()
    # Nobody has decided yet.
    assert await cities(it) == (["Rome"], ["Oslo"])
    assert [open_.id for open_ in await inbox(it)] == [one.id]
    await resolve(it, Resolution(one.id, Side.THEIRS))
    await it.later()
    assert await cities(it) == (["Oslo"], ["Oslo"])
    assert await inbox(it) == []
    await it.crm.update((number, {"firstname": "Max"}))
    await it.later()
    assert (await it.link()).state == "IN_SYNC"
    assert it.theirs("first", "last") == [("Max", "Roe")]


async def test_what_is_archived_is_asked_about_once_it_is_back(db: Database) -> None:
    it, _, (one,) = await torn(db)
    number = (await it.link()).record_id or 0
    await it.crm.archive(number)
    await it.later()
    assert (await it.link()).category == "RECORD_DELETED"
    assert codes(await resolve(it, Resolution(one.id, Side.OURS))) == ["RECORD_ARCHIVED"]
    await it.crm.restore(number)
    await it.later()
    assert await cities(it) == (["Rome"], ["Oslo"])
    assert (await it.link()).state == "CONFLICT"
    await resolve(it, Resolution(one.id, Side.THEIRS))
    await it.later()
    assert await cities(it) == (["Oslo"], ["Oslo"])
    assert await inbox(it) == []


async def test_a_conflict_of_what_is_in_sync_is_none_any_more(db: Database) -> None:
    it, _, (one,) = await torn(db)
    async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        await tx.execute("UPDATE sync_link AS l SET state = 'IN_SYNC' WHERE l.account_id = $1")
    assert codes(await resolve(it, Resolution(one.id, Side.OURS))) == ["CONFLICT_SETTLED"]
    assert await inbox(it) == []


async def test_nobody_is_asked_about_what_was_deleted_over_there(db: Database) -> None:
    it, world, (one,) = await torn(db)
    world.remove((await it.link()).external_id or "")
    await it.later()
    assert (await it.link()).category == "RECORD_DELETED"
    assert await inbox(it) == []
    assert codes(await resolve(it, Resolution(one.id, Side.OURS))) == ["CONFLICT_SETTLED"]
