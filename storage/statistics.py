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


async def refresh(db: Database, rows: int) -> None:
    """Have the tables looked at, when `rows` many were written at once."""
    if rows >= MUCH:
        async with db.pool.acquire() as connection:
            await connection.execute(ANALYZE)
