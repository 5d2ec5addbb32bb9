"""Making a property searchable, online: its new index is filled, then the old one retires and is emptied. And back.

Likewise the parts of its texts: filled, then read; or given up, then emptied.

Each step is a short transaction that shares the definitions with writers; only the moments in which the state changes
take them alone. Whatever happens to the process, the state and how far a fill has come are in the tables.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from storage import properties, property_keys, property_parts, property_values, statistics
from storage.catalogue import PropertyRow
from storage.database import Actor, Database, Transaction
from storage.properties import Claimed

INDEXER = Actor("INDEXER")
# Records of one transaction: bounds how long their writers wait.
CHUNK = 2_000
# Who planned by the old index has ended by then, at the latest.
GRACE = timedelta(minutes=2)


async def due_accounts(db: Database) -> list[int]:
    """The accounts in which an index is being changed."""
    return await properties.indexing(db)


async def run_once(db: Database, account_id: int, *, now: datetime) -> bool:
    """Do a little for one property of the account; whether there is more to do at once."""
    async with db.transaction(account_id, now=now, actor=INDEXER) as tx:
        claimed = await properties.claim(tx, now - GRACE)
        if claimed is None:
            return False
        row = _row(tx, claimed.property_id)
        match row.index_state if claimed.of_values else row.parts_state:
            case "FILLING":
                done = await _fill(tx, row, claimed)
            case "RETIRING":
                done = True
            case _ if claimed.of_values:
                done = await _clear(tx, row)
            case _:
                done = await _walked(tx, claimed, await property_parts.clear(tx, row, claimed.last, CHUNK))
    if done:
        if not claimed.of_values and row.parts_state == "FILLING":
            await statistics.cut(db)
        await _advance(db, account_id, row, claimed, now)
    return True


async def run_all(db: Database, account_id: int, *, now: datetime) -> None:
    """Work until nothing is left that need not wait."""
    while await run_once(db, account_id, now=now):
        pass


async def _fill(tx: Transaction, row: PropertyRow, claimed: Claimed) -> bool:
    """The next chunk of the new index; whether it was the last one."""
    filling = property_values.fill if row.searchable else property_keys.fill
    if not claimed.of_values:
        filling = property_parts.fill
    return await _walked(tx, claimed, await filling(tx, row, claimed.last, CHUNK))


async def _walked(tx: Transaction, claimed: Claimed, page: tuple[int, int]) -> bool:
    """Note the page of records that was gone over (its last one's id, their number); whether it was the last one."""
    last, seen = page
    await properties.progress(tx, claimed, last)
    return seen < CHUNK


async def _clear(tx: Transaction, row: PropertyRow) -> bool:
    """The next chunk of what nobody reads any more; whether it was the last one."""
    gone = 0
    if row.archived_at is not None or row.searchable:
        gone += await property_keys.clear(tx, row, CHUNK)
    if row.archived_at is not None or not row.searchable:
        gone += await property_values.clear(tx, row, CHUNK)
    return gone == 0


NEXT = {"FILLING": "RETIRING", "RETIRING": "CLEARING", "CLEARING": "READY"}
NEXT_OF_PARTS = {"FILLING": "READY", "RETIRING": "CLEARING", "CLEARING": "NONE"}


async def _advance(db: Database, account_id: int, seen: PropertyRow, claimed: Claimed, now: datetime) -> None:
    """Go over to the next state, unless somebody else has meanwhile, or has archived the property."""
    async with db.transaction(account_id, now=now, actor=INDEXER, defining=True) as tx:
        await tx.redefine()
        row = _row(tx, seen.id)
        if _stands(row, claimed) != _stands(seen, claimed):
            return
        if claimed.of_values:
            row = replace(row, index_state=NEXT[row.index_state], index_changed_at=now)
        else:
            row = replace(row, parts_state=NEXT_OF_PARTS[row.parts_state], parts_changed_at=now)
        await properties.update(tx, row)


def _stands(row: PropertyRow, claimed: Claimed) -> tuple[str, datetime | None]:
    return row.index_state if claimed.of_values else row.parts_state, row.archived_at


def _row(tx: Transaction, property_id: int) -> PropertyRow:
    return next(
        row
        for object_type in tx.catalogue.object_types.values()
        for row in object_type.properties.values()
        if row.id == property_id
    )
