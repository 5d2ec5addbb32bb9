"""How PostgreSQL reads when segments follow changes: what the batch is about, whatever it believes of the tables."""

from datetime import timedelta
from typing import Any

import pytest

from storage import changes, listeners, match_states, memberships, segments, troubles, walks
from storage.arrays import flags, numbers
from storage.database import Database
from storage.filters import facts
from tests.flows import flows
from tests.graph import T0
from tests.plans import explained

ROWS = 60_000
BATCH = list(range(10_000, 11_000))

FILL = (
    # Two hundred segments, one of which has a third of all members; each record is in a few.
    """
    INSERT INTO segment (account_id, id, name, object_type_id, kind, definition, version, created_at, updated_at)
    SELECT $1, n, 'segment ' || n, o.id, 'ACTIVE', '{}', 1, $2, $2
      FROM generate_series(1, 200) AS n
      JOIN object_type AS o ON o.account_id = $1 AND o.name = 'contacts' WHERE $3::int > 0
    """,
    """
    INSERT INTO segment_tally (account_id, segment_id, members, lines)
    SELECT $1, n, 1000, 1000 FROM generate_series(1, 200) AS n WHERE $2::timestamptz IS NOT NULL AND $3::int > 0
    """,
    """
    INSERT INTO segment_member (account_id, segment_id, record_id, joined_at)
    SELECT $1, CASE WHEN n % 3 = 0 THEN 1 ELSE 2 + n % 199 END, n, $2 FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO segment_history (account_id, segment_id, n, record_id, joined, at, cause)
    SELECT $1, 1 + n % 200, 1000 + n, n % ($3::int / 3), n % 2 = 0, $2, '{"kind": "UPDATED"}'
      FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO segment_ref (account_id, kind, ref_id, segment_id, n, path)
    SELECT $1, CASE WHEN n % 2 = 0 THEN 'PROPERTY' ELSE 'ASSOCIATION' END, n % 1000, n % 5000, n, '[]'
      FROM generate_series(1, $3::int / 2) AS n WHERE $2::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO segment_fill (account_id, segment_id, after_id, started_at)
    SELECT $1, n, n % 3, $2 FROM generate_series(1, 60) AS n WHERE $3::int > 0
    """,
    # A hundredth is due.
    """
    INSERT INTO match_state (account_id, listener_id, record_id, next_check_at)
    SELECT $1, n % 200, n, $2::timestamptz + (n % 100 - 1) * interval '1 hour' FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO change_trouble (account_id, id, kind, work, attempts, error, first_at, retry_at)
    SELECT $1, n, 'LOOK', '{}', 1, 'x', $2, $2::timestamptz + (n % 100 - 1) * interval '1 hour'
      FROM generate_series(1, $3::int / 2) AS n
    """,
    # A hub with half of all associations.
    """
    INSERT INTO association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source)
    SELECT $1, CASE WHEN n % 2 = 0 THEN 1 ELSE n END, 5, n, 7, $2, 'API' FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO change_queue (account_id, id, object_type_id, kind, properties, before, record_ids, type_ids,
                              other_ids, at, source, depth, version)
    SELECT $1, n, 5, 'UPDATED', '{city}', '{}', ARRAY[n], '{}', '{}', $2, 'API', 0, 1
      FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO trigger_walk (account_id, id, record_id, path, after_id, listener_ids, cause, at, depth, version)
    SELECT $1, n, n, '{7}', 0, '{1}', '{}', $2, 0, 1 FROM generate_series(1, $3::int / 2) AS n
    """,
)

JOINING = [n for n in BATCH if n % 3][:300]
LEAVING = [n for n in BATCH if n % 3 == 0]
MOVES = (
    numbers([1] * (len(JOINING) + len(LEAVING))),
    numbers(range(900_000, 900_000 + len(JOINING) + len(LEAVING))),
    numbers([*JOINING, *LEAVING]),
    flags([True] * len(JOINING) + [False] * len(LEAVING)),
    numbers([0] * (len(JOINING) + len(LEAVING))),
    [{"kind": "UPDATED"}],
    T0,
    {"1": [0, len(JOINING) + len(LEAVING)]},
    [1],
)

CASES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "due": (match_states.DUE, (T0, 2_000)),
    "note": (match_states.SET, ([7] * 1_000, BATCH, [T0 + timedelta(days=1)] * 1_000)),
    "clear": (match_states.CLEAR, ([n % 200 for n in BATCH], BATCH)),
    "hold": (memberships.HOLD, (list(range(1, 150)),)),
    "members of records": (memberships.OF_RECORDS, (numbers(BATCH),)),
    "a part of some segments": (memberships.RANGE, ([1, 2, 3, 4], 10_000, 12_000)),
    "write": (memberships.WRITE, MOVES),
    "since when": (memberships.JOINED_AT, (1, BATCH)),
    "segments of records": (memberships.PAGES, (BATCH[:50], 0, 51)),
    "history": (memberships.HISTORY, (17, 2**62, 51)),
    "history of a record": (memberships.HISTORY_OF_RECORD, (17, 2**62, 16, 51)),
    "last lines": (memberships.LAST, (BATCH[:50], [1, 2, 3])),
    "listening": (listeners.LISTENING, (["PROPERTY", "RECORD"], [18, 20, 22])),
    "neighbours": (walks.NEIGHBOURS, ([1, 3, 5], [0, 0, 0], 5, 7, 100)),
    "walks": (walks.CLAIM, (200,)),
    "changes": (changes.CLAIM, (1_000,)),
    "troubles": (troubles.CLAIM, (T0, 100)),
    "fills": (match_states.CLAIM_FILLS, ([], 4)),
    "who refers": (segments.REFERRING, ("SEGMENT", None)),
    "members as facts": (facts.MEMBERS, (numbers(BATCH), [1, 2, 3])),
}
# Of so few rows here that to read them all is the plan.
SMALL = ("segment_fill", "segment ", "segment_tally", "trigger_ref", "workflow ")


@pytest.mark.parametrize("believed", ["nothing", "the truth"])
async def test_what_follows_reads_no_table_from_end_to_end(db: Database, believed: str) -> None:
    crm = await flows(db)
    async with db.pool.acquire() as connection:
        for sql in FILL:
            await connection.execute(sql, crm.account, T0, ROWS)
        if believed == "the truth":
            await connection.execute("ANALYZE")
        async for name, mode, plan in explained(connection, crm.account, CASES):
            large = [
                line
                for line in plan.splitlines()
                if "Seq Scan" in line and not any(f"Seq Scan on {table}" in f"{line} " for table in SMALL)
            ]
            assert not large, (name, mode, plan)
            assert not any(bad in plan for bad in ("Hash Join", "Merge Join")) or name == "fills", (
                name,
                mode,
                plan,
            )
            # Not even a whole index: what is filtered out afterwards is little.
            removed = [int(line.split(":")[1]) for line in plan.splitlines() if "Rows Removed" in line]
            assert sum(removed) < 2_000, (name, mode, plan)
