"""Records: read in the order asked, locked in id order, written set by set together with their history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.record_rows import RecordRow as RecordRow
from storage.statements import Statement


# Made by the thousand, and never changed: freezing would cost more than reading.
@dataclass(slots=True)
class Written:
    """What changes in one record: {name: new value or None}."""

    id: int
    changed: dict[str, Any]


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """One change of a record's properties. `changed` is {name: new value}, None where it was cleared."""

    version: int
    at: datetime
    changed: dict[str, Any]
    source: str
    source_id: str | None
    user_id: int | None


# The fields of RecordRow, in its order.
COLUMNS = """r.id, r.object_type_id, r.properties, r.created_at, r.updated_at, r.archived_at,
           r.last_association_change_at, r.merged_into_id, r.created_source, r.updated_source, r.version"""

READ = Statement(
    "records.read", f"SELECT {COLUMNS} FROM record AS r WHERE r.account_id = $1 AND r.id = ANY($2::bigint[])"
)

# By primary key.
OBJECT_TYPES = Statement(
    "records.object_types",
    "SELECT r.id, r.object_type_id FROM record AS r WHERE r.account_id = $1 AND r.id = ANY($2::bigint[])",
)

LEADS = Statement(
    "records.leads",
    """
    SELECT r.id, r.merged_into_id FROM record AS r
     WHERE r.account_id = $1 AND r.id = ANY($2::bigint[]) AND r.merged_into_id IS NOT NULL
    """,
)

# In id order, as every writer locks records; sorting comes below the locking in the plan.
LOCK = Statement(
    "records.lock",
    f"""
    SELECT {COLUMNS} FROM record AS r
     WHERE r.account_id = $1 AND r.id = ANY($2::bigint[])
     ORDER BY r.id
       FOR UPDATE
    """,
)

# The same for ids that may be merged away: what is locked, in one order with the others, is the survivor, and
# nothing that was merged. A record that is merged while this waits for it is left out. No join: see UPDATE.
LOCK_SURVIVORS = Statement(
    "records.lock_survivors",
    f"""
    SELECT {COLUMNS} FROM record AS r
     WHERE r.account_id = $1 AND r.merged_into_id IS NULL
       AND r.id = ANY($2::bigint[] || ARRAY(
               SELECT m.merged_into_id FROM record AS m
                WHERE m.account_id = $1 AND m.id = ANY($2::bigint[]) AND m.merged_into_id IS NOT NULL))
     ORDER BY r.id
       FOR UPDATE
    """,
)

# Record and first line of history in one statement: the values travel once.
INSERT = Statement(
    "records.insert",
    """
    WITH given AS (
        SELECT g.id, g.properties FROM unnest($2::bigint[], $3::jsonb[]) AS g(id, properties)
    ), made AS (
        INSERT INTO record (account_id, id, object_type_id, properties, created_at, updated_at,
                            created_source, updated_source, version)
        SELECT $1, given.id, $4, given.properties, $5, $5, $6, $6, 1 FROM given
    )
    INSERT INTO property_history (account_id, record_id, version, at, changed, source, source_id, user_id)
    SELECT $1, given.id, 1, $5, given.properties, $6, $7, $8 FROM given
    """,
)

# $3 is {"id": {name: new value}}, $4 {"id": {name: null}} of what is cleared. A look-up in a document, not a join
# with the arrays: a join's plan hangs on estimates, and ranges from reading the table to comparing all with all.
UPDATE = Statement(
    "records.update",
    """
    WITH written AS (
        UPDATE record AS r
           SET properties = CASE WHEN $4::jsonb ? r.id::text
                                 THEN r.properties - ARRAY(SELECT jsonb_object_keys($4 -> r.id::text))
                                 ELSE r.properties END || ($3::jsonb -> r.id::text),
               version = r.version + 1, updated_at = $5, updated_source = $6
         WHERE r.account_id = $1 AND r.id = ANY($2::bigint[])
        RETURNING r.id, r.version
    )
    INSERT INTO property_history (account_id, record_id, version, at, changed, source, source_id, user_id)
    SELECT $1, written.id, written.version, $5,
           ($3 -> written.id::text) || coalesce($4 -> written.id::text, '{}'), $6, $7, $8
      FROM written
    """,
)

# Null brings a record back.
SET_ARCHIVED = Statement(
    "records.set_archived",
    """
    UPDATE record AS r SET archived_at = $3, updated_at = $4, updated_source = $5
     WHERE r.account_id = $1 AND r.id = ANY($2::bigint[])
    """,
)

SET_MERGED = Statement(
    "records.set_merged",
    """
    UPDATE record AS r
       SET archived_at = coalesce(r.archived_at, $4), merged_into_id = $3, updated_at = $4, updated_source = $5
     WHERE r.account_id = $1 AND r.id = $2
    """,
)

# What had been merged into the record that now goes follows it: an id leads to its survivor in one step.
# Whoever merges holds the lock of the record that these rows point to.
FLATTEN = Statement(
    "records.flatten",
    "UPDATE record AS r SET merged_into_id = $3 WHERE r.account_id = $1 AND r.merged_into_id = $2",
)


async def rows(reader: Queryable, ids: Sequence[int]) -> list[RecordRow | None]:
    """The records with these ids, in the order asked; None where there is none."""
    found = {row["id"]: RecordRow(*row) for row in await reader.fetch(READ, list(ids))}
    return [found.get(record_id) for record_id in ids]


async def object_types(reader: Queryable, ids: Sequence[int]) -> dict[int, int]:
    """The object types of those records that are there, archived and merged ones included; by id."""
    return {row[0]: row[1] for row in await reader.fetch(OBJECT_TYPES, list(ids))}


async def resolve(reader: Queryable, ids: Sequence[int]) -> list[RecordRow | None]:
    """The same, with the survivor in place of a record that was merged away."""
    found = await rows(reader, ids)
    leads = {
        row.id: row.merged_into_id for row in found if row is not None and row.merged_into_id is not None
    }
    if not leads:
        return found
    survivors = dict(zip(leads, await rows(reader, list(leads.values())), strict=True))
    return [row if row is None else survivors.get(row.id, row) for row in found]


async def lock(tx: Transaction, ids: Sequence[int]) -> dict[int, RecordRow]:
    """Lock records as they are, merged ones included; by id."""
    return {row["id"]: RecordRow(*row) for row in await tx.fetch(LOCK, sorted(set(ids)))}


async def lock_survivors(tx: Transaction, ids: Sequence[int]) -> dict[int, RecordRow]:
    """Lock the records that these ids lead to; by the id asked for. Ids that lead nowhere are missing."""
    wanted = sorted(set(ids))
    locked: dict[int, RecordRow] = {}
    leads: dict[int, int] = {}
    while wanted:
        locked |= {row["id"]: RecordRow(*row) for row in await tx.fetch(LOCK_SURVIVORS, wanted)}
        others = sorted(set(ids) - locked.keys())
        if not others:
            break
        leads = {row[0]: row[1] for row in await tx.fetch(LEADS, others)}
        # Merged away by a transaction that we waited for: follow it.
        wanted = sorted(set(leads.values()) - locked.keys())
    return locked | {asked: locked[survivor] for asked, survivor in leads.items()}


async def insert(tx: Transaction, object_type_id: int, given: Sequence[tuple[int, dict[str, Any]]]) -> None:
    """Create records of one object type: (id, properties), with the first line of their history."""
    actor = tx.actor
    await tx.execute(
        INSERT,
        [record_id for record_id, _ in given],
        [properties for _, properties in given],
        object_type_id,
        tx.now,
        actor.source,
        actor.source_id,
        actor.user_id,
    )


async def update(
    tx: Transaction, written: Sequence[Written], *, source: str | None = None, source_id: str | None = None
) -> None:
    """Write what changed in locked records, each record once, with their history; their versions rise by one.

    `source` and `source_id` are the actor's, unless given.
    """
    actor = tx.actor
    await tx.execute(
        UPDATE,
        [one.id for one in written],
        {str(one.id): {name: new for name, new in one.changed.items() if new is not None} for one in written},
        {
            str(one.id): cleared
            for one in written
            if (cleared := {name: None for name, new in one.changed.items() if new is None})
        },
        tx.now,
        source or actor.source,
        source_id if source else actor.source_id,
        actor.user_id,
    )


async def set_archived(tx: Transaction, ids: Sequence[int], at: datetime | None) -> None:
    """Archive locked records at `at`; None restores them."""
    await tx.execute(SET_ARCHIVED, list(ids), at, tx.now, tx.actor.source)


async def set_merged(tx: Transaction, record_id: int, survivor_id: int) -> None:
    """Let one locked record lead to another, and with it whatever had led to it."""
    await tx.execute(FLATTEN, record_id, survivor_id)
    await tx.execute(SET_MERGED, record_id, survivor_id, tx.now, tx.actor.source)
