"""How PostgreSQL reads when a batch writes: what the batch is about, whatever the planner believes of the tables."""

from typing import Any

import pytest

from storage import property_keys, property_values, records, unique_values
from storage.database import Database
from storage.selection.sources import total
from storage.selection.sql import Params
from storage.selection.tree import Records
from tests.crm import T0, crm
from tests.plans import explained

ROWS = 60_000
BATCH = list(range(10_000, 11_000))
VALUES = [f"{n}@example.com" for n in BATCH]

FILL = (
    """
    INSERT INTO record (account_id, id, object_type_id, properties, created_at, updated_at, created_source,
                        updated_source)
    SELECT $1, n, 1, jsonb_build_object('email', n || '@example.com'), $3, $3, 'API', 'API'
      FROM generate_series(1, $2::int) AS n
    """,
    """
    INSERT INTO unique_value (account_id, property_id, value, record_id)
    SELECT $1, 2, n || '@example.com', n FROM generate_series(1, $2::int) AS n WHERE $3::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO property_value (account_id, record_id, property_id, position, text_value)
    SELECT $1, n, 2, 0, n || '@example.com' FROM generate_series(1, $2::int) AS n WHERE $3::timestamptz IS NOT NULL
    """,
    """
    INSERT INTO property_key (account_id, property_id, value_hash, record_id)
    SELECT $1, 2, n % 1000, n FROM generate_series(1, $2::int) AS n WHERE $3::timestamptz IS NOT NULL
    """,
)

CASES: dict[str, tuple[str, tuple[Any, ...]]] = {
    "lock": (records.LOCK, (BATCH,)),
    "lock survivors": (records.LOCK_SURVIVORS, (BATCH,)),
    "update": (
        records.UPDATE,
        (BATCH, {str(n): {"city": "Rome"} for n in BATCH}, {}, T0, "API", None, None),
    ),
    "find": (unique_values.FIND, (2, VALUES)),
    "release": (unique_values.RELEASE, ([2], VALUES, {f"2 {value}": None for value in VALUES})),
    "move": (unique_values.MOVE, ([2], VALUES, {f"2 {value}": 1 for value in VALUES})),
    "delete searchable": (property_values.DELETE, (BATCH, {str(n): ["2"] for n in BATCH})),
    "delete keys": (property_keys.DELETE, ([2] * len(BATCH), [n % 1000 for n in BATCH], BATCH)),
    "clear searchable": (property_values.CLEAR, (2, 1_000)),
    "clear keys": (property_keys.CLEAR, (2, 1_000)),
}


@pytest.mark.parametrize("believed", ["nothing", "the truth"])
async def test_a_batch_reads_no_table_from_end_to_end_and_compares_nothing_with_everything(
    db: Database, believed: str
) -> None:
    it = await crm(db)
    async with db.pool.acquire() as connection:
        for sql in FILL:
            await connection.execute(sql, it.account, ROWS, T0)
        if believed == "the truth":
            await connection.execute("ANALYZE")
        async for name, mode, plan in explained(connection, it.account, CASES):
            # To go where each row lies is a loop, too (storage.places).
            loops = plan.count("Nested Loop") - plan.count("Tid Scan")
            joined = loops > 0 or "Hash Join" in plan
            assert not joined, (name, mode, plan)
            assert "Seq Scan" not in plan, (name, mode, plan)


async def test_the_living_of_a_type_are_counted_in_their_index_alone(db: Database) -> None:
    it = await crm(db)
    params = Params()
    counted = total(Records(1, None), params, "r")
    async with db.pool.acquire() as connection, connection.transaction():
        # Which way is shorter depends on the table, and on what of it has been vacuumed; that there is this one depends
        # on what the index says. The other one that begins so does not say who is archived.
        await connection.execute("DROP INDEX record_created")
        for other in ("enable_seqscan", "enable_bitmapscan"):
            await connection.execute(f"SET LOCAL {other} = off")
        rows = await connection.fetch(f"EXPLAIN SELECT {counted}", it.account, *params.values)
    told = "\n".join(row[0] for row in rows)
    assert "Index Only Scan using record_pages" in told, told
