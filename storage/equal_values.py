"""Which records of a type hold a value: along the indexes where it is kept as it is asked for, else page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from storage.catalogue import PropertyRow
from storage.database import Queryable
from storage.property_keys import value_hash
from storage.property_values import TEXT_KEPT
from storage.statements import Statement

# For each value a range of an index, in the order of records: it begins behind the last one seen and ends after $5 of
# them. A subquery with a LIMIT is no join that could be turned round. Archived records are among them.
_HOLDERS = """
    SELECT s.n, v.record_id
      FROM unnest($2::{kind}[], $3::bigint[]) WITH ORDINALITY AS s(value, after_id, n)
     CROSS JOIN LATERAL (
           SELECT v.record_id FROM {table} AS v
            WHERE v.account_id = $1 AND v.property_id = $4 AND v.{column} = s.value
              AND v.record_id > s.after_id
            ORDER BY v.record_id LIMIT $5
           ) AS v
     ORDER BY s.n, v.record_id
"""
BY_TEXT = Statement(
    "equal_values.by_text", _HOLDERS.format(kind="text", table="property_value", column="text_value")
)
BY_NUMBER = Statement(
    "equal_values.by_number", _HOLDERS.format(kind="numeric", table="property_value", column="number_value")
)
BY_HASH = Statement(
    "equal_values.by_hash", _HOLDERS.format(kind="bigint", table="property_key", column="value_hash")
)

# A keyset page of one object type, by the index of the default order; of it those that have a value at all. The last
# row tells how far the page went.
SCAN = Statement(
    "equal_values.scan",
    """
    WITH page AS MATERIALIZED (
        SELECT r.id, r.properties -> $4::text AS value, r.archived_at
          FROM record AS r
         WHERE r.account_id = $1 AND r.object_type_id = $2 AND r.id > $3
         ORDER BY r.id LIMIT $5
    )
    SELECT page.id, page.value, NULL::bigint AS n FROM page
     WHERE page.value IS NOT NULL AND page.archived_at IS NULL
    UNION ALL
    SELECT max(page.id), NULL, count(*) FROM page
    """,
)


@dataclass(frozen=True, slots=True)
class Page:
    """(record, value) of those records of a page that have one; the page's last record (None: there are no more)."""

    values: list[tuple[int, Any]]
    last: int | None


async def holders(
    reader: Queryable, prop: PropertyRow, asked: Sequence[tuple[Any, int]], limit: int
) -> list[list[int]]:
    """For each (stored value of one choice, last record seen): up to `limit` next records that may hold it, rising.

    Who holds a value is among them; others may be (hashes, and beginnings of texts, can be equal by chance), and so
    are archived records. One statement.
    """
    values = [value for value, _ in asked]
    given: list[Any]
    if not prop.reads_values:
        statement, given = BY_HASH, [value_hash(value) for value in values]
    elif prop.type == "NUMBER":
        statement, given = BY_NUMBER, [Decimal(str(value)) for value in values]
    else:
        statement, given = BY_TEXT, [value[:TEXT_KEPT] for value in values]
    rows = await reader.fetch(statement, given, [after for _, after in asked], prop.id, limit)
    found: list[list[int]] = [[] for _ in asked]
    for row in rows:
        found[row[0] - 1].append(row[1])
    return found


async def scan(reader: Queryable, prop: PropertyRow, after: int, limit: int) -> Page:
    """What the next `limit` records of the property's object type hold."""
    *rows, end = await reader.fetch(SCAN, prop.object_type_id, after, prop.name, limit)
    return Page([(row[0], row[1]) for row in rows], end[0] if end["n"] == limit else None)
