"""How PostgreSQL reads when workflows run: what the batch is about, whatever it believes of the tables."""

from typing import Any

import pytest

from storage import (
    enrollment_pages,
    enrollments,
    listeners,
    match_states,
    passes,
    standings,
    trigger_states,
    walks,
    workflows,
)
from storage.arrays import numbers
from storage.database import Database
from tests.flows import flows
from tests.graph import T0
from tests.plans import explained

ALL = enrollment_pages.ALL
ROWS = 40_000
BATCH = list(range(10_000, 11_000))

FILL = (
    """
    INSERT INTO import_pair (account_id, import_id, from_id, to_id)
    SELECT $1, 8, n, n + 1 FROM generate_series(1, $3::int) AS n WHERE $2::timestamptz IS NOT NULL
    """,
    # A hundred workflows; a tenth of all enrollments is active, and a hundredth is due.
    """
    INSERT INTO enrollment (account_id, id, workflow_id, revision, record_id, epoch, status, next_step, steps,
                            depth, due_at, attempts, reason, enrolled_at)
    SELECT $1, n, n % 100, 1, n, 1, CASE WHEN n % 10 = 0 THEN 'ACTIVE' ELSE 'COMPLETED' END, 0, 0, 0,
           CASE WHEN n % 100 = 0 THEN $2::timestamptz
                WHEN n % 10 = 0 THEN $2::timestamptz + interval '1 day' END, 0, '{}', $2
      FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO workflow (account_id, id, name, object_type_id, draft, draft_version, published_revision, enabled,
                          enabled_version, created_at, updated_at)
    SELECT $1, n, 'workflow ' || n, o.id, '{}', 1, 1, true, 1, $2, $2
      FROM generate_series(1, $3::int / 10) AS n
      JOIN object_type AS o ON o.account_id = $1 AND o.name = 'contacts'
    """,
    """
    INSERT INTO trigger_ref (account_id, kind, ref_id, workflow_id, n, path)
    SELECT $1, 'PROPERTY', n % 1000, n, 1, '[]' FROM generate_series(1, $3::int / 10) AS n
     WHERE $2::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO segment_ref (account_id, kind, ref_id, segment_id, n, path)
    SELECT $1, 'PROPERTY', n % 1000, n, 1, '[]' FROM generate_series(1, $3::int / 10) AS n
     WHERE $2::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO workflow_revision (account_id, workflow_id, revision, definition, published_at)
    SELECT $1, n, 1, '{}', $2 FROM generate_series(1, $3::int / 10) AS n
    """,
    """
    INSERT INTO trigger_state (account_id, workflow_id, record_id, held, version)
    SELECT $1, n % 100, n, '{}', 1 FROM generate_series(1, $3::int) AS n WHERE $2::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO match_state (account_id, listener_id, record_id, next_check_at)
    SELECT $1, n % 100, n, $2 FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO property_history (account_id, record_id, version, at, changed, source)
    SELECT $1, n, 1, $2, '{}', 'API' FROM generate_series(1, $3::int) AS n
    """,
    # A hub, and what stands beside it.
    """
    INSERT INTO association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source)
    SELECT $1, CASE WHEN n % 2 = 0 THEN 1 ELSE n END, 5, n, 7, $2, 'API' FROM generate_series(1, $3::int) AS n
    """,
)

MOVES = {str(n): ["ACTIVE", 1, 1, None, T0, 0, None, None] for n in BATCH}

CASES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "standing": (standings.OF_PAIRS, ([n % 100 for n in BATCH], BATCH, T0, 30)),
    "leave": (standings.LEAVE, (BATCH, {str(n): ["UNENROLLED", None] for n in BATCH}, T0)),
    "active of": (standings.ACTIVE_OF, (BATCH, None)),
    "active of some": (standings.ACTIVE_OF, (BATCH, [17, 18])),
    "active in": (standings.ACTIVE_IN, (30, 10)),
    "awaiting": (standings.AWAITING, (BATCH,)),
    "arrive": (standings.ARRIVE, (BATCH, {str(n): [0, {}] for n in BATCH}, T0)),
    "ever": (standings.EVER_PAGE, (30, 0, 100)),
    "held": (trigger_states.HELD, ([n % 100 for n in BATCH], BATCH, [1] * len(BATCH))),
    "noted": (match_states.NOTED, ([n % 100 for n in BATCH], BATCH)),
    "makers": (passes.MAKERS, (numbers(BATCH),)),
    "of import": (passes.OF_IMPORT, (BATCH, "7")),
    "due": (enrollments.DUE, (T0, 1_000)),
    "claim": (enrollments.CLAIM, (BATCH, 0, T0)),
    "move": (enrollments.MOVE, (numbers(BATCH), MOVES)),
    "pages of workflows": (
        enrollment_pages.PAGES_OF_WORKFLOWS,
        ([3, 4], 2**62, None, None, 51, *ALL.arguments),
    ),
    "pages of records": (
        enrollment_pages.PAGES_OF_RECORDS,
        ([30, 40], 2**62, None, None, 51, *ALL.arguments),
    ),
    "page": (enrollment_pages.PAGE, (2**62, None, 51, *ALL.arguments)),
    "listeners": (listeners.LISTENING, (["PROPERTY", "RECORD"], [17, 18, 19])),
    "running": (workflows.RUNNING, ([17, 18, 19],)),
    "revisions": (workflows.REVISIONS, ([17, 18], [1, 1])),
    "neighbours": (walks.NEIGHBOURS, ([1, 3, 5], [0, 0, 0], 5, 7, 100)),
}


@pytest.mark.parametrize("believed", ["nothing", "the truth"])
async def test_a_batch_reads_no_table_from_end_to_end(db: Database, believed: str) -> None:
    crm = await flows(db)
    async with db.pool.acquire() as connection:
        for sql in FILL:
            await connection.execute(sql, crm.account, T0, ROWS)
        if believed == "the truth":
            await connection.execute("ANALYZE")
        async for name, mode, plan in explained(connection, crm.account, CASES):
            assert not any(bad in plan for bad in ("Seq Scan", "Hash Join", "Merge Join")), (
                name,
                mode,
                plan,
            )
            # Not even a whole index: what is filtered out afterwards is little.
            removed = [int(line.split(":")[1]) for line in plan.splitlines() if "Rows Removed" in line]
            assert sum(removed) < 2_000, (name, mode, plan)
