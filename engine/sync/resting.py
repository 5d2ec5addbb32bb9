"""Syncs that rest after trouble which is no record's: people see it and why, and it is tried again by itself."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from engine.sync.categories import TIPS, Category
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.sync import holding

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=15)


def until(held: Mapping[str, Any] | None) -> datetime | None:
    """When a sync that rests is tried again; None: it does not rest, or waits for a person."""
    moment = None if held is None else held.get("until")
    return None if moment is None else datetime.fromisoformat(moment)


def stands(held: Mapping[str, Any] | None, now: datetime) -> bool:
    """Whether a sync does nothing for now: it waits for a person, or rests."""
    if held is None:
        return False
    over = until(held)
    return over is None or over > now


async def rest(
    tx: Transaction, sync_id: int, category: Category, message: str, pause: timedelta | None = None
) -> datetime | None:
    """Let a sync rest, longer each time; until when. None: it is gone, or waits for a person already.

    It is told when it begins to rest, and when the reason is another one.
    """
    sync = (await holding.hold(tx, [sync_id])).get(sync_id)
    if sync is None or (sync.held is not None and until(sync.held) is None):
        return None
    before = sync.held or {}
    failures = int(before.get("failures", 0))
    over = tx.now + (pause or min(FIRST_PAUSE * 2 ** min(failures, 10), LONGEST_PAUSE))
    told = {"category": category.value, "message": message[:1_000], "until": over.isoformat()}
    await holding.rest(tx, sync_id, {**told, "failures": failures + 1})
    if (before.get("category"), before.get("message")) != (told["category"], told["message"]):
        payload = {**told, "tip": TIPS[category]}
        tx.happened(Event(EventKind.SYNC_HELD, sync.object_type_id, None, sync_id, payload))
    return over


async def works(tx: Transaction, sync_id: int) -> None:
    """It works again."""
    sync = (await holding.hold(tx, [sync_id])).get(sync_id)
    if sync is not None and until(sync.held) is not None:
        await holding.rest(tx, sync_id, None)
        tx.happened(Event(EventKind.SYNC_RESUMED, sync.object_type_id, None, sync_id, {}))
