"""Imports: a row an import, and a row for each thing that was wrong with a row of its file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(slots=True)
class ImportRow:
    """An import of one file: see `storage.tables.imports.Import`."""

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
    file: dict[str, Any]
    chunks: int
    position: int
    share: float
    errors: int
    figures: dict[str, Any]
    findings: dict[str, Any] | None
    reason: str | None
    undone: dict[str, Any] | None
    lanes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RowErrorRow:
    """What was wrong with one row; `n` counts the faults of that row."""

    row: int
    n: int
    column_name: str | None
    value: str | None
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ErrorGroupRow:
    """The same thing wrong in the same column: in `count` rows, of which `rows` are the first.

    `value` and `message` are the first row's.
    """

    code: str
    column_name: str | None
    count: int
    rows: list[int]
    value: str | None
    message: str


# Rows that a group of errors names.
ROWS_NAMED = 5

COLUMNS = ", ".join(f"i.{name}" for name in ImportRow.__slots__)

CREATE = Statement(
    "imports.create",
    """
    INSERT INTO import (account_id, id, name, kind, status, mapping, rows_read, rows_created, rows_updated,
                        rows_unchanged, rows_failed, started_at, user_id, file, lease_token, leased_until)
    VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 0, 0, 0, $7, $8, $9, $10, $11)
    """,
)

# Everything that people or the run change, as it was read and changed while the row was held.
WRITE = Statement(
    "imports.write",
    """
    UPDATE import AS i
       SET kind = $3, status = $4, mapping = $5, rows_read = $6, rows_created = $7, rows_updated = $8,
           rows_unchanged = $9, rows_failed = $10, started_at = $11, ended_at = $12, file = $13, chunks = $14,
           position = $15, share = $16, errors = $17, figures = $18, findings = $19, reason = $20, undone = $21,
           lanes = $22
     WHERE i.account_id = $1 AND i.id = $2
    """,
)

READ = Statement(
    "imports.read", f"SELECT {COLUMNS} FROM import AS i WHERE i.account_id = $1 AND i.id = ANY($2::bigint[])"
)

# Whoever changes an import holds its row: a pause, and the batch that it stops, come one after the other.
HOLD = Statement(
    "imports.hold", f"SELECT {COLUMNS} FROM import AS i WHERE i.account_id = $1 AND i.id = $2 FOR UPDATE"
)

# Newest first, along the primary key.
PAGE = Statement(
    "imports.page",
    f"""
    SELECT {COLUMNS} FROM import AS i
     WHERE i.account_id = $1 AND ($2::bigint IS NULL OR i.id < $2) AND ($3::text[] IS NULL OR i.status = ANY($3))
     ORDER BY i.id DESC LIMIT $4
    """,
)

ERRORS = Statement(
    "imports.errors",
    """
    SELECT e.row, e.n, e.column_name, e.value, e.code, e.message
      FROM import_row_error AS e
     WHERE e.account_id = $1 AND e.import_id = $2 AND (e.row, e.n) > ($3, $4)
       AND ($6::text[] IS NULL OR e.code = ANY($6))
     ORDER BY e.row, e.n LIMIT $5
    """,
)

# A range of the primary key for each import, at most as long as what is kept of errors. Messages name values, so that
# there are as many as rows: the first stands for its group.
ERROR_GROUPS = Statement(
    "imports.error_groups",
    f"""
    SELECT e.import_id, e.code, e.column_name, count(DISTINCT e.row) AS count,
           (array_agg(DISTINCT e.row ORDER BY e.row))[1:{ROWS_NAMED}] AS rows,
           (array_agg(e.value ORDER BY e.row, e.n))[1] AS value,
           (array_agg(e.message ORDER BY e.row, e.n))[1] AS message
      FROM import_row_error AS e
     WHERE e.account_id = $1 AND e.import_id = ANY($2)
     GROUP BY e.import_id, e.code, e.column_name
     ORDER BY count(DISTINCT e.row) DESC, min(e.row), e.code, e.column_name
    """,
)

# What a check has found is not what the run finds.
FORGET_ERRORS = Statement(
    "imports.forget_errors",
    "DELETE FROM import_row_error AS e WHERE e.account_id = $1 AND e.import_id = $2",
)


async def create(
    tx: Transaction,
    number: int,
    name: str,
    kind: str,
    mapping: dict[str, Any],
    *,
    status: str,
    file: dict[str, Any] | None = None,
    token: str | None = None,
    until: datetime | None = None,
) -> None:
    """Note a new import; `token` holds it until `until`, where it begins at once."""
    await tx.execute(
        CREATE, number, name, kind, status, mapping, tx.now, tx.actor.user_id, file or {}, token, until
    )


async def write(tx: Transaction, row: ImportRow) -> None:
    """Write an import that is held, as `row` says."""
    await tx.execute(
        WRITE,
        row.id,
        row.kind,
        row.status,
        row.mapping,
        row.rows_read,
        row.rows_created,
        row.rows_updated,
        row.rows_unchanged,
        row.rows_failed,
        row.started_at,
        row.ended_at,
        row.file,
        row.chunks,
        row.position,
        row.share,
        row.errors,
        row.figures,
        row.findings,
        row.reason,
        row.undone,
        row.lanes,
    )


async def errors(tx: Transaction, number: int, rows: Sequence[RowErrorRow]) -> None:
    """Keep what was wrong."""
    columns = ("import_id", "row", "n", "column_name", "value", "code", "message")
    found = [(number, row.row, row.n, row.column_name, row.value, row.code, row.message) for row in rows]
    await tx.copy("import_row_error", columns, found)


async def forget_errors(tx: Transaction, number: int) -> None:
    """No row has been found wrong yet."""
    await tx.execute(FORGET_ERRORS, number)


async def hold(tx: Transaction, number: int) -> ImportRow | None:
    """One import, held until the commit."""
    row = await tx.fetchrow(HOLD, number)
    return None if row is None else ImportRow(*row)


async def read(reader: Queryable, number: int) -> ImportRow | None:
    """One import."""
    (found,) = await rows(reader, [number])
    return found


async def rows(reader: Queryable, numbers: Sequence[int]) -> list[ImportRow | None]:
    """These imports, in the order asked; None where there is none."""
    found = {row["id"]: ImportRow(*row) for row in await reader.fetch(READ, list(numbers))}
    return [found.get(number) for number in numbers]


async def page(
    reader: Queryable, before: int | None, limit: int, statuses: Sequence[str] | None = None
) -> list[ImportRow]:
    """Up to `limit` imports, newest first, behind the one with id `before`; only of these statuses."""
    chosen = None if statuses is None else list(statuses)
    return [ImportRow(*row) for row in await reader.fetch(PAGE, before, chosen, limit)]


async def errors_after(
    reader: Queryable,
    number: int,
    after: tuple[int, int],
    limit: int,
    codes: Sequence[str] | None = None,
) -> list[RowErrorRow]:
    """Up to `limit` errors behind (row, n), in the order of the file; only of these codes."""
    chosen = None if codes is None else list(codes)
    return [RowErrorRow(**row) for row in await reader.fetch(ERRORS, number, *after, limit, chosen)]


async def error_groups(reader: Queryable, numbers: Sequence[int]) -> list[list[ErrorGroupRow]]:
    """What is kept of errors of each of these imports, by code and column, the most frequent first."""
    found: dict[int, list[ErrorGroupRow]] = {}
    for import_id, *group in await reader.fetch(ERROR_GROUPS, list(numbers)):
        found.setdefault(import_id, []).append(ErrorGroupRow(*group))
    return [found.get(number, []) for number in numbers]
