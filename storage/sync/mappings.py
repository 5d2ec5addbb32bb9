"""Mappings of syncs: which property holds the same as which field."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class MappingRow:
    """A mapping: see `storage.tables.sync.SyncMapping`. `policy` None: the sync's."""

    id: int
    sync_id: int
    property_id: int
    field: str
    direction: str
    policy: str | None
    options: dict[str, str]
    enabled: bool
    custom: bool


@dataclass(frozen=True, slots=True)
class MappingUse:
    """A sync that maps a property: whose connection is called so, and to which field."""

    property_id: int
    sync_id: int
    connection: str
    remote_object: str
    field: str
    # Where it stands among the sync's mappings, as they are told.
    place: int

    @property
    def name(self) -> str:
        """What people call the sync: its connection, and the object there."""
        return f"{self.connection}: {self.remote_object}"


# The fields of MappingRow, in its order.
COLUMNS = "m.id, m.sync_id, m.property_id, m.field, m.direction, m.policy, m.options, m.enabled, m.custom"

# In the order in which they were made.
OF_SYNCS = Statement(
    "sync_mappings.of_syncs",
    f"""
    SELECT {COLUMNS} FROM sync_mapping AS m
     WHERE m.account_id = $1 AND m.sync_id = ANY($2::bigint[]) ORDER BY m.sync_id, m.id
    """,
)

INSERT = Statement(
    "sync_mappings.insert",
    """
    INSERT INTO sync_mapping (account_id, id, sync_id, property_id, field, direction, policy, options, enabled, custom)
    SELECT $1, m.id, $2, m.property_id, m.field, m.direction, m.policy, m.options, m.enabled, m.custom
      FROM unnest($3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::boolean[],
                  $10::boolean[])
        AS m(id, property_id, field, direction, policy, options, enabled, custom)
    """,
)

UPDATE = Statement(
    "sync_mappings.update",
    """
    UPDATE sync_mapping AS m
       SET direction = n.direction, policy = n.policy, options = n.options, enabled = n.enabled, custom = n.custom
      FROM unnest($2::bigint[], $3::text[], $4::text[], $5::jsonb[], $6::boolean[], $7::boolean[])
        AS n(id, direction, policy, options, enabled, custom)
     WHERE m.account_id = $1 AND m.id = n.id
    """,
)

DELETE = Statement(
    "sync_mappings.delete",
    "DELETE FROM sync_mapping AS m WHERE m.account_id = $1 AND m.id = ANY($2::bigint[])",
)

# Nobody answers what was asked about a mapping that is gone.
FORGET_CONFLICTS = Statement(
    "sync_mappings.forget_conflicts",
    """
    DELETE FROM sync_conflict AS c
     WHERE c.account_id = $1 AND c.sync_id = $2 AND c.mapping_id = ANY($3::bigint[])
    """,
)

# What a field was agreed to hold with one property says nothing about another: only links that know it are written.
FORGET_BASES = Statement(
    "sync_mappings.forget_bases",
    """
    UPDATE sync_link AS l SET base_theirs = l.base_theirs - $3::text[]
     WHERE l.account_id = $1 AND l.sync_id = $2 AND l.base_theirs ?| $3::text[]
    """,
)

# By the index on properties.
USES = Statement(
    "sync_mappings.uses",
    """
    SELECT m.property_id, m.sync_id, c.name AS connection, s.remote_object, m.field,
           (SELECT count(*) FROM sync_mapping AS b
             WHERE b.account_id = $1 AND b.sync_id = m.sync_id AND b.id < m.id) AS place
      FROM sync_mapping AS m
      JOIN sync AS s ON s.account_id = $1 AND s.id = m.sync_id
      JOIN connection AS c ON c.account_id = $1 AND c.id = s.connection_id
     WHERE m.account_id = $1 AND m.property_id = ANY($2::bigint[])
     ORDER BY m.sync_id, m.id
    """,
)


async def of_syncs(reader: Queryable, sync_ids: Sequence[int]) -> dict[int, list[MappingRow]]:
    """The mappings of each of these syncs, those that are switched off included, in the order they were made."""
    found: dict[int, list[MappingRow]] = {one: [] for one in sync_ids}
    for row in await reader.fetch(OF_SYNCS, list(found)):
        found[row["sync_id"]].append(MappingRow(*row))
    return found


async def insert(tx: Transaction, sync_id: int, rows: Sequence[MappingRow]) -> None:
    """Write new mappings of a sync that is held."""
    if rows:
        await tx.execute(
            INSERT,
            sync_id,
            *_columns(
                rows, "id", "property_id", "field", "direction", "policy", "options", "enabled", "custom"
            ),
        )


async def update(tx: Transaction, rows: Sequence[MappingRow]) -> None:
    """Write what may change of mappings."""
    if rows:
        await tx.execute(UPDATE, *_columns(rows, "id", "direction", "policy", "options", "enabled", "custom"))


async def delete(tx: Transaction, sync_id: int, ids: Collection[int]) -> None:
    """Forget mappings of a sync that is held, and what people were asked about them."""
    if ids:
        await tx.execute(FORGET_CONFLICTS, sync_id, list(ids))
        await tx.execute(DELETE, list(ids))


async def forget_bases(tx: Transaction, sync_id: int, fields: Collection[str]) -> None:
    """Let what was agreed on for these fields be as if nothing had been agreed on."""
    if fields:
        await tx.execute(FORGET_BASES, sync_id, sorted(fields))


async def uses(reader: Queryable, property_ids: Collection[int]) -> list[MappingUse]:
    """Every mapping of these properties."""
    return [MappingUse(*row) for row in await reader.fetch(USES, list(property_ids))]


def _columns(rows: Sequence[MappingRow], *names: str) -> list[list[Any]]:
    return [[getattr(row, name) for row in rows] for name in names]
