"""What is kept for a time only, taken away in bounded lots, each a transaction of its own.

Most of it is found along the primary key: ids rise with time, near enough, so what is old stands at the beginning, and
no index has to be paid for with every row that is written. A look goes from the beginning, lot by lot, passing over
what is old and stays, until a lot has nothing old in it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Database, Queryable, Single, Transaction
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class Chosen:
    """What an account has chosen."""

    account_id: int
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Forgotten:
    """An event that was taken away: whose it was, of which object type, and of which kind."""

    record_id: int
    object_type_id: int
    event_type_id: int


ACCOUNTS = Statement(
    "retention.accounts",
    "SELECT a.account_id, a.settings FROM account AS a ORDER BY a.account_id",
    spanning="a duty of the whole installation, once an hour; each account is then worked off by itself",
)

# From the beginning of the log up to the first event that is to stay, so that what is left has no gap: times do not
# rise quite as numbers do. Along the key; a lot at a time.
EVENTS = Statement(
    "retention.events",
    """
    WITH oldest AS MATERIALIZED (
        SELECT e.seq, e.at FROM event_log AS e WHERE e.account_id = $1 ORDER BY e.seq LIMIT $3
    ), kept AS MATERIALIZED (
        SELECT min(o.seq) AS seq FROM oldest AS o WHERE o.at >= $2
    )
    DELETE FROM event_log AS e
     WHERE e.account_id = $1
       AND e.seq <= (SELECT max(o.seq) FROM oldest AS o
                      WHERE o.seq < (SELECT coalesce(k.seq, o.seq + 1) FROM kept AS k))
    """,
)

# Along an index by age.
KEYS = Statement(
    "retention.keys",
    """
    DELETE FROM idempotency_key AS k
     WHERE k.account_id = $1
       AND k.key = ANY(ARRAY(SELECT o.key FROM idempotency_key AS o
                              WHERE o.account_id = $1 AND o.created_at < $2
                              ORDER BY o.created_at LIMIT $3))
    """,
)

# The next lot behind $4 along the key. Answers where it ends: nothing, where there is nothing old in it.
_LOT = """
    WITH lot AS MATERIALIZED (
        SELECT t.id, t.{at} < $2 AS old FROM {table} AS t
         WHERE t.account_id = $1 AND t.id > $4 ORDER BY t.id LIMIT $3
    ), gone AS (
        DELETE FROM {table} AS t
         WHERE t.account_id = $1 AND t.id = ANY(ARRAY(SELECT l.id FROM lot AS l WHERE l.old)) {stays}
    )
    SELECT max(l.id) FROM lot AS l HAVING count(*) = $3 AND bool_or(l.old)
"""

DELIVERIES = Statement(
    "retention.deliveries", _LOT.format(table="webhook_delivery", at="received_at", stays="")
)

ATTEMPTS = Statement("retention.attempts", _LOT.format(table="sync_attempt", at="at", stays=""))

# What came to an end, and nobody comes back to: an enrollment that is under way reads what became of its step, and one
# that has failed may be taken up again, when what did arrive must not be sent anew. A probe of the key for each.
OUTBOX = Statement(
    "retention.outbox",
    _LOT.format(
        table="outbox",
        at="created_at",
        stays="""AND t.finished_at < $2
           AND NOT EXISTS (SELECT FROM enrollment AS e
                            WHERE e.account_id = $1 AND e.id = t.enrollment_id
                              AND e.status IN ('ACTIVE', 'FAILED'))""",
    ),
)

# The same, told one by one: whoever asks for events of these records is to look again. What says whether a record may
# be written to ($5) stays.
RECORD_EVENTS = Statement(
    "retention.record_events",
    """
    WITH lot AS MATERIALIZED (
        SELECT t.id, t.created_at < $2 AS old FROM record_event AS t
         WHERE t.account_id = $1 AND t.id > $4 ORDER BY t.id LIMIT $3
    ), gone AS (
        DELETE FROM record_event AS t
         WHERE t.account_id = $1 AND t.id = ANY(ARRAY(SELECT l.id FROM lot AS l WHERE l.old))
           AND t.event_type_id <> ALL($5::bigint[])
        RETURNING t.record_id, t.event_type_id
    )
    SELECT NULL AS last, g.record_id, g.event_type_id,
           (SELECT r.object_type_id FROM record AS r WHERE r.account_id = $1 AND r.id = g.record_id) AS object_type_id
      FROM (SELECT DISTINCT g.record_id, g.event_type_id FROM gone AS g) AS g
    UNION ALL
    SELECT max(l.id), NULL, NULL, NULL FROM lot AS l HAVING count(*) = $3 AND bool_or(l.old)
    """,
)

# Imports are few; of each the range of its errors. Those that are gone already cost a probe.
IMPORT_ERRORS = Statement(
    "retention.import_errors",
    """
    DELETE FROM import_row_error AS e
     WHERE e.account_id = $1
       AND (e.import_id, e.row, e.n) IN (
           SELECT o.import_id, o.row, o.n
             FROM import AS i
            CROSS JOIN LATERAL (SELECT e.import_id, e.row, e.n FROM import_row_error AS e
                                 WHERE e.account_id = $1 AND e.import_id = i.id LIMIT $3) AS o
            WHERE i.account_id = $1 AND i.ended_at < $2 AND i.errors > 0
              AND i.status IN ('DONE', 'FAILED', 'CANCELLED', 'UNDONE')
            LIMIT $3)
    """,
)

# Along the partial index of imports with a file. One that runs, or was paused by somebody, is nobody's to end.
UNSTARTED = Statement(
    "retention.unstarted",
    """
    SELECT i.id FROM import AS i
     WHERE i.account_id = $1 AND i.chunks > 0 AND i.status IN ('CREATED', 'UPLOADED', 'CHECKED')
       AND i.started_at < $2
     ORDER BY i.id LIMIT $3
    """,
)

# Few: a sync has one, and the next one takes its place. Whoever applies one holds it.
PLANS = Statement(
    "retention.plans",
    """
    SELECT p.id FROM sync_plan AS p
     WHERE p.account_id = $1 AND p.state IN ('READY', 'APPLIED', 'FAILED')
       AND coalesce(p.applied_at, p.ready_at, p.made_at) < $2
     ORDER BY p.id
       FOR UPDATE SKIP LOCKED
    """,
)
PLAN_ITEMS = Statement(
    "retention.plan_items",
    """
    DELETE FROM sync_plan_item AS i
     WHERE i.account_id = $1
       AND (i.plan_id, i.id) IN (SELECT o.plan_id, o.id FROM sync_plan_item AS o
                                  WHERE o.account_id = $1 AND o.plan_id = ANY($2::bigint[]) LIMIT $3)
    """,
)
DROP_PLANS = Statement(
    "retention.drop_plans",
    "DELETE FROM sync_plan AS p WHERE p.account_id = $1 AND p.id = ANY($2::bigint[])",
)

# What is left of deleted workflows: a range of the index of each one's enrollments. The workflow itself stays, with its
# revisions: histories of records name it.
WALKS = Statement(
    "retention.walks",
    """
    WITH gone AS MATERIALIZED (
        SELECT o.id FROM workflow AS w
         CROSS JOIN LATERAL (SELECT e.id FROM enrollment AS e
                              WHERE e.account_id = $1 AND e.workflow_id = w.id ORDER BY e.id LIMIT $3) AS o
         WHERE w.account_id = $1 AND w.deleted_at < $2
         LIMIT $3
    ), lines AS (
        DELETE FROM enrollment_step AS s
         WHERE s.account_id = $1 AND s.enrollment_id = ANY(ARRAY(SELECT g.id FROM gone AS g))
    ), diagnoses AS (
        DELETE FROM enrollment_diagnosis AS d
         WHERE d.account_id = $1 AND d.enrollment_id = ANY(ARRAY(SELECT g.id FROM gone AS g))
    )
    DELETE FROM enrollment AS e WHERE e.account_id = $1 AND e.id = ANY(ARRAY(SELECT g.id FROM gone AS g))
    """,
)

# Which triggers held is of no use to a workflow that nobody can turn on again. Ranges of the key.
STATES = Statement(
    "retention.states",
    """
    DELETE FROM trigger_state AS s
     WHERE s.account_id = $1
       AND (s.workflow_id, s.record_id) IN (
           SELECT o.workflow_id, o.record_id FROM workflow AS w
            CROSS JOIN LATERAL (SELECT t.workflow_id, t.record_id FROM trigger_state AS t
                                 WHERE t.account_id = $1 AND t.workflow_id = w.id
                                 ORDER BY t.record_id LIMIT $3) AS o
            WHERE w.account_id = $1 AND w.deleted_at < $2
            LIMIT $3)
    """,
)


async def accounts(db: Database) -> list[Chosen]:
    """All accounts with what they have chosen."""
    return [Chosen(row["account_id"], row["settings"]) for row in await db.spanning(ACCOUNTS)]


async def take(writer: Single, statement: Statement, before: datetime, limit: int) -> bool:
    """Take away up to `limit` rows from before a moment; whether there may be more."""
    return await writer.execute(statement, before, limit) == limit


async def sweep(writer: Single, statement: Statement, before: datetime, limit: int, after: int) -> int | None:
    """Look at `limit` rows behind the id `after`, and take away what is to go; where to go on, if there may be more."""
    last: int | None = await writer.fetchval(statement, before, limit, after)
    return last


async def record_events(
    tx: Transaction, before: datetime, limit: int, after: int, kept: Collection[int]
) -> tuple[list[Forgotten], int | None]:
    """Take away events that were recorded before a moment, but for these kinds; and where to go on."""
    rows = await tx.fetch(RECORD_EVENTS, before, limit, after, list(kept))
    gone = [
        Forgotten(row["record_id"], row["object_type_id"], row["event_type_id"])
        for row in rows
        if row["record_id"] is not None
    ]
    return gone, next((row["last"] for row in rows if row["last"] is not None), None)


async def unstarted_imports(reader: Queryable, before: datetime, limit: int) -> list[int]:
    """Imports whose file was sent before a moment, and that nobody has started."""
    return [row["id"] for row in await reader.fetch(UNSTARTED, before, limit)]


async def plans(tx: Transaction, before: datetime, limit: int) -> bool:
    """Forget plans from before a moment, up to `limit` of their items at a time; whether there may be more."""
    old = [row["id"] for row in await tx.fetch(PLANS, before)]
    if not old:
        return False
    if await tx.execute(PLAN_ITEMS, old, limit) == limit:
        return True
    await tx.execute(DROP_PLANS, old)
    return False
