"""How PostgreSQL reads events: along the index of a record's own, however many others there are."""

from datetime import timedelta
from typing import Any

import pytest

from storage import record_events
from storage.database import Database
from storage.event_types import BUILT_IN
from storage.filters.compile import compile
from storage.filters.times import settled
from storage.filters.tree import Comparison, EventLeaf
from tests.crm import T0, crm
from tests.plans import explained

ROWS = 60_000
BATCH = list(range(1_000, 1_500))
PAGE_VIEWED = -2

FILL = (
    """
    INSERT INTO record (account_id, id, object_type_id, properties, created_at, updated_at, created_source,
                        updated_source)
    SELECT $1, n, 1, '{}', $3, $3, 'API', 'API' FROM generate_series(1, $2::int) AS n
    """,
    """
    INSERT INTO record_event (account_id, id, event_type_id, record_id, occurred_at, properties, source, created_at,
                              idempotency_key)
    SELECT $1, n, -1 - n % 3, n % 5000, $3::timestamptz - n * interval '1 minute', '{}', 'API', $3, 'k' || n
      FROM generate_series(1, $2::int) AS n
    """,
)

CASES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "keyed": (record_events.KEYED, ([PAGE_VIEWED, -1], [f"k{n}" for n in BATCH])),
    "by ids": (record_events.BY_IDS, (BATCH,)),
    "pages": (record_events.PAGES, (BATCH[:50], list(BUILT_IN), T0, 2**62, 51)),
    "occurred": (record_events.OCCURRED, (BATCH, [PAGE_VIEWED, -1], [PAGE_VIEWED], 50_000)),
    "mail refused": (record_events.MAIL_REFUSED, (BATCH, -8, -7)),
    "move": (record_events.MOVE, (1_000, 1_001)),
}


@pytest.mark.parametrize("believed", ["nothing", "the truth"])
async def test_events_are_found_by_an_index(db: Database, believed: str) -> None:
    it = await crm(db)
    async with db.pool.acquire() as connection:
        for sql in FILL:
            await connection.execute(sql, it.account, ROWS, T0)
        if believed == "the truth":
            await connection.execute("ANALYZE")
        async for name, mode, plan in explained(connection, it.account, CASES, how=""):
            assert "Seq Scan on record_event" not in plan, (name, mode, plan)


@pytest.mark.parametrize(
    "leaf",
    [
        EventLeaf(PAGE_VIEWED),
        EventLeaf(PAGE_VIEWED, negated=True, after=T0 - timedelta(days=3)),
        EventLeaf(PAGE_VIEWED, Comparison.GREATER, 2, after=T0 - timedelta(days=3), before=T0),
    ],
)
async def test_a_filter_of_a_few_records_looks_at_their_events_alone(db: Database, leaf: EventLeaf) -> None:
    it = await crm(db)
    given: list[Any] = [BATCH[:20]]

    def add(value: Any, cast: str) -> str:
        given.append(value)
        return f"${len(given) + 1}::{cast}"

    sql = (
        "SELECT r.id FROM record AS r WHERE r.account_id = $1 AND r.id = ANY($2::bigint[])"
        f" AND {compile(leaf, 'r', add)}"
    )
    async with db.pool.acquire() as connection:
        for fill in FILL:
            await connection.execute(fill, it.account, ROWS, T0)
        await connection.execute("ANALYZE")
        rows = await connection.fetch(f"EXPLAIN {sql}", it.account, *settled(given, T0))
    plan = "\n".join(row[0] for row in rows)
    assert "record_event_of_record" in plan, plan
    assert "Seq Scan" not in plan, plan
