"""How PostgreSQL finds what is no longer kept: lot by lot along the keys, however much there is besides."""

import re
from datetime import timedelta
from typing import Any

import pytest

from storage import retention
from storage.backlog import BACKLOG
from storage.database import Database
from tests.graph import T0, graph
from tests.plans import explained

ROWS = 40_000
LOT = 100
# Three quarters are old. Of enrollments, a third are of a deleted workflow, a third have failed.
AT = "$2::timestamptz - interval '1 hour' * ($3::int - n)"
FILL = (
    f"""
    INSERT INTO webhook_delivery (account_id, id, webhook_id, received_at, outcome)
    SELECT $1, n, n % 5, {AT}, 'TRIGGERED' FROM generate_series(1, $3::int) AS n
    """,
    f"""
    INSERT INTO sync_attempt (account_id, id, sync_id, link_id, at, did)
    SELECT $1, n, n % 5, n / 20, {AT}, 'UPDATED' FROM generate_series(1, $3::int) AS n
    """,
    f"""
    INSERT INTO record_event (account_id, id, event_type_id, record_id, occurred_at, properties, source, created_at)
    SELECT $1, n, -2, n / 10, {AT}, '{{}}', 'API', {AT} FROM generate_series(1, $3::int) AS n
    """,
    f"""
    INSERT INTO outbox (account_id, id, key, kind, host, status, request, enrollment_id, step, attempts, recalled,
                        created_at, finished_at)
    SELECT $1, n, 'key ' || n, 'WEBHOOK', 'host', 'DELIVERED', '{{}}', n / 10 + 1, n % 3, 1, false, {AT}, {AT}
      FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO workflow (account_id, id, name, object_type_id, draft, draft_version, enabled, created_at, updated_at,
                          deleted_at)
    SELECT $1, n, 'workflow ' || n, t.id, '{}', 1, false, $2, $2,
           CASE WHEN n = 1 THEN $2::timestamptz - interval '9 years' END
      FROM generate_series(1, 3) AS n, (SELECT min(o.id) AS id FROM object_type AS o WHERE o.account_id = $1) AS t
     WHERE $3::int > 0
    """,
    """
    INSERT INTO enrollment (account_id, id, workflow_id, revision, record_id, epoch, status, next_step, steps,
                            depth, due_at, attempts, reason, enrolled_at)
    SELECT $1, n, n % 3 + 1, 1, n, 1, CASE WHEN n % 3 = 0 THEN 'COMPLETED' ELSE 'FAILED' END, 0, 0, 0, NULL, 0, '{}', $2
      FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO enrollment_step (account_id, enrollment_id, n, action, at, outcome, changes)
    SELECT $1, n, k, 'a1', $2, 'DONE', '[]' FROM generate_series(1, $3::int) AS n, generate_series(0, 1) AS k
    """,
    """
    INSERT INTO trigger_state (account_id, workflow_id, record_id, held, version)
    SELECT $1, n % 3 + 1, n, '{}', 1 FROM generate_series(1, $3::int) AS n WHERE $2::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO import (account_id, id, name, kind, status, mapping, rows_read, rows_created, rows_updated,
                        rows_unchanged, rows_failed, started_at, ended_at, errors)
    SELECT $1, n, 'file', 'RECORDS', 'DONE', '{}', 0, 0, 0, 0, 0, $2::timestamptz - interval '9 years',
           $2::timestamptz - interval '9 years' * (n % 2), $3::int / 20
      FROM generate_series(1, 20) AS n
    """,
    """
    INSERT INTO import_row_error (account_id, import_id, row, n, code, message)
    SELECT $1, n % 20 + 1, n, 0, 'NO', 'No.' FROM generate_series(1, $3::int) AS n
     WHERE $2::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO change_queue (account_id, id, object_type_id, kind, properties, before, record_ids, type_ids, other_ids,
                              at, source, depth, version)
    SELECT $1, n, 1, 'CREATED', '{}', '{}', ARRAY[n], '{}', '{}', $2, 'API', 0, 1
      FROM generate_series(1, $3::int) AS n
    """,
)
OLD = T0 - timedelta(hours=ROWS // 4)
CASES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "deliveries": (retention.DELIVERIES, (OLD, LOT, ROWS // 2)),
    "attempts": (retention.ATTEMPTS, (OLD, LOT, ROWS // 2)),
    "outbox": (retention.OUTBOX, (OLD, LOT, ROWS // 2)),
    "record events": (retention.RECORD_EVENTS, (OLD, LOT, ROWS // 2, [-8])),
    "walks": (retention.WALKS, (OLD, LOT)),
    "states": (retention.STATES, (OLD, LOT)),
    "import errors": (retention.IMPORT_ERRORS, (OLD, LOT)),
    "keys": (retention.KEYS, (OLD, LOT)),
    "unstarted": (retention.UNSTARTED, (OLD, LOT)),
}


@pytest.mark.parametrize("believed", ["nothing", "the truth"])
async def test_a_lot_costs_a_lot_and_not_all_that_there_is(db: Database, believed: str) -> None:
    crm = await graph(db)
    async with db.pool.acquire() as connection:
        for sql in FILL:
            await connection.execute(sql, crm.account, T0, ROWS)
        if believed == "the truth":
            await connection.execute("ANALYZE")
        async for name, mode, plan in explained(connection, crm.account, CASES):
            counts = [float(n) * int(loops) for n, loops in re.findall(r"rows=([\d.]+) loops=(\d+)\)", plan)]
            removed = [float(n) for n in re.findall(r"Rows Removed by \w+(?: \w+)?: (\d+)", plan)]
            assert max(counts + removed) <= 4 * LOT, f"{name}, {mode}:\n{plan}"


async def test_how_much_waits_is_seen_without_reading_it(db: Database) -> None:
    crm = await graph(db)
    async with db.pool.acquire() as connection:
        for sql in FILL:
            await connection.execute(sql, crm.account, T0, ROWS)
        await connection.execute("ANALYZE")
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {BACKLOG}", [crm.account], T0, LOT)
        plan = "\n".join(row[0] for row in rows)
        counts = [float(n) * int(loops) for n, loops in re.findall(r"rows=([\d.]+) loops=(\d+)\)", plan)]
        assert max(counts) <= 4 * LOT, plan
