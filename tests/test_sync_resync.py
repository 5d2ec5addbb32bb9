"""What was deleted on one side comes back there, once; and deletions under the brake wait for a person."""

from typing import Any

import pytest

from engine.batches import Outcome
from engine.problems import NotFound
from engine.sync import resync
from engine.sync.resync import NoDeletesHeld, ResyncAgainstDirection
from engine.sync.rules import Deletes, Direction, Options, Side
from storage.database import Database
from storage.sync.links import LinkRow
from tests.crm import codes
from tests.sync_rig import Rig, rig
from tests.sync_world import World


async def in_sync(db: Database, n: int = 1, **words: Any) -> tuple[Rig, World, list[LinkRow]]:
    """Some people that are in sync."""
    world = World()
    it = await rig(db, world, **words)
    for number in range(n):
        world.add(mail=f"{number}@example.com", first=f"Number {number}", city="Bonn")
    await it.rest()
    links = await it.links()
    assert [one.state for one in links] == ["IN_SYNC"] * n
    return it, world, links


async def bring_back(it: Rig, *links: LinkRow) -> list[Outcome[int]]:
    async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        return await resync.resync(tx, [one.id for one in links])


async def settle(it: Rig, *, confirm: bool) -> int:
    async with it.crm.db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        return await resync.settle_deletes(tx, it.sync, confirm=confirm)


async def test_an_item_that_was_deleted_over_there_is_created_again_once(db: Database) -> None:
    it, world, (link,) = await in_sync(db)
    assert link.external_id is not None
    world.remove(link.external_id)
    await it.later()
    gone = await it.link(id=link.id)
    assert (gone.state, gone.category, gone.deleted) == ("FAILED", "RECORD_DELETED", "THEIRS")
    assert codes(await bring_back(it, gone)) == []
    await it.later()
    assert it.theirs("mail", "first", "city") == [("0@example.com", "Number 0", "Bonn")]
    back = await it.link(record_id=link.record_id)
    assert (back.state, back.deleted) == ("IN_SYNC", None)
    assert back.external_id != link.external_id
    assert len(await it.links()) == 1
    # Edits go on going both ways.
    world.edit(back.external_id or "", city="Rome")
    await it.later()
    assert await it.ours("city") == [("Rome",)]


async def test_an_item_that_somebody_has_made_again_is_found_and_not_doubled(db: Database) -> None:
    it, world, (link,) = await in_sync(db)
    world.remove(link.external_id or "")
    await it.later()
    again = world.add(mail="0@example.com", first="Somebody")
    assert codes(await bring_back(it, link)) == []
    await it.later()
    assert len(world.all()) == len(await it.records()) == 1
    found = await it.link(external_id=again)
    assert (found.record_id, found.state) == (link.record_id, "IN_SYNC")


async def test_a_record_that_was_archived_is_restored_with_what_has_changed_since(db: Database) -> None:
    it, world, (link,) = await in_sync(db)
    assert link.record_id is not None
    await it.crm.archive(link.record_id)
    await it.rest()
    gone = await it.link(id=link.id)
    assert (gone.state, gone.category, gone.deleted) == ("FAILED", "RECORD_DELETED", "OURS")
    world.edit(link.external_id or "", city="Rome")
    await it.later()
    assert await it.records() == []
    assert codes(await bring_back(it, gone)) == []
    await it.later()
    row = await it.crm.row(link.record_id)
    assert (row.archived_at, row.properties["city"]) == (None, "Rome")
    assert (await it.link(id=link.id)).state == "IN_SYNC"
    assert len(world.all()) == 1


async def test_a_record_that_was_merged_away_is_made_anew_or_found(db: Database) -> None:
    it, world, (one, two) = await in_sync(db, 2)
    assert one.record_id is not None
    assert two.record_id is not None
    await it.crm.merge(one.record_id, two.record_id)
    await it.later()
    orphan = await it.link(external_id=two.external_id)
    assert orphan.deleted == "OURS"
    assert codes(await bring_back(it, orphan)) == []
    await it.later()
    # Its address leads to the survivor, which has an item already: it is told, and nothing is doubled.
    assert len(await it.records()) <= 2
    assert len(world.all()) == 2


async def test_all_that_was_deleted_on_one_side_comes_back_there_and_nothing_elsewhere(db: Database) -> None:
    it, world, links = await in_sync(db, 4)
    for one in links[:2]:
        world.remove(one.external_id or "")
    await it.crm.archive(*(one.record_id for one in links[2:] if one.record_id is not None))
    await it.later()
    async with db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        found = await resync.resync_all(tx, it.sync, Side.THEIRS)
    assert (found.count, found.refused, found.last) == (2, 0, None)
    await it.later()
    assert (len(world.all()), len(await it.records())) == (4, 2)
    async with db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        assert (await resync.resync_all(tx, it.sync, Side.OURS)).count == 2
    await it.later()
    assert (len(world.all()), len(await it.records())) == (4, 4)
    assert {one.state for one in await it.links()} == {"IN_SYNC"}


async def test_nothing_comes_back_against_the_direction(db: Database) -> None:
    it, world, (link,) = await in_sync(db, direction=Direction.IN)
    world.remove(link.external_id or "")
    await it.later()
    assert codes(await bring_back(it, link)) == ["RESYNC_AGAINST_DIRECTION"]
    async with db.transaction(it.crm.account, now=it.now, actor=it.crm.actor) as tx:
        with pytest.raises(ResyncAgainstDirection):
            await resync.resync_all(tx, it.sync, Side.THEIRS)
        with pytest.raises(NotFound):
            await resync.resync_all(tx, 999, Side.THEIRS)


async def test_what_was_not_deleted_is_refused_one_by_one(db: Database) -> None:
    it, _, (link,) = await in_sync(db)
    stranger = LinkRow(999, it.sync)
    assert codes(await bring_back(it, link, stranger)) == ["LINK_NOT_DELETED", "NOT_FOUND"]


async def test_a_record_that_is_archived_too_is_restored_first(db: Database) -> None:
    it, world, (link,) = await in_sync(db)
    world.remove(link.external_id or "")
    await it.later()
    await it.crm.archive(link.record_id or 0)
    assert codes(await bring_back(it, link)) == ["RECORD_ARCHIVED"]


async def braked(db: Database) -> tuple[Rig, World]:
    """Most of all items were deleted over there at once, and deletions are to follow."""
    it, world, links = await in_sync(db, 10, options=Options(deletes=Deletes.IN, delete_share=0.2))
    for one in links[:6]:
        world.remove(one.external_id or "")
    await it.later()
    async with db.read(it.crm.account) as reader:
        held = await reader.fetchval(
            "SELECT s.held FROM sync AS s WHERE s.account_id = $1 AND s.id = $2", it.sync
        )
    assert (held["category"], held["count"]) == ("DELETES_HELD", 6)
    assert len(await it.records()) == 10
    return it, world


async def test_deletions_that_are_confirmed_are_carried_out(db: Database) -> None:
    it, world = await braked(db)
    assert await settle(it, confirm=True) == 6
    await it.later()
    assert (len(await it.records()), len(world.all())) == (4, 4)
    with pytest.raises(NoDeletesHeld):
        await settle(it, confirm=True)


async def test_deletions_that_are_refused_stay_refused_and_can_be_resynced(db: Database) -> None:
    it, world = await braked(db)
    assert await settle(it, confirm=False) == 6
    await it.later(90_000)
    await it.later(90_000)
    assert len(await it.records()) == 10
    kept = [one for one in await it.links() if one.category == "RECORD_DELETED"]
    assert [(one.state, one.deleted) for one in kept] == [("FAILED", "THEIRS")] * 6
    assert codes(await bring_back(it, *kept)) == []
    await it.later()
    assert (len(await it.records()), len(world.all())) == (10, 10)
