"""Events of records: written set by set, each key once; read newest first; moved where records merge."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.event_types import BUILT_IN_NAMES
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class RecordEventRow:
    """An event that occurred to a record. `properties` is {property name: stored value}, known values only."""

    id: int
    event_type_id: int
    record_id: int
    occurred_at: datetime
    properties: dict[str, Any]
    source: str
    source_id: str | None
    user_id: int | None
    created_at: datetime
    idempotency_key: str | None


# A caller's key, among those of one event type.
Key = tuple[int, str]

# The fields of RecordEventRow, in its order.
COLUMNS = """e.id, e.event_type_id, e.record_id, e.occurred_at, e.properties, e.source, e.source_id, e.user_id,
           e.created_at, e.idempotency_key"""

# In the order of keys: two batches with the same ones wait for each other, never in a circle. A key that is taken
# leaves its event out; one that a running transaction takes makes this one wait for its end.
INSERT = Statement(
    "record_events.insert",
    """
    INSERT INTO record_event AS e (account_id, id, event_type_id, record_id, occurred_at, properties, source,
                                   source_id, user_id, created_at, idempotency_key)
    SELECT $1, g.id, g.event_type_id, g.record_id, g.occurred_at, g.properties, $8, $9, $10, $11, g.idempotency_key
      FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::jsonb[], $7::text[])
           AS g(id, event_type_id, record_id, occurred_at, properties, idempotency_key)
     ORDER BY g.event_type_id, g.idempotency_key, g.id
    ON CONFLICT (account_id, event_type_id, idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING
    RETURNING e.id
    """,
)

# By the index of keys. Gives more than was asked where several types are asked at once.
KEYED = Statement(
    "record_events.keyed",
    f"""
    SELECT {COLUMNS}
      FROM record_event AS e
     WHERE e.account_id = $1 AND e.event_type_id = ANY($2::bigint[]) AND e.idempotency_key = ANY($3::text[])
    """,
)

BY_IDS = Statement(
    "record_events.by_ids",
    f"SELECT {COLUMNS} FROM record_event AS e WHERE e.account_id = $1 AND e.id = ANY($2::bigint[])",
)

# Whoever merges holds both records, so nothing occurs to either in the meantime.
MOVE = Statement(
    "record_events.move",
    """
    WITH moved AS (
        UPDATE record_event AS e SET record_id = $3
         WHERE e.account_id = $1 AND e.record_id = $2
        RETURNING e.event_type_id
    )
    SELECT DISTINCT m.event_type_id FROM moved AS m ORDER BY m.event_type_id
    """,
)

# For each record and type a range of the index from its newest end, as long as the page; of these the newest. The
# types are few, and an index by time alone would cost every event that is recorded.
PAGES = Statement(
    "record_events.pages",
    f"""
    SELECT p.n, f.*
      FROM unnest($2::bigint[]) WITH ORDINALITY AS p(record_id, n)
     CROSS JOIN LATERAL (
           SELECT e.*
             FROM unnest($3::bigint[]) AS t(event_type_id)
            CROSS JOIN LATERAL (
                  SELECT {COLUMNS}
                    FROM record_event AS e
                   WHERE e.account_id = $1 AND e.record_id = p.record_id AND e.event_type_id = t.event_type_id
                     AND (e.occurred_at, e.id) < ($4::timestamptz, $5::bigint)
                   ORDER BY e.occurred_at DESC, e.id DESC LIMIT $6
                  ) AS e
            ORDER BY e.occurred_at DESC, e.id DESC LIMIT $6
           ) AS f
     ORDER BY p.n, f.occurred_at DESC, f.id DESC
    """,
)

# What filters ask of records' events; properties only where they are looked at. One row more than asked for tells
# that there are too many.
OCCURRED = Statement(
    "record_events.occurred",
    """
    SELECT e.record_id, e.event_type_id, e.id, e.occurred_at,
           CASE WHEN e.event_type_id = ANY($4::bigint[]) THEN e.properties END AS properties
      FROM record_event AS e
     WHERE e.account_id = $1 AND e.record_id = ANY($2::bigint[]) AND e.event_type_id = ANY($3::bigint[])
     LIMIT $5 + 1
    """,
)

# Who must get no mail: by the record's own word, by what was last said of the subscription, by a hard bounce. For each
# record one row from the newest end of an index range, and for bounces, which are few, the range.
MAIL_REFUSED = Statement(
    "record_events.mail_refused",
    """
    SELECT a.id,
           CASE WHEN r.properties -> 'unsubscribed' = 'true'::jsonb THEN 'UNSUBSCRIBED'
                WHEN (SELECT e.properties ->> 'status' FROM record_event AS e
                       WHERE e.account_id = $1 AND e.record_id = r.id AND e.event_type_id = $3
                       ORDER BY e.occurred_at DESC, e.id DESC LIMIT 1) = 'UNSUBSCRIBED' THEN 'UNSUBSCRIBED'
                WHEN EXISTS (SELECT FROM record_event AS e
                              WHERE e.account_id = $1 AND e.record_id = r.id AND e.event_type_id = $4
                                AND e.properties ->> 'kind' = 'HARD') THEN 'BOUNCED'
                WHEN r.archived_at IS NOT NULL THEN 'ARCHIVED'
           END AS reason
      FROM record AS a
      JOIN record AS r ON r.account_id = $1 AND r.id = coalesce(a.merged_into_id, a.id)
     WHERE a.account_id = $1 AND a.id = ANY($2::bigint[])
    """,
)


async def insert(tx: Transaction, rows: Sequence[RecordEventRow]) -> set[int]:
    """Write events of locked records; the ids of those that were written, as their keys were not taken."""
    actor = tx.actor
    written = await tx.fetch(
        INSERT,
        [row.id for row in rows],
        [row.event_type_id for row in rows],
        [row.record_id for row in rows],
        [row.occurred_at for row in rows],
        [row.properties for row in rows],
        [row.idempotency_key for row in rows],
        actor.source,
        actor.source_id,
        actor.user_id,
        tx.now,
    )
    return {row[0] for row in written}


async def keyed(reader: Queryable, keys: Collection[Key]) -> dict[Key, RecordEventRow]:
    """The events that these keys have recorded."""
    if not keys:
        return {}
    types, texts = sorted({key[0] for key in keys}), sorted({key[1] for key in keys})
    found = (RecordEventRow(*row) for row in await reader.fetch(KEYED, types, texts))
    return {(row.event_type_id, row.idempotency_key): row for row in found if row.idempotency_key is not None}


async def by_ids(reader: Queryable, ids: Sequence[int]) -> list[RecordEventRow | None]:
    """Events in the order asked; None where there is none."""
    found = {row["id"]: RecordEventRow(*row) for row in await reader.fetch(BY_IDS, list(ids))}
    return [found.get(one) for one in ids]


async def move(tx: Transaction, merged_id: int, survivor_id: int) -> list[int]:
    """Give the events of one locked record to another; the types that they are of."""
    return [row[0] for row in await tx.fetch(MOVE, merged_id, survivor_id)]


async def pages(
    reader: Queryable,
    ids: Sequence[int],
    *,
    types: Sequence[int],
    before: tuple[datetime, int],
    limit: int,
) -> list[list[RecordEventRow]]:
    """For each record up to `limit` events of these types from before (time, id), newest first."""
    found: list[list[RecordEventRow]] = [[] for _ in ids]
    for n, *row in await reader.fetch(PAGES, list(ids), list(types), *before, limit):
        found[n - 1].append(RecordEventRow(*row))
    return found


async def occurred(
    reader: Queryable, ids: Collection[int], asked: Mapping[int, bool], limit: int
) -> list[Any] | None:
    """(record, event type, id, time, properties or None) of what occurred; None: there is more than `limit`.

    `asked`: the event types, and whether their properties are looked at.
    """
    whole = [one for one, properties in asked.items() if properties]
    rows = await reader.fetch(OCCURRED, list(ids), list(asked), whole, limit)
    return None if len(rows) > limit else rows


async def mail_refused(reader: Queryable, ids: Sequence[int]) -> dict[int, str]:
    """{record: UNSUBSCRIBED or BOUNCED} of those that must get no mail."""
    rows = await reader.fetch(
        MAIL_REFUSED,
        list(ids),
        BUILT_IN_NAMES["email_subscription_changed"].id,
        BUILT_IN_NAMES["email_bounced"].id,
    )
    return {row["id"]: row["reason"] for row in rows if row["reason"] is not None}
