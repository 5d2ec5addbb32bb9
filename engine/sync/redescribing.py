"""What an app tells of its objects, asked again by itself: now and then, and when a field or an option is refused.

What is gone is left out by the syncs that mapped it, and told (see `binding`); all else goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from engine.sync import remote, resting
from engine.sync.categories import Category
from engine.sync.connectors.protocol import RemoteObject
from storage.database import Transaction
from storage.sync import connections, syncs

# How often it is asked at least; and how often at most, whatever it refuses.
SELDOM, OFTEN = timedelta(days=1), timedelta(minutes=1)
# It may be that something is not there any more.
TELLING = frozenset({Category.PROPERTY_NOT_FOUND, Category.OPTION_NOT_FOUND, Category.PROPERTY_READ_ONLY})


def due(described_at: datetime | None, now: datetime, *, doubted: bool) -> bool:
    """Whether an app is asked again. `doubted`: something was refused, by it or by what it had told of itself."""
    if described_at is None:
        return True
    return now - described_at >= (OFTEN if doubted else SELDOM)


def doubted(held: Mapping[str, Any] | None) -> bool:
    """Whether a sync rests since something is not there any more."""
    return resting.until(held) is not None and (held or {}).get("category") in TELLING


def together(before: Sequence[RemoteObject], told: Sequence[RemoteObject]) -> list[RemoteObject]:
    """What is kept of both: as it is told now, but no object goes, and no field of those that are only seen in items.

    An object may be missing since a right is; a field that no item has now may come back with the next one.
    """
    known = {one.name: one for one in before}
    found = [_with_known(known.get(one.name), one) for one in told]
    names = {one.name for one in told}
    return [*found, *(one for one in before if one.name not in names)]


def _with_known(before: RemoteObject | None, told: RemoteObject) -> RemoteObject:
    if before is None or not told.sampled:
        return told
    fields = {one.name: one for one in (*told.fields, *before.fields)}
    roles = {one.name: one for one in (*told.roles, *before.roles)}
    return replace(
        told,
        fields=tuple(fields.values()),
        roles=tuple(roles.values()),
        found_by=told.found_by | before.found_by,
    )


async def keep(tx: Transaction, connection_id: int, told: Sequence[RemoteObject]) -> bool:
    """Keep what an app tells now; whether it is something else. Then its syncs begin anew, and try what has failed."""
    await syncs.lock_of(tx, connection_id)
    held = await connections.lock(tx, connection_id)
    if held is None:
        return False
    objects = remote.to_json(together(remote.from_json(held.objects), told))
    await connections.redescribe(tx, connection_id, objects)
    if objects == held.objects:
        return False
    await syncs.rebind(tx, connection_id)
    await syncs.try_again(tx, connection_id)
    tx.news = True
    return True
