"""Association types: written in bulk; read through the catalogue."""

from collections.abc import Sequence

from storage.catalogue import AssociationTypeRow
from storage.database import Transaction

COLUMNS = (
    "id",
    "from_object_type_id",
    "to_object_type_id",
    "inverse_id",
    "pair_id",
    "name",
    "label",
    "category",
    "max_count",
    "exclusivity_group",
    "created_at",
    "created_by",
)


async def insert(tx: Transaction, rows: Sequence[AssociationTypeRow]) -> None:
    """Write new association types, both directions of each."""
    await tx.copy(
        "association_type", COLUMNS, [tuple(getattr(row, name) for name in COLUMNS) for row in rows]
    )
