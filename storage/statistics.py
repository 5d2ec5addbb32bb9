"""What PostgreSQL's planner is told of the tables after much was loaded at once.

Accounts share tables. Until they are analysed, the planner takes a new account for one without records, and joins its
thousands row by row: a report over the demo, in an installation with 1.7 million other records, took 20 seconds in
place of 9 milliseconds. PostgreSQL does it by itself, some time later (migration 0004 lets it come early). Of tables
that are only ever probed it is told nothing of whose their rows are (migration 0005).
"""

from storage.database import Database
from storage.session import told
from storage.statements import Statement

# From so many new rows on it is worth its second or two.
MUCH = 1_000

# Those that queries join and look for values in.
TABLES = (
    "record",
    "association",
    "association_count",
    "property_value",
    "property_key",
    "property_part",
    "sync_link",
)

# A table that was never analysed is planned for as one that has some rows, one that was empty when it was as one that
# still is: the first associations after an import of records would then be looked for by reading all that others are
# just writing, again for each pair.
FILLED = Statement(
    "statistics.filled",
    "SELECT t.name FROM unnest($1::text[]) AS t(name) WHERE pg_relation_size(t.name::regclass) > 0",
    spanning="looks at how large tables are, at no account's rows",
)

# A preview that is being made looks for what it says already. Taken for one without items, it would be read whole for
# each: 100,000 took three times as long.
PLANNED = "ANALYZE (SKIP_LOCKED) sync_plan_item"

# Whose parts of texts there are: of an account that has none yet, as far as the planner knows, all would be read along
# the primary key for each that are looked for.
CUT = "ANALYZE (SKIP_LOCKED) property_part"


async def refresh(db: Database, rows: int) -> None:
    """Have the tables looked at, when `rows` many were written at once."""
    if rows >= MUCH:
        async with db.pool.acquire() as connection:
            filled = [row["name"] for row in await connection.fetch(told(FILLED), TABLES)]
            if filled:
                # One that is being analysed already is passed over.
                await connection.execute(f"ANALYZE (SKIP_LOCKED) {', '.join(filled)}")


async def planned(db: Database, before: int, after: int) -> None:
    """Have the items of previews looked at, when one has grown from `before` items to so many that it matters."""
    if any(before < 10**digits <= after for digits in range(3, 8)):
        async with db.pool.acquire() as connection:
            await connection.execute(PLANNED)


async def cut(db: Database) -> None:
    """Have the parts of texts looked at, when all of a property's have been written."""
    async with db.pool.acquire() as connection:
        await connection.execute(CUT)
