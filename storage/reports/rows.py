"""A report's rows, as the statement answers them.

A report joins whatever there is: by what planners believe of its size, which is what makes it fast. Of an account that
their statistics do not know they believe that it has one row, and for one row nothing is cheaper than to read all again
for each of the others: 6,000 contacts and 18,000 associations by label did not end in 40 s. So where an account is
believed to be small, loops are forbidden: if it is small, that costs nothing; if not, hashes are right.
"""

import contextlib
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from storage.filters.times import settled
from storage.reports.compile import compile
from storage.reports.tree import Report
from storage.session import Reader
from storage.statements import Statement

# Of an account that has no more rows, all are read and hashed in a few milliseconds.
FEW = 1_000

# How many rows the tables had when they were looked at last, that of the fewest: fewer than 0, never. Of empty ones
# planners know no accounts, and guess.
LOOKED_AT = Statement(
    "reports.looked_at",
    """
    SELECT min(c.reltuples) FROM pg_class AS c
     WHERE c.oid IN ('record'::regclass, 'association'::regclass) AND $1::bigint IS NOT NULL
    """,
)

# The planner is asked itself, and nothing runs: what it makes of its statistics is no view's to tell.
BELIEVED = Statement(
    "reports.believed",
    """
    EXPLAIN (FORMAT JSON)
    SELECT r.id FROM record AS r WHERE r.account_id = $1
     UNION ALL
    SELECT a.from_id FROM association AS a WHERE a.account_id = $1
    """,
)


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group (`level` 0) or a total: bit n of `level` is set where axis n is not told apart."""

    level: int
    values: tuple[Any, ...]
    others: tuple[bool, ...]
    measures: tuple[float | None, ...]


async def read(reader: Reader, report: Report, levels: Collection[int], *, now: datetime) -> list[GroupRow]:
    """The groups of these levels, in no order."""
    given: list[Any] = []

    def add(value: Any, cast: str) -> str:
        given.append(value)
        return f"${len(given) + 1}::{cast}"

    sql = compile(report, levels, add)
    async with joining(reader):
        rows = await reader.fetch(sql, *settled(given, now))
    axes, measures = range(len(report.axes)), range(len(report.measures))
    return [
        GroupRow(
            row["level"],
            tuple(row[f"d{n}"] for n in axes),
            tuple(bool(row[f"o{n}"]) for n in axes),
            tuple(row[f"m{n}"] for n in measures),
        )
        for row in rows
    ]


@contextlib.asynccontextmanager
async def joining(reader: Reader) -> AsyncIterator[None]:
    """While a report is read: no loops where the account is small, or planners do not know that it is not."""
    if await _known(reader):
        yield
    else:
        async with reader.without_loops():
            yield


async def _known(reader: Reader) -> bool:
    """Whether planners believe that the account has many records and associations."""
    if await reader.fetchval(LOOKED_AT) < FEW:
        return False
    plan = orjson.loads(await reader.fetchval(BELIEVED))[0]["Plan"]
    return min(int(part["Plan Rows"]) for part in plan["Plans"]) >= FEW
