"""Lists in the order in which records were made: pages along an index, however deep."""

import pytest

from storage.database import Database
from storage.selection.sources import limited
from storage.selection.sql import Params
from storage.selection.tree import Kind, Listing, Order, Page, Position, Records, Term
from tests.crm import T0, crm

ROWS = 60_000
FILL = """
INSERT INTO record (account_id, id, object_type_id, properties, created_at, updated_at, created_source, updated_source)
SELECT $1, n, 1, jsonb_build_object('email', n || '@example.com'), $3, $3, 'API', 'API'
  FROM generate_series(1, $2::int) AS n
"""


@pytest.mark.parametrize("descending", [False, True])
async def test_pages_by_the_moment_of_creation_are_read_along_their_index(
    db: Database, descending: bool
) -> None:
    it = await crm(db)
    async with db.pool.acquire() as connection:
        await connection.execute(FILL, it.account, ROWS, T0)
        await connection.execute(
            "UPDATE record SET created_at = created_at + id % 997 * INTERVAL '1 hour' WHERE account_id = $1",
            it.account,
        )
        await connection.execute("VACUUM ANALYZE record")
        seen: list[int] = []
        order = Order((Term("created_at", Kind.MOMENT, descending, column=True),), descending)
        position: Position | None = None
        for _ in range(3):
            params = Params()
            listing = Listing(Records(1, None), Page("0" * 8, 50, order, after=position))
            sql = limited(listing, params, "r", ("id", "created_at"))
            plan = await connection.fetch(f"EXPLAIN {sql}", it.account, *params.values)
            told = "\n".join(row[0] for row in plan)
            assert "using record_created" in told
            assert "Sort" not in told
            rows = await connection.fetch(sql, it.account, *params.values)
            position = Position((rows[-1]["created_at"],), rows[-1]["id"])
            seen += [row["id"] for row in rows]
        expected = await connection.fetch(
            f"SELECT r.id FROM record AS r WHERE r.account_id = $1"
            f" ORDER BY r.created_at {'DESC' * descending}, r.id {'DESC' * descending} LIMIT 150",
            it.account,
        )
    assert seen == [row[0] for row in expected]
