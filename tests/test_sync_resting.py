"""Trouble that is no record's: the sync rests, people see why, and it goes on by itself."""

import asyncio
from datetime import timedelta

import pytest

from engine.sync import resting
from engine.sync.categories import TIPS, Category
from engine.sync.connectors.protocol import Rejected
from storage.changes import EventKind
from storage.database import Database
from tests.sync_world import World
from tests.test_sync_leases import Slowly, synced, two_workers


async def test_a_sync_that_rests_says_why_and_goes_on(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, "FIRST_PAUSE", timedelta(seconds=0.4))
    world = World()
    refused = Rejected("There is no such table.", Category.PROPERTY_NOT_FOUND)
    world.next = [("read", refused), ("read", refused)]
    async with two_workers(db, Slowly(world)) as it:
        held = None
        async with asyncio.timeout(30):
            while held is None:
                (held,) = (
                    row[0]
                    for row in await it.crm.table("SELECT s.held FROM sync AS s WHERE s.account_id = $1")
                )
                await asyncio.sleep(0.02)
        await synced(it)
        async with asyncio.timeout(30):
            while held is not None:
                ((held,),) = await it.crm.table("SELECT s.held FROM sync AS s WHERE s.account_id = $1")
                await asyncio.sleep(0.02)
    told = [one for one in await it.crm.events() if one.kind in (EventKind.SYNC_HELD, EventKind.SYNC_RESUMED)]
    # Told once, however often it was tried.
    assert [one.kind for one in told] == [EventKind.SYNC_HELD, EventKind.SYNC_RESUMED]
    assert told[0].payload["category"] == "PROPERTY_NOT_FOUND"
    assert told[0].payload["message"] == "There is no such table."
    assert told[0].payload["tip"] == TIPS[Category.PROPERTY_NOT_FOUND]
