"""Reports that are saved: made, edited, deleted, listed, and found by what they name."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A saved report."""

    id: int
    name: str
    object_type_id: int
    definition: dict[str, Any]
    chart: str
    version: int
    created_at: datetime
    updated_at: datetime
    created_by: int | None


# The fields of ReportRow, in its order.
_COLUMNS = """p.id, p.name, p.object_type_id, p.definition, p.chart, p.version, p.created_at, p.updated_at,
           p.created_by"""

# Whoever comes second with a name finds nothing returned.
INSERT = Statement(
    "reports.insert",
    """
    INSERT INTO report (account_id, id, name, object_type_id, definition, chart, version, created_at, updated_at,
                        created_by)
    VALUES ($1, $2, $3, $4, $5, $6, 1, $7, $7, $8)
    ON CONFLICT (account_id, name) DO NOTHING
    RETURNING id
    """,
)

BY_IDS = Statement(
    "reports.by_ids",
    f"SELECT {_COLUMNS} FROM report AS p WHERE p.account_id = $1 AND p.id = ANY($2::bigint[])",
)

LISTING = Statement(
    "reports.listing",
    f"SELECT {_COLUMNS} FROM report AS p WHERE p.account_id = $1 AND p.id > $2 ORDER BY p.id LIMIT $3",
)

LOCK = Statement(
    "reports.lock", f"SELECT {_COLUMNS} FROM report AS p WHERE p.account_id = $1 AND p.id = $2 FOR UPDATE"
)

# Who has a name; the unique constraint leads to it.
NAMED = Statement("reports.named", "SELECT p.id FROM report AS p WHERE p.account_id = $1 AND p.name = $2")

UPDATE = Statement(
    "reports.update",
    """
    UPDATE report AS p
       SET name = $3, object_type_id = $4, definition = $5, chart = $6, version = p.version + 1, updated_at = $7
     WHERE p.account_id = $1 AND p.id = $2
    """,
)

DELETE = Statement("reports.delete", "DELETE FROM report AS p WHERE p.account_id = $1 AND p.id = $2")

# Read whole: reports are few. One that does not hold the name anywhere as a text cannot mean what bears it.
NAMING = Statement(
    "reports.naming",
    f"""
    SELECT {_COLUMNS} FROM report AS p
     WHERE p.account_id = $1 AND jsonb_path_exists(p.definition, '$.** ? (@ == $names[*])', $2)
     ORDER BY p.id
    """,
)


async def insert(
    tx: Transaction, report_id: int, name: str, object_type_id: int, definition: dict[str, Any], chart: str
) -> bool:
    """A new report; False where the name is taken."""
    made = await tx.fetchval(
        INSERT, report_id, name, object_type_id, definition, chart, tx.now, tx.actor.user_id
    )
    return made is not None


async def by_ids(reader: Queryable, ids: Sequence[int]) -> list[ReportRow | None]:
    """The reports with these ids, in the order asked; None where there is none."""
    found = {row["id"]: ReportRow(*row) for row in await reader.fetch(BY_IDS, list(set(ids)))}
    return [found.get(number) for number in ids]


async def listing(reader: Queryable, after: int, limit: int) -> list[ReportRow]:
    """Reports behind an id, in the order in which they were made."""
    return [ReportRow(*row) for row in await reader.fetch(LISTING, after, limit)]


async def lock(tx: Transaction, report_id: int) -> ReportRow | None:
    """A report, held until the transaction ends."""
    row = await tx.fetchrow(LOCK, report_id)
    return None if row is None else ReportRow(*row)


async def named(reader: Queryable, name: str) -> int | None:
    """The report with a name."""
    found: int | None = await reader.fetchval(NAMED, name)
    return found


async def update(
    tx: Transaction, report_id: int, name: str, object_type_id: int, definition: dict[str, Any], chart: str
) -> None:
    """Write a report's next version. Nobody else may have its name."""
    await tx.execute(UPDATE, report_id, name, object_type_id, definition, chart, tx.now)


async def delete(tx: Transaction, report_id: int) -> None:
    """Forget a report."""
    await tx.execute(DELETE, report_id)


async def naming(reader: Queryable, names: Collection[str]) -> list[ReportRow]:
    """All reports of which the definition holds one of `names` as a text."""
    return [ReportRow(*row) for row in await reader.fetch(NAMING, {"names": sorted(names)})]
