"""How PostgreSQL reads the outbox: whatever is piled up behind one host, or was sent before, is not read again."""

from typing import Any

import pytest

from storage import latest, outbox, outbox_sending
from storage.database import Database
from tests.graph import T0, graph
from tests.plans import explained

ROWS = 40_000
FILL = (
    # Most was delivered. Of what is open, nearly all is for one host, and overdue; ninety others have a little.
    """
    INSERT INTO outbox (account_id, id, key, kind, host, status, request, enrollment_id, step, attempts,
                        next_attempt_at, recalled, created_at)
    SELECT $1, n, 'key ' || n, 'WEBHOOK', CASE WHEN n % 20 = 0 THEN 'host ' || n % 90 ELSE 'dead' END,
           CASE WHEN n % 4 = 0 THEN 'PENDING' ELSE 'DELIVERED' END, '{}', n / 10, n % 3, 0,
           CASE WHEN n % 4 = 0 THEN $2::timestamptz - interval '1 day' END, false, $2
      FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO enrollment (account_id, id, workflow_id, revision, record_id, epoch, status, next_step, steps,
                            depth, due_at, attempts, reason, enrolled_at)
    SELECT $1, n, n % 100, 1, n, 1, 'ACTIVE', 0, 0, 0, NULL, 0, '{}', $2
      FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO record (account_id, id, object_type_id, properties, created_at, updated_at, created_source,
                        updated_source, version)
    SELECT $1, 1000000 + n, 5, '{}', $2, $2, 'API', 'API', 1 FROM generate_series(1, $3::int) AS n
    """,
    """
    INSERT INTO association (account_id, from_id, to_object_type_id, to_id, type_id, created_at, source)
    SELECT $1, n / 4, 5, 1000000 + n, 7, $2, 'API' FROM generate_series(1, $3::int) AS n
    """,
)
SOME = list(range(4, 2_004, 4))
NEW: dict[str, list[Any]] = {str(n): ["token", "DELIVERED", None, {}] for n in SOME}

CASES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "claim": (outbox_sending.CLAIM, (T0, 8, {"dead": 0}, 16, T0, "token")),
    "finish": (outbox_sending.FINISH, (SOME, NEW, T0)),
    "lock": (outbox_sending.LOCK_ENROLLMENTS, (SOME,)),
    "call": (outbox_sending.CALL, (SOME, T0)),
    "of enrollment": (outbox.OF_ENROLLMENT, (SOME, [0] * len(SOME))),
    "by keys": (outbox.BY_KEYS, ([f"key {n}" for n in SOME],)),
    "retry": (outbox.RETRY, (SOME, T0)),
    "cancel": (outbox.CANCEL, (SOME, T0)),
    "latest": (latest.LATEST, (SOME, [5] * len(SOME), [7] * len(SOME))),
}


@pytest.mark.parametrize("believed", ["nothing", "the truth"])
async def test_what_is_piled_up_is_not_read(db: Database, believed: str) -> None:
    crm = await graph(db)
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
            removed = [int(line.split(":")[1]) for line in plan.splitlines() if "Rows Removed" in line]
            assert sum(removed) < 2_000, (name, mode, plan)
