"""What PostgreSQL's planner is told of the tables after much was loaded at once.

Accounts share tables. Until they are analysed, the planner takes a new account for one without records, and joins its
thousands row by row: a report over the demo, in an installation with 1.7 million other records, took 20 seconds in
place of 9 milliseconds. PostgreSQL does it by itself, some time later (migration 0004 lets it come early).
"""

from storage.database import Database

# From so many new rows on it is worth its second or two.
MUCH = 1_000

# Those that queries join and look for values in. One that is being analysed already is passed over.
ANALYZE = (
    "ANALYZE (SKIP_LOCKED) record, association, association_count, property_value, property_key, sync_link"
)

# A preview that is being made looks for what it says already. Taken for one without items, it would be read whole for
# each: 100,000 took three times as long.
PLANNED = "ANALYZE (SKIP_LOCKED) sync_plan_item"


async def refresh(db: Database, rows: int) -> None:
    """Have the tables looked at, when `rows` many were written at once."""
    if rows >= MUCH:
        async with db.pool.acquire() as connection:
            await connection.execute(ANALYZE)


async def planned(db: Database, before: int, after: int) -> None:
    """Have the items of previews looked at, when one has grown from `before` items to so many that it matters."""
    if any(before < 10**digits <= after for digits in range(3, 8)):
        async with db.pool.acquire() as connection:
            await connection.execute(PLANNED)
