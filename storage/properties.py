"""Properties of object types: written in bulk or one by one; read through the catalogue."""

from collections.abc import Sequence
from dataclasses import dataclass
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
    "parts_state",
    "parts_changed_at",
    "parts_seed",
)

UPDATE = Statement(
    "properties.update",
    """
    UPDATE property AS p
       SET label = $3, group_name = $4, description = $5, required = $6, searchable = $7, options = $8,
           archived_at = $9, index_state = $10, index_changed_at = $11,
           index_last = CASE WHEN p.index_state = $10 THEN p.index_last ELSE 0 END,
           parts_state = $12, parts_changed_at = $13, parts_seed = $14,
           parts_last = CASE WHEN p.parts_state = $12 THEN p.parts_last ELSE 0 END
     WHERE p.account_id = $1 AND p.id = $2
    """,
)


# Properties whose index is being changed, of all accounts; the partial index holds no others.
INDEXING = Statement(
    "properties.indexing",
    """
    SELECT DISTINCT p.account_id FROM property AS p
     WHERE p.index_state <> 'READY' OR (p.parts_state <> 'NONE' AND p.parts_state <> 'READY')
    """,
    spanning="one look for all accounts that have an index to change",
)

# One at a time: whoever changes another one's index goes on with the next. The first two conditions are those of the
# partial index. Of a property that changes both, values come first.
CLAIM = Statement(
    "properties.claim",
    """
    SELECT p.id, due.of_values, CASE WHEN due.of_values THEN p.index_last ELSE p.parts_last END AS last
      FROM property AS p
     CROSS JOIN LATERAL (
           SELECT p.index_state <> 'READY' AND NOT (p.index_state = 'RETIRING' AND p.index_changed_at > $2),
                  p.parts_state <> 'NONE' AND p.parts_state <> 'READY'
                  AND NOT (p.parts_state = 'RETIRING' AND p.parts_changed_at > $2)
           ) AS due(of_values, of_parts)
     WHERE p.account_id = $1
       AND (p.index_state <> 'READY' OR (p.parts_state <> 'NONE' AND p.parts_state <> 'READY'))
       AND (due.of_values OR due.of_parts)
     ORDER BY p.id LIMIT 1
       FOR UPDATE OF p SKIP LOCKED
    """,
)

PROGRESS = Statement(
    "properties.progress",
    """
    UPDATE property AS p
       SET index_last = CASE WHEN $3::bool THEN $4 ELSE p.index_last END,
           parts_last = CASE WHEN $3::bool THEN p.parts_last ELSE $4 END
     WHERE p.account_id = $1 AND p.id = $2
    """,
)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A property of which an index is being changed: that of its values (hashes included), else that of its parts."""

    property_id: int
    of_values: bool
    # How far a walk over the records has come.
    last: int


async def indexing(db: Database) -> list[int]:
    """The accounts in which an index is being changed."""
    return [row[0] for row in await db.spanning(INDEXING)]


async def claim(tx: Transaction, retired_by: datetime) -> Claimed | None:
    """Take a property whose index is being changed; one that has been retiring only since after `retired_by` waits."""
    row = await tx.fetchrow(CLAIM, retired_by)
    return None if row is None else Claimed(*row)


async def progress(tx: Transaction, claimed: Claimed, last: int) -> None:
    """Note how far a walk over the records has come."""
    await tx.execute(PROGRESS, claimed.property_id, claimed.of_values, last)


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
        row.parts_state,
        row.parts_changed_at,
        row.parts_seed,
    )


def _written(row: PropertyRow) -> tuple[Any, ...]:
    return tuple(list(row.options) if name == "options" else getattr(row, name) for name in COLUMNS)
