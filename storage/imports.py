"""Imports: a row a run, and a row for each thing that was wrong with a row of its file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class ImportRow:
    """One run of one file. `kind` is RECORDS or ASSOCIATIONS; `status` RUNNING, DONE or FAILED."""

    id: int
    name: str
    kind: str
    status: str
    mapping: dict[str, Any]
    rows_read: int
    rows_created: int
    rows_updated: int
    rows_unchanged: int
    rows_failed: int
    started_at: datetime
    ended_at: datetime | None
    user_id: int | None


@dataclass(frozen=True, slots=True)
class RowErrorRow:
    """What was wrong with one row; `n` counts the faults of that row."""

    row: int
    n: int
    column_name: str | None
    value: str | None
    code: str
    message: str


START = Statement(
    "imports.start",
    """
    INSERT INTO import (account_id, id, name, kind, status, mapping, rows_read, rows_created, rows_updated,
                        rows_unchanged, rows_failed, started_at, user_id)
    VALUES ($1, $2, $3, $4, 'RUNNING', $5, 0, 0, 0, 0, 0, $6, $7)
    """,
)

# Added to in the transaction of the rows that are counted: the figures are what stands, also after a crash.
COUNT = Statement(
    "imports.count",
    """
    UPDATE import AS i
       SET rows_read = i.rows_read + $3, rows_created = i.rows_created + $4, rows_updated = i.rows_updated + $5,
           rows_unchanged = i.rows_unchanged + $6, rows_failed = i.rows_failed + $7
     WHERE i.account_id = $1 AND i.id = $2
    """,
)

END = Statement(
    "imports.end", "UPDATE import AS i SET status = $3, ended_at = $4 WHERE i.account_id = $1 AND i.id = $2"
)

READ = Statement(
    "imports.read",
    """
    SELECT i.id, i.name, i.kind, i.status, i.mapping, i.rows_read, i.rows_created, i.rows_updated,
           i.rows_unchanged, i.rows_failed, i.started_at, i.ended_at, i.user_id
      FROM import AS i WHERE i.account_id = $1 AND i.id = $2
    """,
)

ERRORS = Statement(
    "imports.errors",
    """
    SELECT e.row, e.n, e.column_name, e.value, e.code, e.message
      FROM import_row_error AS e
     WHERE e.account_id = $1 AND e.import_id = $2 AND (e.row, e.n) > ($3, $4)
     ORDER BY e.row, e.n LIMIT $5
    """,
)


async def start(tx: Transaction, number: int, name: str, kind: str, mapping: dict[str, Any]) -> None:
    """Note that an import runs."""
    await tx.execute(START, number, name, kind, mapping, tx.now, tx.actor.user_id)


async def count(
    tx: Transaction, number: int, *, read: int, created: int, updated: int, unchanged: int, failed: int
) -> None:
    """Add to an import's figures."""
    await tx.execute(COUNT, number, read, created, updated, unchanged, failed)


async def errors(tx: Transaction, number: int, rows: Sequence[RowErrorRow]) -> None:
    """Keep what was wrong."""
    columns = ("import_id", "row", "n", "column_name", "value", "code", "message")
    found = [(number, row.row, row.n, row.column_name, row.value, row.code, row.message) for row in rows]
    await tx.copy("import_row_error", columns, found)


async def end(tx: Transaction, number: int, status: str) -> None:
    """Note that an import has ended."""
    await tx.execute(END, number, status, tx.now)


async def read(reader: Queryable, number: int) -> ImportRow | None:
    """One import."""
    row = await reader.fetchrow(READ, number)
    return None if row is None else ImportRow(**row)


async def errors_after(
    reader: Queryable, number: int, after: tuple[int, int], limit: int
) -> list[RowErrorRow]:
    """Up to `limit` errors behind (row, n), in the order of the file."""
    return [RowErrorRow(**row) for row in await reader.fetch(ERRORS, number, *after, limit)]
