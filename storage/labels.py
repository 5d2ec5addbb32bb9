"""Labels: what may change of an association type, and the timeline of its changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.catalogue import AssociationTypeRow
from storage.database import Queryable, Transaction
from storage.statements import Statement

UPDATE = Statement(
    "labels.update",
    """
    UPDATE association_type AS t SET label = $3, max_count = $4, exclusivity_group = $5
     WHERE t.account_id = $1 AND t.id = $2
    """,
)

INSERT_HISTORY = Statement(
    "labels.insert_history",
    """
    INSERT INTO label_history (account_id, pair_id, id, type_id, at, source, source_id, user_id, kind, changed)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    """,
)

HISTORY = Statement(
    "labels.history",
    """
    SELECT h.pair_id, h.type_id, h.at, h.source, h.source_id, h.user_id, h.kind, h.changed
      FROM label_history AS h
     WHERE h.account_id = $1 AND h.pair_id = ANY($2::bigint[])
     ORDER BY h.pair_id, h.id
    """,
)

DELETE = Statement(
    "labels.delete", "DELETE FROM association_type AS t WHERE t.account_id = $1 AND t.id = ANY($2::bigint[])"
)

# The counters of a deleted label are all at zero; what they tell, that there was one once, nobody can ask any more.
DELETE_COUNTS = Statement(
    "labels.delete_counts",
    "DELETE FROM association_count AS c WHERE c.account_id = $1 AND c.type_id = ANY($2::bigint[])",
)

# Whoever looks back may meet labels that are no more. Their last line of history says what they were; an account
# has few histories of labels, so all of them are read.
DELETED = Statement(
    "labels.deleted",
    """
    SELECT h.pair_id, h.type_id, h.changed
      FROM label_history AS h
     WHERE h.account_id = $1 AND h.kind = 'DELETED'
       AND (h.type_id = ANY($2::bigint[])
            OR (h.changed -> 'inverseTypeId' ->> 0)::bigint = ANY($2::bigint[]))
    """,
)


@dataclass(frozen=True, slots=True)
class LabelChange:
    """One change of a label. `changed` is {field: [old, new]}, told from the type `type_id`."""

    type_id: int
    at: datetime
    # What kind of thing did it (API, IMPORT …), which of its kind, and for whom.
    source: str
    source_id: str | None
    user_id: int | None
    # CREATED, UPDATED, REPLACED or DELETED.
    kind: str
    changed: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Deleted:
    """One direction of a label that is no more, in its last words."""

    id: int
    pair_id: int
    name: str
    label: str
    # System labels are never deleted.
    category: str = "USER_DEFINED"


async def update(tx: Transaction, row: AssociationTypeRow) -> None:
    """Write what may change of one direction: its text, limit and exclusivity group."""
    await tx.execute(UPDATE, row.id, row.label, row.max_count, row.exclusivity_group)


async def delete(tx: Transaction, type_ids: Sequence[int]) -> None:
    """Remove both directions of a label, and its counters; nothing may use it any more."""
    await tx.execute(DELETE, type_ids)
    await tx.execute(DELETE_COUNTS, type_ids)


async def tell(tx: Transaction, pair_id: int, type_id: int, kind: str, changed: Mapping[str, Any]) -> None:
    """Append to a label's history. Call after `redefine`: the catalogue's version is the line's number."""
    await tx.execute(
        INSERT_HISTORY,
        pair_id,
        # Only one transaction at a time changes definitions, so versions rise as changes commit.
        tx.catalogue.version,
        type_id,
        tx.now,
        tx.actor.source,
        tx.actor.source_id,
        tx.actor.user_id,
        kind,
        dict(changed),
    )


async def histories(reader: Queryable, pair_ids: Sequence[int]) -> list[list[LabelChange]]:
    """The changes of each label, oldest first, in the order asked."""
    found: dict[int, list[LabelChange]] = {pair_id: [] for pair_id in pair_ids}
    for row in await reader.fetch(HISTORY, list(found)):
        found[row[0]].append(LabelChange(*row[1:]))
    return [found[pair_id] for pair_id in pair_ids]


async def deleted(reader: Queryable, type_ids: Sequence[int]) -> list[Deleted | None]:
    """Labels that are no more, in the order asked; None where there never was one, or still is."""
    found: dict[int, Deleted] = {}
    for pair_id, type_id, changed in await reader.fetch(DELETED, list(type_ids)):
        for ident, name, label in (
            (type_id, "name", "label"),
            (changed["inverseTypeId"][0], "inverseName", "inverseLabel"),
        ):
            found.setdefault(ident, Deleted(ident, pair_id, changed[name][0], changed[label][0]))
    return [found.get(type_id) for type_id in type_ids]
