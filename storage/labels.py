"""Labels: what may change of an association type, and the timeline of its changes."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement

UPDATE = Statement(
    "labels.update",
    """
    UPDATE association_type AS t SET label = $3, max_count = $4
     WHERE t.account_id = $1 AND t.id = $2
    """,
)

INSERT_HISTORY = Statement(
    "labels.insert_history",
    """
    INSERT INTO label_history (account_id, pair_id, id, type_id, at, user_id, kind, changed)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    """,
)

HISTORY = Statement(
    "labels.history",
    """
    SELECT h.type_id, h.at, h.user_id, h.kind, h.changed
      FROM label_history AS h
     WHERE h.account_id = $1 AND h.pair_id = $2
     ORDER BY h.id
    """,
)


@dataclass(frozen=True, slots=True)
class LabelChange:
    """One change of a label. `changed` is {field: [old, new]}, told from the type `type_id`."""

    type_id: int
    at: datetime
    user_id: int | None
    # CREATED, UPDATED or DELETED.
    kind: str
    changed: dict[str, Any]


async def update(tx: Transaction, type_id: int, label: str | None, max_count: int | None) -> None:
    """Write text and limit of one direction."""
    await tx.execute(UPDATE, type_id, label, max_count)


async def tell(tx: Transaction, pair_id: int, change: LabelChange) -> None:
    """Append to a label's history. Call after `redefine`: the catalogue's version is the line's number."""
    await tx.execute(
        INSERT_HISTORY,
        pair_id,
        # Only one transaction at a time changes definitions, so versions rise as changes commit.
        tx.catalogue.version,
        change.type_id,
        change.at,
        change.user_id,
        change.kind,
        change.changed,
    )


async def history(reader: Queryable, pair_id: int) -> list[LabelChange]:
    """A label's changes, oldest first."""
    return [LabelChange(*row) for row in await reader.fetch(HISTORY, pair_id)]
