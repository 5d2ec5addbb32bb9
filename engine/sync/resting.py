"""Syncs and connections that rest after trouble which is no record's: people see why, and it is tried again."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from engine.problems import Problem, Refused
from engine.sync.categories import TIPS, Category
from engine.sync.connections import FOR_PEOPLE
from engine.sync.connectors.protocol import ConnectorError, Disconnected
from engine.sync.problems import SyncBroken
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.sync import holding, leases
from storage.sync.connections import BROKEN, READY

FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(minutes=15)
# Of others' words, so much is kept.
LONGEST_MESSAGE = 1_000


def pause(failures: int) -> timedelta:
    """How long rests who has failed so often in a row before."""
    return min(FIRST_PAUSE * (1 << min(failures, 10)), LONGEST_PAUSE)


def reason(error: Exception) -> tuple[Category, str]:
    """Why a sync rests, in words for people."""
    match error:
        case ConnectorError():
            return error.category, error.message
        case SyncBroken():
            # What is gone may be back when it is asked for again.
            return Category.PROPERTY_NOT_FOUND, error.message
        case Problem():
            return Category.UNKNOWN, error.message
        case Refused():
            return Category.UNKNOWN, str(error)
        case _:
            return Category.UNKNOWN, "An unexpected error occurred; it is in the log."


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
    tx: Transaction, sync_id: int, category: Category, message: str, after: timedelta | None = None
) -> datetime | None:
    """Let a sync rest, longer each time, or for `after`; until when. None: it is gone, or waits for a person already.

    It is told when it begins to rest, and when the reason is another one.
    """
    sync = (await holding.hold(tx, [sync_id])).get(sync_id)
    if sync is None or (sync.held is not None and until(sync.held) is None):
        return None
    before = sync.held or {}
    failures = int(before.get("failures", 0))
    over = tx.now + (after or pause(failures))
    told = {"category": category.value, "message": message[:LONGEST_MESSAGE], "until": over.isoformat()}
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


async def rest_connection(
    tx: Transaction, connection_id: int, sync_id: int, error: Disconnected, after: timedelta
) -> None:
    """Let a connection rest for `after`, and with it all of its syncs; where a person is needed, as long as it takes.

    It is told once, by the sync that met it first.
    """
    status, over = (BROKEN, None) if error.category in FOR_PEOPLE else (READY, tx.now + after)
    category, message = error.category.value, error.message[:LONGEST_MESSAGE]
    if await leases.pause(tx, connection_id, status, category, message, over):
        told = {"category": category, "message": message, "until": None if over is None else over.isoformat()}
        tx.happened(Event(EventKind.SYNC_HELD, None, None, sync_id, told))


async def connection_works(tx: Transaction, connection_id: int, sync_id: int, object_type_id: int) -> None:
    """The connection works again, if it rested."""
    if await leases.resume(tx, connection_id):
        tx.happened(Event(EventKind.SYNC_RESUMED, object_type_id, None, sync_id, {}))
