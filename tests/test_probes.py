"""What version 16 of PostgreSQL is asked in a form of its own it is asked for the same (storage.probes)."""

from typing import Any

import pytest

from storage import associations_at_once, catalogue, changes, facts, holding, records
from storage.arrays import flags, lists, numbers
from storage.database import Database
from storage.filters.facts import VISIBLE
from storage.statements import Statement, registry
from tests.crm import T0
from tests.statements import named_statements
from tests.test_unknown_accounts import FILL

ACCOUNT, OTHER, ROWS = 1, 2, 30
# Not in their order, one twice, one that nobody has; two of them are merged, one into another of these, two archived.
IDS = [9, 3, 3, 5, 99, 12, 7, 4, 20]
LAID_OUT = """
    UPDATE record AS r SET archived_at = $2, merged_into_id = CASE r.id WHEN 5 THEN 3 WHEN 7 THEN 15 END
     WHERE r.account_id = $1 AND r.id IN (4, 5, 7, 20)
"""
HELD = [3, 9, 12]
FACTS = numbers([1]), numbers([1]), numbers([11]), numbers([12])
BY = T0, "API", None, None

READS: dict[Statement, tuple[Any, ...]] = {
    records.READ: (IDS,),
    records.OBJECT_TYPES: (IDS,),
    records.LEADS: (IDS,),
    records.LOCK: (sorted(set(IDS)),),
    records.LOCK_SURVIVORS: (sorted(set(IDS)),),
    holding.HOLD: (numbers(IDS),),
    holding.HOLD_WITH_DEFINITIONS: (numbers(IDS),),
    VISIBLE: (IDS,),
    changes.FRESH: (2,),
}
WRITES: dict[Statement, tuple[Any, ...]] = {
    records.UPDATE: (
        HELD,
        {str(n): {"city": f"Rome {n}"} for n in HELD},
        {"9": {"name": None}},
        T0,
        "API",
        None,
        None,
    ),
    records.SET_ARCHIVED: (HELD, T0, T0, "API"),
    # 3 with 4 and 9 with 10 part.
    facts.WRITE: (lists([[3, 9]]), lists([[4, 10]]), *FACTS, flags([False]), numbers([]), 1_000, *BY),
    facts.ADD_AND_TELL: (
        lists([[3, 9]]), lists([[25, 26]]), *FACTS, numbers([500]), numbers([2]), "{ASSOCIATION_ADDED}", [{}],
        *BY, 0, 1, 2,
    ),
    associations_at_once.ADD[1]: (
        3, 25, 1, 1, 1, *BY, 0, 500, 501, 11, 12, 0, 99, 0, 99, "ASSOCIATION_ADDED", {},
    ),
}  # fmt: skip
TOUCHED = (
    "record", "property_history", "association", "association_count", "association_history", "change_queue",
    "account_seq", "event_log",
)  # fmt: skip


async def filled(connection: Any) -> None:
    for account_id in (ACCOUNT, OTHER):
        for sql in FILL:
            await connection.execute(sql, account_id, T0, ROWS)
        await connection.execute(LAID_OUT, account_id, T0)
        await connection.execute(
            "INSERT INTO catalogue_version (account_id, version) SELECT $1, 1", account_id
        )
        await connection.execute("INSERT INTO account_seq (account_id, seq) SELECT $1, 100", account_id)


def test_whatever_has_two_forms_is_compared() -> None:
    named_statements()
    two = {name for name, one in registry.items() if one.before_17 is not None}
    compared = {one.name for one in (*READS, *WRITES)}
    # The same parts as of `associations.write`, and the same text for more types.
    others = {facts.WRITE_AND_TELL.name, *(one.name for one in associations_at_once.ADD.values())}
    assert two == compared | others
    assert catalogue.HOLD.before_17 is None


@pytest.mark.parametrize("statement", READS, ids=lambda one: one.name)
async def test_both_forms_answer_the_same(db: Database, statement: Statement) -> None:
    assert statement.before_17 is not None
    async with db.pool.acquire() as connection:
        await filled(connection)
        answers = [
            sorted(
                (tuple(sorted(one) if isinstance(one, list) else one for one in row) for row in found),
                key=repr,
            )
            for sql in (statement.text, statement.before_17.text)
            for found in [await connection.fetch(sql, ACCOUNT, *READS[statement])]
        ]
    assert answers[0] == answers[1] != []


@pytest.mark.parametrize("statement", WRITES, ids=lambda one: one.name)
async def test_both_forms_write_the_same(db: Database, statement: Statement) -> None:
    assert statement.before_17 is not None
    async with db.pool.acquire() as connection:
        await filled(connection)
        before = await written(connection)
        after = []
        for sql in (statement.text, statement.before_17.text):
            undone = connection.transaction()
            await undone.start()
            await connection.fetch(sql, ACCOUNT, *WRITES[statement])
            after.append(await written(connection))
            await undone.rollback()
    assert after[0] == after[1] != before


async def written(connection: Any) -> dict[str, list[str]]:
    """All rows of what is written to, of both accounts."""
    found = {}
    for table in TOUCHED:
        found[table] = [
            row[0] for row in await connection.fetch(f"SELECT t::text FROM {table} AS t ORDER BY 1")
        ]
    return found
