"""Properties of object types: written in bulk or one by one; read through the catalogue."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from storage.catalogue import PropertyRow
from storage.database import Database, Transaction
from storage.statements import Statement

COLUMNS = (
    "id",
    "object_type_id",
    "name",
    "label",
    "group_name",
    "description",
    "type",
    "field",
    "multiple",
    "is_unique",
    "required",
    "searchable",
    "read_only",
    "calculated",
    "options",
    "created_at",
    "archived_at",
    "index_state",
    "index_changed_at",
)

UPDATE = Statement(
    "properties.update",
    """
    UPDATE property AS p
       SET label = $3, group_name = $4, description = $5, required = $6, searchable = $7, options = $8,
           archived_at = $9, index_state = $10, index_changed_at = $11,
           index_last = CASE WHEN p.index_state = $10 THEN p.index_last ELSE 0 END
     WHERE p.account_id = $1 AND p.id = $2
    """,
)


# Properties whose index is being changed, of all accounts; the partial index holds no others.
INDEXING = Statement(
    "properties.indexing",
    "SELECT DISTINCT p.account_id FROM property AS p WHERE p.index_state <> 'READY'",
    spanning="one look for all accounts that have an index to change",
)

# One at a time: whoever changes another one's index goes on with the next.
CLAIM = Statement(
    "properties.claim",
    """
    SELECT p.id, p.index_last FROM property AS p
     WHERE p.account_id = $1 AND p.index_state <> 'READY'
       AND NOT (p.index_state = 'RETIRING' AND p.index_changed_at > $2)
     ORDER BY p.id LIMIT 1
       FOR UPDATE SKIP LOCKED
    """,
)

PROGRESS = Statement(
    "properties.progress", "UPDATE property AS p SET index_last = $3 WHERE p.account_id = $1 AND p.id = $2"
)


async def indexing(db: Database) -> list[int]:
    """The accounts in which an index is being changed."""
    return [row[0] for row in await db.spanning(INDEXING)]


async def claim(tx: Transaction, retired_by: datetime) -> tuple[int, int] | None:
    """Take a property whose index is being changed: (id, how far its fill has come).

    One that has been retiring only since after `retired_by` waits.
    """
    row = await tx.fetchrow(CLAIM, retired_by)
    return None if row is None else (row[0], row[1])


async def progress(tx: Transaction, property_id: int, last: int) -> None:
    """Note how far a fill has come."""
    await tx.execute(PROGRESS, property_id, last)


async def insert(tx: Transaction, rows: Sequence[PropertyRow]) -> None:
    """Write new properties."""
    await tx.copy("property", COLUMNS, [_written(row) for row in rows])


async def update(tx: Transaction, row: PropertyRow) -> None:
    """Write what may change of a property; a change of its index begins anew."""
    await tx.execute(
        UPDATE,
        row.id,
        row.label,
        row.group_name,
        row.description,
        row.required,
        row.searchable,
        list(row.options),
        row.archived_at,
        row.index_state,
        row.index_changed_at,
    )


def _written(row: PropertyRow) -> tuple[Any, ...]:
    return tuple(list(row.options) if name == "options" else getattr(row, name) for name in COLUMNS)
