"""What every other test stands on: a fresh database that holds all tables and nobody else's rows."""

from typing import Any

import asyncpg
import pytest


@pytest.mark.parametrize("round_", [1, 2])
async def test_every_test_has_a_migrated_database_of_its_own(database_url: str, round_: int) -> None:
    connection: Any = await asyncpg.connect(database_url)
    try:
        assert await connection.fetchval("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") > 0
        # Fails in the second round if the first one's database were seen again.
        await connection.execute("CREATE TABLE a_trace ()")
    finally:
        await connection.close()


async def test_text_is_ordered_by_its_bytes_on_every_machine(database_url: str) -> None:
    connection: Any = await asyncpg.connect(database_url)
    try:
        ordered = await connection.fetchval(
            "SELECT array_agg(x ORDER BY x) FROM unnest(ARRAY['b', 'a', 'B', 'é', 'z']) AS x"
        )
    finally:
        await connection.close()
    assert ordered == ["B", "a", "b", "z", "é"]
