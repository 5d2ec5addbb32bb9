"""Properties of object types: written in bulk or one by one; read through the catalogue."""

from collections.abc import Sequence
from typing import Any

from storage.catalogue import PropertyRow
from storage.database import Transaction
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
)

UPDATE = Statement(
    "properties.update",
    """
    UPDATE property AS p
       SET label = $3, group_name = $4, description = $5, required = $6, searchable = $7, options = $8,
           archived_at = $9
     WHERE p.account_id = $1 AND p.id = $2
    """,
)


async def insert(tx: Transaction, rows: Sequence[PropertyRow]) -> None:
    """Write new properties."""
    await tx.copy("property", COLUMNS, [_written(row) for row in rows])


async def update(tx: Transaction, row: PropertyRow) -> None:
    """Write what may change of a property."""
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
    )


def _written(row: PropertyRow) -> tuple[Any, ...]:
    return tuple(list(row.options) if name == "options" else getattr(row, name) for name in COLUMNS)
