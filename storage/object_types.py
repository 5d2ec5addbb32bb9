"""Object types: written in bulk when an account begins, one by one afterwards; read through the catalogue."""

from collections.abc import Sequence

from storage.catalogue import ObjectTypeRow
from storage.database import Transaction
from storage.statements import Statement

COLUMNS = (
    "id",
    "name",
    "singular",
    "plural",
    "description",
    "category",
    "active",
    "primary_display_property",
    "created_at",
)

UPDATE = Statement(
    "object_types.update",
    """
    UPDATE object_type AS o
       SET singular = $3, plural = $4, description = $5, active = $6, primary_display_property = $7
     WHERE o.account_id = $1 AND o.id = $2
    """,
)


async def insert(tx: Transaction, rows: Sequence[ObjectTypeRow]) -> None:
    """Write new object types; their properties are written by `storage.properties`."""
    await tx.copy("object_type", COLUMNS, [tuple(getattr(row, name) for name in COLUMNS) for row in rows])


async def update(tx: Transaction, row: ObjectTypeRow) -> None:
    """Write what may change of an object type."""
    await tx.execute(
        UPDATE, row.id, row.singular, row.plural, row.description, row.active, row.primary_display_property
    )
