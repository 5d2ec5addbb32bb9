"""How links and attempts are found in an account that PostgreSQL's statistics do not know: by probes, as in any other.

A first sync grows from nothing to a hundred thousand links between two looks of autovacuum. Taken for an account with
one link, each page of it read all links there were, for each of its items.
"""

from typing import Any

from storage.database import Database
from storage.sync import attempts, links
from tests.graph import T0
from tests.plans import explained
from tests.test_sync_health import FILL

KNOWN, UNKNOWN, SYNC = 1, 2, 7
SOME = [1_000_000 + n for n in range(1, 501)]
ITEMS = [f"x{n}" for n in range(1, 1_001)]
NEW: dict[str, Any] = {str(n): {} for n in SOME}

# With what the plan of each must say.
CASES: dict[str, tuple[str, tuple[Any, ...], str]] = {
    "items": (links.OF_ITEMS, (SYNC, ITEMS, ITEMS), "sync_link_external"),
    "records": (links.OF_RECORDS, (SYNC, SOME), "record_id >= g.record_id"),
    "read": (links.READ, (SOME,), "sync_link_pkey"),
    "plan": (links.PLAN, (SOME, NEW, T0), "Tid Scan"),
    "update": (links.UPDATE, (SOME, {str(n): [None] * len(links._WRITTEN) for n in SOME}, T0), "Tid Scan"),
    "trim": (attempts.TRIM, (SYNC, SOME, 20), "Tid Scan"),
}


async def test_of_an_unknown_account_nothing_is_read_but_what_is_asked_for(db: Database) -> None:
    async with db.pool.acquire() as connection:
        for account_id, rows in ((KNOWN, 30_000), (UNKNOWN, 5_000)):
            for fill in FILL[:2]:
                await connection.execute(fill, account_id, T0, rows, SYNC)
            if account_id == KNOWN:
                # And swept, so that statistics say that rows lie in the order of accounts.
                await connection.execute("VACUUM ANALYZE sync_link")
                await connection.execute("VACUUM ANALYZE sync_attempt")
        cases = {name: (str(sql), arguments) for name, (sql, arguments, _) in CASES.items()}
        async for name, mode, plan in explained(connection, UNKNOWN, cases, how=""):
            assert CASES[name][2] in plan, f"{name}, {mode}:\n{plan}"
            # Nothing goes by the account alone.
            whole = [line for line in plan.splitlines() if "Index Cond" in line and line.count("=") < 2]
            assert not whole, f"{name}, {mode}:\n{plan}"
