"""Trouble that is no record's: the sync rests, people see why, and it goes on by itself."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from engine.sync import loading, redescribing, resting, retrying
from engine.sync.categories import TIPS, Category
from engine.sync.connectors.protocol import Disconnected, FieldType, Rejected, RemoteField
from server.sync import keeper
from storage.changes import EventKind
from storage.database import Database
from tests.sync_rig import Rig, rig
from tests.sync_world import FIRMS, PEOPLE, World
from tests.test_sync_leases import Slowly, synced, two_workers, until


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers that look for work all the time, and pauses that are over soon."""
    monkeypatch.setattr(keeper, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(resting, "FIRST_PAUSE", timedelta(seconds=0.05))


@pytest.mark.usefixtures("soon")
async def test_a_sync_that_rests_says_why_and_goes_on(db: Database) -> None:
    world = World()
    refused = Rejected("There is no such table.", Category.PROPERTY_NOT_FOUND)
    world.next = [("read", refused), ("read", refused)]
    async with two_workers(db, Slowly(world)) as it:
        await until(lambda: rested(it))
        await synced(it)
        await until(lambda: resumed(it))
        assert await it.crm.table("SELECT s.held FROM sync AS s WHERE s.account_id = $1") == [(None,)]
    told = [one for one in await it.crm.events() if one.kind in (EventKind.SYNC_HELD, EventKind.SYNC_RESUMED)]
    # Told once, however often it was tried.
    assert [one.kind for one in told] == [EventKind.SYNC_HELD, EventKind.SYNC_RESUMED]
    assert told[0].payload["category"] == "PROPERTY_NOT_FOUND"
    assert told[0].payload["message"] == "There is no such table."
    assert told[0].payload["tip"] == TIPS[Category.PROPERTY_NOT_FOUND]


@pytest.mark.usefixtures("soon")
async def test_an_app_that_stays_away_is_told_of_once_and_again_when_something_else_is_the_matter(
    db: Database,
) -> None:
    world, soon = World(), timedelta(seconds=0.05)
    away = [Disconnected("It is away.", after=soon)] * 4
    full = [Disconnected("Too many calls.", Category.RATE_LIMITED, after=soon)] * 2
    world.next = [("read", error) for error in (*away, *full)]
    async with two_workers(db, Slowly(world)) as it:
        await synced(it)
        await until(lambda: resumed(it))
        assert await held(it) == ["REMOTE_UNAVAILABLE", "RATE_LIMITED", EventKind.SYNC_RESUMED.name]
        assert world.next == []


@pytest.mark.usefixtures("soon")
async def test_who_has_worked_in_between_rests_no_longer_than_the_first_time(db: Database) -> None:
    world = World()
    async with two_workers(db, Slowly(world)) as it:
        await synced(it)
        here = (await it.records())[0].id
        for name in ("Ann", "Anna", "Anne", "Annie", "Anke"):
            world.next = [("write", Disconnected("It is away."))]
            await it.crm.update((here, {"firstname": name}))

            async def there(name: str = name) -> bool:
                return it.theirs("first") == [(name,)] and await resumed(it) and world.next == []

            await until(there)
            await synced(it)
        told = [one for one in await it.crm.events() if one.kind is EventKind.SYNC_HELD]
    assert len(told) == 5
    pauses = {datetime.fromisoformat(one.payload["until"]) - one.at for one in told}
    assert pauses == {resting.FIRST_PAUSE}


async def held(it: Rig) -> list[str]:
    """Why it was told to rest, and when that was over."""
    return [
        event.payload.get("category", event.kind.name)
        for event in await it.crm.events()
        if event.kind in (EventKind.SYNC_HELD, EventKind.SYNC_RESUMED)
    ]


async def rested(it: Rig) -> bool:
    """Whether it was told to rest, be that over or not."""
    return await held(it) != []


async def resumed(it: Rig) -> bool:
    """Whether it was told last that it goes on."""
    return (await held(it))[-1:] == [EventKind.SYNC_RESUMED.name]


async def test_a_field_that_went_away_is_told_and_the_others_go_on(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redescribing, "OFTEN", timedelta(0))
    app = Slowly(World())
    async with two_workers(db, app) as it:
        await synced(it)
        fields = tuple(one for one in PEOPLE.fields if one.name != "city")
        app.world.objects = (replace(PEOPLE, fields=fields), FIRMS)
        here = (await it.records())[0].id
        await it.crm.update((here, {"city": "Rome", "firstname": "Ann"}))

        async def there() -> bool:
            return it.theirs("mail", "first") == [("ann@example.com", "Ann")]

        await until(there)
        await synced(it)
    async with db.read(it.crm.account) as reader:
        found = await loading.load(reader, await db.catalogue(it.crm.account), it.sync, app.capabilities)
    assert found is not None
    (broken,) = found.binding.broken
    assert (broken.category, broken.property, broken.field) == (Category.PROPERTY_NOT_FOUND, "city", "city")
    # An item that was written once was not refused for ever, and what is not there is no more written.
    assert it.world.all() == {next(iter(it.world.all())): {"mail": "ann@example.com", "first": "Ann"}}


async def test_an_option_that_is_not_known_over_there_is_asked_about(db: Database) -> None:
    level = RemoteField("stage", "Stage", FieldType.CHOICE, options=(("lead", "Lead"),))
    people = replace(PEOPLE, fields=(*PEOPLE.fields, level))
    it = await rig(db, World(objects=(people, FIRMS)), fields={"email": "mail", "lifecyclestage": "stage"})
    await it.crm.contact(email="ann@example.com", lifecyclestage="lead")
    await it.rest()
    assert not it.turns[it.sync][0].doubted
    await it.crm.contact(email="bob@example.com", lifecyclestage="customer")
    await it.rest()
    assert (await it.link(state="FAILED")).category == Category.OPTION_NOT_FOUND
    # The runner asks the app what it has, so that trying again helps once the option is there.
    assert it.turns[it.sync][0].doubted


async def test_what_fails_before_it_is_sent_is_counted_as_often_as_it_was_tried(db: Database) -> None:
    level = RemoteField("stage", "Stage", FieldType.CHOICE, options=(("lead", "Lead"),))
    people = replace(PEOPLE, fields=(*PEOPLE.fields, level))
    it = await rig(db, World(objects=(people, FIRMS)), fields={"email": "mail", "lifecyclestage": "stage"})
    await it.crm.contact(email="bob@example.com", lifecyclestage="customer")
    await it.rest()
    for tries in (1, 2, 3):
        failed = await it.link(state="FAILED")
        assert failed.attempts == tries
        # Looked at again though nobody asked: it is the same failure still.
        await it.later()
        async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
            await retrying.retry(tx, [failed.id])
        await it.rest()


def test_what_an_app_does_not_tell_of_any_more_is_kept_where_it_may_come_back() -> None:
    seen = replace(PEOPLE, sampled=True)
    less = replace(seen, fields=seen.fields[:1])
    together = redescribing.together([seen, FIRMS], [less])
    assert [one.name for one in together] == ["people", "firms"]
    assert {one.name for one in together[0].fields} == {one.name for one in PEOPLE.fields}
    gone = redescribing.together([PEOPLE], [replace(PEOPLE, fields=PEOPLE.fields[:1])])
    assert [one.name for one in gone[0].fields] == ["mail"]


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("bad", ["a\x00b", "\ud800", "".join(chr(0x4E00 + n) for n in range(2_000))])
async def test_an_item_whose_id_cannot_be_kept_keeps_nobody_from_the_others(db: Database, bad: str) -> None:
    world = World()
    world._store("people", bad, {"mail": "bad@example.com"})
    world.add(mail="bob@example.com")
    async with two_workers(db, Slowly(world)) as it:
        await synced(it)

        async def here() -> bool:
            return await it.ours("email") == [("ann@example.com",), ("bob@example.com",)]

        await until(here)
        assert await held(it) == []
