"""Runs of a sync, told as stories: against a simulated third party, step by step, on a real database."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from engine.sync import apps, connections, definition, resync, rules
from engine.sync.categories import Category
from engine.sync.connectors.protocol import (
    App,
    Capabilities,
    CursorLost,
    Disconnected,
    Rejected,
    Setting,
    Stale,
    Surroundings,
    Unclear,
)
from engine.sync.credentials import Vault, new_key
from engine.sync.rules import Condition, Deletes, Direction, Options, Policy
from server import worker
from storage.database import Actor, Database
from storage.sync import leases
from storage.sync.links import LinkRow
from tests.processes import PATIENCE
from tests.statements import counted
from tests.sync_rig import PEOPLE, Crash, Rig, rig
from tests.sync_world import ALL, Simulated, World, capable


def state(link: LinkRow) -> tuple[str, str | None]:
    return link.state, link.category


async def test_what_is_alike_is_linked_and_the_rest_is_created_on_both_sides(db: Database) -> None:
    world = World()
    it = await rig(db, world)
    ann = world.add(mail="ann@example.com", first="Ann")
    world.add(mail="bob@example.com", first="Bob")
    here = await it.crm.contact(email="Ann@Example.com", lastname="Lee")
    await it.crm.contact(email="cy@example.com", firstname="Cy")
    await it.rest()
    link = await it.link(external_id=ann)
    assert (link.record_id, link.state) == (here, "IN_SYNC")
    expected = [
        ("ann@example.com", "Ann", "Lee"),
        ("bob@example.com", "Bob", None),
        ("cy@example.com", "Cy", None),
    ]
    assert await it.ours("email", "firstname", "lastname") == expected
    assert it.theirs("mail", "first", "last") == expected
    told = {event.kind.value for event in await it.crm.events()}
    assert {"RECORD_SYNCED", "SYNC_PROGRESS", "SYNC_LIVE"} <= told


@pytest.mark.parametrize("filtered", [False, True])
async def test_what_goes_out_is_part_of_how_far_an_initial_sync_is(db: Database, filtered: bool) -> None:
    within = {"property": {"name": "city", "operator": "UNKNOWN"}} if filtered else None
    it = await rig(db, World(), start=False)
    it.world.add(mail="ann@example.com")
    it.world.add(mail="bob@example.com")
    for name in ("ann", "cy", "dan", "eve"):
        await it.crm.contact(email=f"{name}@example.com", **({"city": "Rome"} if name == "eve" else {}))
    await it.evaluate()
    await it.add(filter_ours=within)
    await it.rest()
    async with db.read(it.crm.account) as reader:
        found = await leases.look(reader, it.sync)
    assert found is not None
    progress = found[0].progress
    # Two of theirs, and ours that they did not have; whom a filter lets through, nobody knows beforehand.
    assert progress["done"] == (4 if filtered else 5)
    assert progress.get("total") == (None if filtered else 5)


async def linked(it: Rig, **fields: Any) -> tuple[int, str]:
    """A contact and an item that are one."""
    id_ = it.world.add(**{"mail": "ann@example.com", "first": "Ann", **fields})
    await it.later()
    return (await it.link(external_id=id_)).record_id or 0, id_


async def test_changes_go_both_ways_and_none_comes_back(db: Database) -> None:
    it = await rig(db)
    here, there = await linked(it)
    await it.crm.update((here, {"lastname": "Lee"}))
    await it.rest()
    assert it.world.all()[there]["last"] == "Lee"
    it.world.edit(there, first="Anna")
    await it.later()
    assert (await it.crm.row(here)).properties["firstname"] == "Anna"
    writes, version = it.world.writes(), (await it.crm.row(here)).version
    await it.later(60.0)
    assert (it.world.writes(), (await it.crm.row(here)).version) == (writes, version)


async def test_both_changed_the_policy_decides_field_by_field(db: Database) -> None:
    it = await rig(db, policies={"firstname": Policy.OURS, "lastname": Policy.THEIRS, "city": Policy.ASK})
    here, there = await linked(it, last="Lee", city="Rome")
    await it.crm.update((here, {"firstname": "Anne", "lastname": "Li", "city": "Paris"}))
    it.world.edit(there, first="Anna", last="Ley", city="Oslo")
    await it.later()
    properties = (await it.crm.row(here)).properties
    assert (properties["firstname"], properties["lastname"], properties["city"]) == ("Anne", "Ley", "Paris")
    assert it.world.all()[there] == {
        "mail": "ann@example.com",
        "first": "Anne",
        "last": "Ley",
        "city": "Oslo",
    }
    assert (await it.link(record_id=here)).state == "CONFLICT"
    held = await it.crm.table("SELECT c.held FROM sync_conflict AS c WHERE c.account_id = $1")
    assert held == [({"ours": "Paris", "theirs": "Oslo", "agreed": "Rome"},)]
    # Neither is written over while somebody is asked; what else changes goes on.
    await it.crm.update((here, {"firstname": "Ann", "city": "Bonn"}))
    await it.rest()
    assert it.world.all()[there]["first"] == "Ann"
    assert it.world.all()[there]["city"] == "Oslo"


async def test_a_deletion_is_shown_and_nothing_else(db: Database) -> None:
    it = await rig(db)
    here, there = await linked(it)
    it.world.remove(there)
    await it.later()
    link = await it.link(record_id=here)
    assert (state(link), link.deleted) == (("FAILED", "RECORD_DELETED"), "THEIRS")
    assert len(await it.records()) == 1


async def test_deletions_follow_where_that_is_chosen(db: Database) -> None:
    it = await rig(db, options=Options(deletes=Deletes.BOTH))
    first, gone = await linked(it)
    second, _ = await linked(it, mail="bob@example.com")
    it.world.remove(gone)
    await it.later()
    assert (await it.crm.row(first)).archived_at is not None
    await it.crm.archive(second)
    await it.rest()
    assert it.world.all() == {}
    calls = len(it.world.calls)
    await it.later(100_000)
    assert "write" not in it.world.calls[calls:]


async def test_too_many_deletions_ask_first(db: Database) -> None:
    it = await rig(db, options=Options(deletes=Deletes.IN))
    for n in range(20):
        it.world.add(mail=f"p{n}@example.com")
    await it.rest()
    for id_ in list(it.world.all())[:5]:
        it.world.remove(id_)
    await it.later()
    held = await it.crm.table("SELECT s.held FROM sync AS s WHERE s.account_id = $1")
    assert held == [({"category": "DELETES_HELD", "side": "OURS", "count": 5, "of": 20},)]
    assert len(await it.records()) == 20


async def test_a_trickle_of_deletions_asks_as_a_flood_does(db: Database) -> None:
    it = await rig(db, options=Options(deletes=Deletes.IN))
    for n in range(60):
        it.world.add(mail=f"p{n}@example.com")
    await it.rest()
    for gone, id_ in enumerate(list(it.world.all())[:30], start=1):  # noqa: B007, how many is told below
        it.world.remove(id_)
        await it.later(1_200)
        if await holds(it) is not None:
            break
    # A tenth of sixty would be six; ten in a day are nothing to ask about, the eleventh is.
    assert gone == 11
    assert len(await it.records()) == 50
    await confirm(it)
    await it.later()
    assert await holds(it) is None
    assert len(await it.records()) == 49
    # What somebody was asked about does not count.
    it.world.remove(next(iter(it.world.all())))
    await it.later()
    assert (await holds(it), len(await it.records())) == (None, 48)


async def test_what_was_deleted_long_ago_does_not_count(db: Database) -> None:
    it = await rig(db, options=Options(deletes=Deletes.IN))
    for n in range(60):
        it.world.add(mail=f"p{n}@example.com")
    await it.rest()
    for id_ in list(it.world.all())[:20]:
        it.world.remove(id_)
        await it.later(3 * 3_600)
    assert (await holds(it), len(await it.records())) == (None, 40)


async def holds(it: Rig) -> Any:
    """Why the sync has stopped."""
    ((held,),) = await it.crm.table("SELECT s.held FROM sync AS s WHERE s.account_id = $1")
    return held


async def confirm(it: Rig) -> None:
    """Somebody lets it delete."""
    async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        await resync.settle_deletes(tx, it.sync, confirm=True)


async def test_what_changed_here_is_not_deleted_with_the_other_half(db: Database) -> None:
    it = await rig(db, options=Options(deletes=Deletes.BOTH))
    here, there = await linked(it)
    it.world.remove(there)
    await it.crm.update((here, {"firstname": "Anna"}))
    await it.later()
    assert state(await it.link(record_id=here)) == ("FAILED", "RECORD_DELETED")
    assert (await it.crm.row(here)).archived_at is None


async def test_filters_are_asked_before_the_first_time_alone(db: Database) -> None:
    it = await rig(
        db,
        filter_ours={"property": {"name": "city", "operator": "ANY_OF", "values": ["Rome"]}},
        filter_theirs=(Condition("city", rules.Test.IS_ANY_OF, ("rome",)),),
    )
    await it.crm.contact(email="a@example.com", city="Oslo")
    roman = await it.crm.contact(email="b@example.com", city="Rome")
    it.world.add(mail="c@example.com", city="Oslo")
    it.world.add(mail="d@example.com", city="Rome")
    await it.rest()
    assert await it.ours("email") == [("a@example.com",), ("b@example.com",), ("d@example.com",)]
    assert it.theirs("mail") == [("b@example.com",), ("c@example.com",), ("d@example.com",)]
    await it.crm.update((roman, {"city": "Oslo"}))
    await it.rest()
    assert ("b@example.com", "Oslo") in it.theirs("mail", "city")


async def test_contacts_without_an_address_stay_where_they_are(db: Database) -> None:
    it = await rig(db)
    it.world.add(first="Nobody")
    await it.crm.contact(firstname="Noone")
    await it.rest()
    assert [one.state for one in await it.links()] == ["EXCLUDED", "EXCLUDED"]
    assert (len(await it.records()), len(it.world.all())) == (1, 1)


async def test_several_candidates_are_never_guessed(db: Database) -> None:
    it = await rig(db, start=False)
    one, two = await it.crm.create({"name": "Acme"}, {"name": "ACME"}, kind="companies")
    firm = it.world.add("firms", title="Acme")
    await it.add("companies", "firms", {"name": "title", "domain": "host", "city": "city"})
    await it.rest()
    link = await it.link(external_id=firm)
    assert state(link) == ("FAILED", "AMBIGUOUS_MATCH")
    assert link.details is not None
    assert one.value is not None
    assert two.value is not None
    assert link.details["ids"] == [one.value.id, two.value.id]
    assert len(await it.records("companies")) == 2


@pytest.mark.parametrize("direction", [Direction.IN, Direction.OUT])
async def test_only_in_and_only_out(db: Database, direction: Direction) -> None:
    it = await rig(db, direction=direction)
    it.world.add(mail="theirs@example.com")
    await it.crm.contact(email="ours@example.com")
    await it.rest()
    ours, theirs = await it.ours("email"), it.theirs("mail")
    both = [("ours@example.com",), ("theirs@example.com",)]
    assert (ours, theirs) == ((both, both[1:]) if direction is Direction.IN else (both[:1], both))


async def test_an_item_that_was_passed_over_is_found_by_the_record_that_comes_later(db: Database) -> None:
    it = await rig(db, direction=Direction.OUT)
    there = it.world.add(mail="ann@example.com", first="Ann")
    await it.rest()
    here = await it.crm.contact(email="ann@example.com", lastname="Lee")
    await it.rest()
    assert (await it.link(external_id=there)).record_id == here
    assert it.world.all() == {there: {"mail": "ann@example.com", "first": "Ann", "last": "Lee"}}


async def test_an_app_that_is_away_makes_nothing_fail(db: Database) -> None:
    it = await rig(db)
    here, there = await linked(it)
    it.world.next = [("write", Disconnected("Away."))]
    await it.crm.update((here, {"firstname": "Anna"}))
    await it.rest(seconds=20)
    assert it.world.all()[there]["first"] == "Anna"
    assert [one.state for one in await it.links()] == ["IN_SYNC"]


async def test_a_refusal_is_told_and_goes_with_what_is_changed(db: Database) -> None:
    it = await rig(db)
    here, _ = await linked(it)
    it.world.next = [("op", Rejected("Too long.", Category.VALUE_TOO_LONG, "first"))]
    await it.crm.update((here, {"firstname": "Annabelle"}))
    await it.rest()
    link = await it.link(record_id=here)
    assert (state(link), link.details) == (("FAILED", "VALUE_TOO_LONG"), {"field": "first"})
    await it.crm.update((here, {"firstname": "Bel"}))
    await it.rest()
    assert (await it.link(record_id=here)).state == "IN_SYNC"
    did = await it.crm.table("SELECT a.did FROM sync_attempt AS a WHERE a.account_id = $1 ORDER BY a.id")
    assert did == [("CREATED",), ("FAILED",), ("UPDATED",)]


async def test_a_lost_cursor_reads_everything_anew(db: Database) -> None:
    it = await rig(db)
    await linked(it)
    it.world.next = [("read", CursorLost("Who?"))]
    it.world.add(mail="bob@example.com")
    await it.later()
    assert len(await it.records()) == 2


@pytest.mark.parametrize("capabilities", [ALL, capable(idempotent_create=False)])
async def test_a_creation_whose_answer_was_lost_is_not_done_again(
    db: Database, capabilities: Capabilities
) -> None:
    world = World(capabilities=capabilities)
    it = await rig(db, world)
    await it.rest()
    broken = iter(["written"])

    def at(place: str) -> None:
        if place == "written" and next(broken, None):
            raise Crash

    it.at = at
    await it.crm.contact(email="ann@example.com")
    await it.rest(seconds=60)
    assert it.theirs("mail") == [("ann@example.com",)]
    assert [one.state for one in await it.links()] == ["IN_SYNC"]


async def test_what_an_app_changes_of_a_value_is_no_change(db: Database) -> None:
    it = await rig(db, World(kept={"city": str.upper}))
    here, there = await linked(it, city="Rome")
    await it.crm.update((here, {"city": "Oslo"}))
    await it.later(60.0)
    assert (await it.crm.row(here)).properties["city"] == "Oslo"
    assert it.world.all()[there]["city"] == "OSLO"


async def test_stale_and_unclear_writes_are_looked_at_again(db: Database) -> None:
    it = await rig(db)
    here, there = await linked(it)
    it.world.next = [("op", Stale("Changed.")), ("op", Unclear("Who knows."))]
    await it.crm.update((here, {"firstname": "Anna"}))
    await it.rest(seconds=30)
    assert it.world.all()[there]["first"] == "Anna"


async def test_a_merged_record_takes_its_link_along(db: Database) -> None:
    it = await rig(db)
    here, there = await linked(it)
    other = (await it.crm.create({"firstname": "Other"}))[0].value
    assert other is not None
    await it.crm.merge(other.id, here)
    await it.rest()
    assert (await it.link(external_id=there)).record_id == other.id
    await it.crm.update((other.id, {"lastname": "Lee"}))
    await it.rest()
    assert it.world.all()[there]["last"] == "Lee"


async def test_the_primary_company_goes_both_ways_and_waits_for_its_link(db: Database) -> None:
    role = definition.RolePart("employer", "companies", "primary")
    it = await rig(db, start=False)
    await it.add(roles=[role])
    firm = it.world.add("firms", title="Acme", host="acme.test")
    ann = it.world.add(mail="ann@example.com")
    it.world.relate(ann, "employer", firm)
    await it.rest()
    waiting = await it.link(external_id=ann)
    assert state(waiting) in (("IN_SYNC", None), ("PENDING", "WAITING_FOR_ASSOCIATED_RECORD"))
    await it.add("companies", "firms", {"name": "title", "domain": "host"})
    # Whoever makes the other sync tells its siblings: their rules are new, and they look at everything anew.
    await it.crm.tamper("UPDATE sync SET revision = revision + 1, swept_at = NULL")
    await it.later(60.0)
    assert state(await it.link(external_id=ann)) == ("IN_SYNC", None)
    assert await employers(it) == [("ann@example.com", "Acme")]
    beta = (await it.crm.create({"name": "Beta"}, kind="companies"))[0].value
    assert beta is not None
    await it.rest()
    here = (await it.link(external_id=ann)).record_id or 0
    await associate(it, here, beta.id)
    await it.later()
    titles = {id_: fields["title"] for id_, fields in it.world.all("firms").items()}
    assert {titles[one] for one in it.world.items["people"][ann].associations["employer"]} == {"Beta"}


async def test_a_deletion_goes_on_whatever_an_item_is_associated_with_meanwhile(db: Database) -> None:
    able = capable(conditional=False, ordered_versions=False)
    it = await rig(db, World(capabilities=able, versions=False), start=False)
    await it.add("companies", "firms", {"name": "title"})
    role = definition.RolePart("employer", "companies", "primary")
    await it.add(roles=[role], options=Options(deletes=Deletes.BOTH))
    firm, ann = it.world.add("firms", title="Acme"), it.world.add(mail="ann@example.com")
    await it.rest()
    it.world.relate(ann, "employer", firm)
    await it.crm.archive((await it.records())[0].id)
    await it.rest()
    assert it.world.all() == {}


async def associate(it: Rig, here: int, there: int) -> None:
    from engine import associations
    from engine.batches import Mode

    async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        await associations.add_labels(tx, [associations.Pair(here, there, ("primary",))], Mode.ATOMIC)


async def employers(it: Rig) -> list[tuple[Any, ...]]:
    """(address, name of the primary company)."""
    return await it.crm.table(
        """
        SELECT r.properties ->> 'email', c.properties ->> 'name'
          FROM association AS a
          JOIN record AS r ON r.account_id = $1 AND r.id = a.from_id
          JOIN record AS c ON c.account_id = $1 AND c.id = a.to_id
          JOIN association_type AS t ON t.account_id = $1 AND t.id = a.type_id
         WHERE a.account_id = $1 AND t.name = 'primary' AND r.properties ->> 'email' IS NOT NULL
        """
    )


@pytest.mark.parametrize("people", [5, 45])
async def test_a_page_takes_a_handful_of_statements(db: Database, people: int) -> None:
    it = await rig(db)
    for n in range(people):
        it.world.add(mail=f"p{n}@example.com", first=f"P{n}")
    await it.step(it.sync)
    with counted() as run:
        await it.step(it.sync)
    assert len(await it.records()) == people
    assert len(run) <= 20


class Simulation:
    """The simulated app, as it is found by name."""

    name: ClassVar[str] = "simulated"
    title: ClassVar[str] = "Simulated"
    about: ClassVar[str] = "A store in this process."
    settings: ClassVar[tuple[Setting, ...]] = ()
    capabilities: ClassVar[Capabilities] = ALL

    def __init__(self, world: World) -> None:
        self.world = world

    @contextlib.asynccontextmanager
    async def open(self, settings: Mapping[str, str], surroundings: Surroundings) -> AsyncIterator[Simulated]:
        yield Simulated(self.world)


async def theirs_are(it: Rig, *addresses: str) -> None:
    """Wait until the app has these."""
    while it.theirs("mail") != [(one,) for one in addresses]:  # noqa: ASYNC110 (nobody tells)
        await asyncio.sleep(0.02)


async def test_workers_run_syncs_and_end_when_they_are_told_to(db: Database) -> None:
    world = World()
    app: App = Simulation(world)
    key = new_key()
    vault = Vault(lambda _making: [key])
    it = await rig(db, world, start=False)
    with apps.registered(app):
        made_of = connections.entered("simulated", {})
        described = await connections.look(made_of, Surroundings())
        async with db.transaction(it.crm.account, now=datetime.now(UTC), actor=Actor("API")) as tx:
            row = await connections.create(tx, vault, "There", made_of, described)
        it.connection = row.id
        await it.add(fields=PEOPLE)
        await it.crm.contact(email="ann@example.com")
        stop = asyncio.Event()
        working = asyncio.create_task(worker.run(db, clock=lambda: datetime.now(UTC), stop=stop, vault=vault))
        async with asyncio.timeout(PATIENCE):
            await theirs_are(it, "ann@example.com")
            await it.crm.contact(email="bob@example.com")
            await theirs_are(it, "ann@example.com", "bob@example.com")
            stop.set()
            await working
    leased = await it.crm.table("SELECT s.lease_token FROM sync AS s WHERE s.account_id = $1")
    assert leased == [(None,)]
