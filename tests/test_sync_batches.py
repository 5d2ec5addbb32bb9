"""Batches on their way out: the next is decided while one is written over there, and nothing is lost between them."""

import asyncio
from collections.abc import Callable

import pytest

from engine.sync import batches, outbound
from engine.sync.connectors.protocol import Capabilities, Unclear
from engine.sync.turns import LEASE, Overtaken
from storage.database import Database
from tests.sync_rig import Crash, Rig, rig
from tests.sync_world import World, capable

# So many are in one; so many change at a time.
BATCH, MOVING = 3, 4
SLOW = 0.003
APPS = (
    capable(batch=BATCH),
    capable(batch=BATCH, conditional=False, idempotent_create=False, ordered_versions=False),
)


def address(n: int) -> str:
    return f"p{n:03}@example.com"


async def edit(it: Rig, city: str, new: int) -> None:
    """The last ones of ours move, and so many more come: all are to go out."""
    known = await it.records()
    await it.crm.update(*((row.id, {"city": city}) for row in known[-MOVING:]))
    for n in range(len(known), len(known) + new):
        await it.crm.contact(email=address(n), city=city)


async def agree(it: Rig, people: int) -> None:
    """Everybody is there once, as here."""
    theirs = sorted(it.theirs("mail", "city"))
    assert theirs == sorted(await it.ours("email", "city"))
    assert [mail for mail, _ in theirs] == [address(n) for n in range(people)]
    links = await it.links()
    assert [(one.state, one.planned, one.create_key) for one in links] == [("IN_SYNC", None, None)] * people


def places(seen: list[str], ends_at: int | None = None) -> Callable[[str], None]:
    """Notes all places that a runner comes by; it ends at one of them."""

    def at(place: str) -> None:
        seen.append(place)
        if len(seen) - 1 == ends_at:
            raise Crash

    return at


@pytest.mark.parametrize("app", APPS)
async def test_the_next_batch_is_decided_while_one_is_written(db: Database, app: Capabilities) -> None:
    it, seen = await rig(db, World(capabilities=app, slow=SLOW)), list[str]()
    await edit(it, "Rome", 4)
    await it.rest()
    await edit(it, "Oslo", 4)
    it.at = places(seen)
    await it.rest()
    assert seen.count("write") == -(-8 // BATCH)
    # The first thing that is asked of the app, behind a transaction that has ended and another that has begun.
    asked = next(n for n, place in enumerate(seen) if place in ("get", "find", "write"))
    assert seen[asked - 2 : asked] == ["committed", "begin"]
    await agree(it, 8)


@pytest.mark.parametrize("app", APPS)
async def test_wherever_a_runner_ends_all_are_there_once(db: Database, app: Capabilities) -> None:
    it = await rig(db, World(capabilities=app, slow=SLOW))
    await edit(it, "Rome", 6)
    await it.rest()
    for n in range(100):
        seen: list[str] = []
        await edit(it, f"Oslo {n}", 2)
        it.at = places(seen, n)
        await it.rest(seconds=2 * LEASE.total_seconds())
        it.at = places([])
        await agree(it, 8 + 2 * n)
        if len(seen) <= n:
            break
    assert n > 20, "there are several batches"


@pytest.mark.parametrize("app", APPS)
async def test_nothing_more_is_begun_before_it_is_known_what_was_done(
    db: Database, app: Capabilities
) -> None:
    it = await rig(db, World(capabilities=app, slow=SLOW))
    await it.rest()
    await edit(it, "Oslo", 8)
    it.world.next.append(("op", Unclear("Nobody knows.")))
    began = len(it.world.calls)
    await it.rest(seconds=60)
    calls = [call for call in it.world.calls[began:] if call in ("write", "created")]
    assert calls[:2] == ["write", "created"]
    assert calls.count("created") == 1, "those that were taken back are not asked about"
    await agree(it, 8)


@pytest.mark.parametrize("app", APPS)
async def test_what_is_being_created_is_not_given_the_link_of_who_is_merged_into_it(
    db: Database, app: Capabilities
) -> None:
    it = await rig(db, World(capabilities=app))
    it.world.add(mail="ann@example.com", first="Ann")
    await it.rest()
    (ann,) = await it.records()
    new = await it.crm.contact(email="anne@example.com")
    await it.evaluate()
    held = await it.turn(it.sync)
    assert held is not None
    turn, _ = held
    _, under_way = await outbound.decided(turn, it.now)
    assert [one.record.id for one in under_way] == [new]
    await it.crm.merge(new, ann.id)
    await it.evaluate()
    looked, more = await outbound.decided(turn, it.now, under_way)
    assert (looked, more) == (True, [])
    assert (await it.link(record_id=new)).create_key == under_way[0].key


async def test_what_is_being_written_ends_with_its_runner_whatever_broke_off_before() -> None:
    # Its sync is deleted, so what was written is not noted; then its runner, whose connector is closed behind it.
    writing = asyncio.ensure_future(asyncio.sleep(3_600))
    ending = asyncio.ensure_future(batches._end(writing, Overtaken()))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert writing.cancelled()
