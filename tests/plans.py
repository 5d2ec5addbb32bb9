"""Plans of statements, as PostgreSQL makes them for arguments that it sees and for any."""

from collections.abc import AsyncIterator, Mapping
from typing import Any


async def explained(
    connection: Any,
    account_id: int,
    cases: Mapping[str, tuple[str, tuple[Any, ...]]],
    *,
    how: str = "(ANALYZE, TIMING OFF)",
) -> AsyncIterator[tuple[str, str, str]]:
    """(name, mode, plan) of each case, {name: (statement, its arguments behind the account)}; nothing of it stays."""
    for name, (sql, arguments) in cases.items():
        for mode in ("force_custom_plan", "force_generic_plan"):
            # Undone: an EXPLAIN ANALYZE of a write writes.
            writing = connection.transaction()
            await writing.start()
            await connection.execute(f"SET LOCAL plan_cache_mode = {mode}")
            rows = await connection.fetch(f"EXPLAIN {how} {sql}", account_id, *arguments)
            await writing.rollback()
            yield name, mode, "\n".join(row[0] for row in rows)
