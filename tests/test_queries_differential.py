"""Whatever is asked of whatever graph: a compiled query answers as an ordinary execution does."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from storage.database import Database
from tests.queries_random import queries, random_graph


@pytest.mark.parametrize("seed", [1, 2])
async def test_any_query_of_any_graph_is_answered_the_same_in_every_way(db: Database, seed: int) -> None:
    of = await random_graph(db, seed)
    loop = asyncio.get_running_loop()

    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(queries(list(of.ids.values())))
    def answered_the_same(asked: tuple[str, dict[str, Any]]) -> None:
        asyncio.run_coroutine_threadsafe(of.both(*asked), loop).result()

    await asyncio.to_thread(answered_the_same)
