"""The outbox: what is to be sent is put in once, shown, sent again, recalled. Senders: see storage.outbox_sending."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.places import held, places_of
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What is to be sent: `kind` is EMAIL or WEBHOOK; see the table for the others. Made by `engine.outbox`."""

    key: str
    kind: str
    host: str
    request: dict[str, Any]
    enrollment_id: int | None = None
    step: int | None = None
    workflow_id: int | None = None
    record_id: int | None = None


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """What is, or was, to be sent, and how it went. `request` is without its secret."""

    id: int
    key: str
    kind: str
    status: str
    request: dict[str, Any]
    enrollment_id: int | None
    step: int | None
    workflow_id: int | None
    record_id: int | None
    attempts: int
    next_attempt_at: datetime | None
    outcome: dict[str, Any] | None
    created_at: datetime
    finished_at: datetime | None


# The fields of OutboxRow.
COLUMNS = """
           o.id, o.key, o.kind, o.status, o.request - 'secret' AS request, o.enrollment_id, o.step, o.workflow_id,
           o.record_id, o.attempts, o.next_attempt_at, o.outcome, o.created_at, o.finished_at
"""

# In the order of keys, so that two who put in the same cannot deadlock.
PUT = Statement(
    "outbox.put",
    """
    INSERT INTO outbox (account_id, id, key, kind, host, status, request, enrollment_id, step, workflow_id,
                        record_id, attempts, next_attempt_at, recalled, created_at)
    SELECT $1, n.id, n.key, n.kind, n.host, 'PENDING', n.request, n.enrollment_id, n.step, n.workflow_id,
           n.record_id, 0, $2, false, $2
      FROM unnest($3::bigint[], $4::text[], $5::text[], $6::text[], $7::jsonb[], $8::bigint[], $9::int[],
                  $10::bigint[], $11::bigint[])
           AS n(id, key, kind, host, request, enrollment_id, step, workflow_id, record_id)
     ORDER BY n.key
    ON CONFLICT (account_id, key) DO NOTHING
    RETURNING id, key
    """,
)

# A probe for each key, whatever the planner believes of the table.
BY_KEYS = Statement(
    "outbox.by_keys",
    """
    SELECT o.id, o.key
      FROM unnest($2::text[]) AS k(key)
     CROSS JOIN LATERAL (
           SELECT o.id, o.key FROM outbox AS o WHERE o.account_id = $1 AND o.key = k.key LIMIT 1
           ) AS o
    """,
)


# A range of the index for each pair, whatever the planner believes of the table.
OF_ENROLLMENT = Statement(
    "outbox.of_enrollment",
    f"""
    SELECT k.n, o.*
      FROM unnest($2::bigint[], $3::int[]) WITH ORDINALITY AS k(enrollment_id, step, n)
     CROSS JOIN LATERAL (
           SELECT {COLUMNS} FROM outbox AS o
            WHERE o.account_id = $1 AND o.enrollment_id = k.enrollment_id AND o.step = k.step
            ORDER BY o.id OFFSET 0
           ) AS o
     ORDER BY k.n, o.id
    """,
)

RETRY = Statement(
    "outbox.retry",
    f"""
    UPDATE outbox AS o
       SET status = 'PENDING', attempts = 0, next_attempt_at = $3, finished_at = NULL, recalled = false
      FROM {places_of("outbox")}
     WHERE o.account_id = $1 AND o.ctid = p.place
       AND o.status IN ('FAILED', 'UNKNOWN', 'CANCELLED')
    RETURNING o.id
    """,
)

# What a sender has is told that it is not wanted again; the rest ends here. By id, not by place: what a sender takes at
# this moment lies elsewhere when it was waited for, and must be told all the same.
_WAITING = held(
    """ARRAY(SELECT g.id
               FROM unnest($2::bigint[]) AS n(id)
              CROSS JOIN LATERAL (SELECT g.id FROM outbox AS g
                                   WHERE g.account_id = $1 AND g.enrollment_id = n.id
                                     AND g.next_attempt_at IS NOT NULL
                                  OFFSET 0) AS g)"""
)
CANCEL = Statement(
    "outbox.cancel",
    f"""
    UPDATE outbox AS o
       SET recalled = true,
           status = CASE WHEN o.status = 'PENDING' THEN 'CANCELLED' ELSE o.status END,
           next_attempt_at = CASE WHEN o.status <> 'PENDING' THEN o.next_attempt_at END,
           finished_at = CASE WHEN o.status = 'PENDING' THEN $3::timestamptz END
      FROM {_WAITING}
     WHERE o.account_id = $1 AND o.id = h.id
       AND o.next_attempt_at IS NOT NULL
    """,
)


async def put(tx: Transaction, rows: Sequence[Outgoing]) -> list[int]:
    """Ask for these to be sent; their ids, in the order asked. A key that is there already is left as it is."""
    if not rows:
        return []
    made = await tx.fetch(
        PUT,
        tx.now,
        list(await tx.new_ids(len(rows))),
        [row.key for row in rows],
        [row.kind for row in rows],
        [row.host for row in rows],
        [row.request for row in rows],
        [row.enrollment_id for row in rows],
        [row.step for row in rows],
        [row.workflow_id for row in rows],
        [row.record_id for row in rows],
    )
    ids = {row["key"]: row["id"] for row in made}
    if missing := sorted({row.key for row in rows} - ids.keys()):
        # A new statement: it sees what those committed for whom the insertion has waited.
        ids |= {row["key"]: row["id"] for row in await tx.fetch(BY_KEYS, missing)}
    return [ids[row.key] for row in rows]


async def of_enrollment(reader: Queryable, steps: Sequence[tuple[int, int]]) -> list[list[OutboxRow]]:
    """What each (enrollment, number of the line of history) has asked for, in the order asked."""
    rows = await reader.fetch(OF_ENROLLMENT, [step[0] for step in steps], [step[1] for step in steps])
    found: list[list[OutboxRow]] = [[] for _ in steps]
    for row in rows:
        values = dict(row)
        found[values.pop("n") - 1].append(OutboxRow(**values))
    return found


async def retry(tx: Transaction, ids: Sequence[int], now: datetime) -> list[int]:
    """Send again, with all attempts anew, what came to an end without being delivered; the ids of those."""
    return [row["id"] for row in await tx.fetch(RETRY, sorted(ids), now)]


async def cancel(tx: Transaction, enrollment_ids: Sequence[int]) -> None:
    """Send nothing more for these enrollments, which the caller holds. What is under way is not tried again."""
    if enrollment_ids:
        await tx.execute(CANCEL, sorted(enrollment_ids), tx.now)
