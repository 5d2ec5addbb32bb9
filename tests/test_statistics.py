"""What the planner is told after much was loaded: of what is there, and never that there is nothing."""

from storage import associations, statistics
from storage.arrays import lists, numbers
from storage.database import Database
from tests.crm import T0, crm

FILL = """
INSERT INTO record (account_id, id, object_type_id, properties, created_at, updated_at, created_source,
                    updated_source)
SELECT $1, n, 1, '{}', $2, $2, 'API', 'API' FROM generate_series(10000, 12000) AS n
"""
KNOWN = "SELECT c.reltuples > 0 FROM pg_class AS c WHERE c.oid = 'record'::regclass"


async def test_tables_that_are_empty_are_not_planned_for_as_empty_when_others_were_loaded(
    db: Database,
) -> None:
    account = (await crm(db)).account
    async with db.pool.acquire() as connection:
        await connection.execute(FILL, account, T0)
        assert not await connection.fetchval(KNOWN)
    await statistics.refresh(db, 10)
    async with db.pool.acquire() as connection:
        assert not await connection.fetchval(KNOWN), "a few rows are not worth it"
    await statistics.refresh(db, 2_000)
    looked_for = numbers([1]), lists([[10_000]]), lists([[10_001]]), numbers([1]), lists([[10_000]])
    async with db.pool.acquire() as connection:
        assert await connection.fetchval(KNOWN)
        rows = await connection.fetch(f"EXPLAIN {associations.LOOK}", account, *looked_for)
    plan = "\n".join(row[0] for row in rows)
    # Others may be filling them meanwhile: each look would read all that is there by then.
    assert "Seq Scan on association" not in plan, plan
    assert "association_pkey" in plan
    assert "association_count_pkey" in plan
