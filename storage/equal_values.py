"""Which records of a type hold a value: along the indexes where it is kept as it is asked for, else page by page."""

from collections.abc import Collection, Sequence
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
_SCAN = """
    WITH page AS MATERIALIZED (
        SELECT r.id, r.properties {arrow} $4::text AS value, r.archived_at
          FROM record AS r
         WHERE r.account_id = $1 AND r.object_type_id = $2 AND r.id > $3
         ORDER BY r.id LIMIT $5
    )
    SELECT page.id, page.value, NULL::bigint AS n FROM page
     WHERE page.value IS NOT NULL AND page.archived_at IS NULL{which}
    UNION ALL
    SELECT max(page.id), NULL, count(*) FROM page
"""
SCAN = Statement("equal_values.scan", _SCAN.format(arrow="->", which=""))

# The same, of texts those that may be meant: of ASCII alone the database knows the small letters as everybody else
# does, so whatever holds another character comes along. A third of the time, where few are meant. A subquery is
# hashed; an array would be read again for each value.
_MAY = """
       AND (octet_length(page.value) <> length(page.value) OR {test})"""
SCAN_EQUAL = Statement(
    "equal_values.scan_equal",
    _SCAN.format(
        arrow="->>",
        which=_MAY.format(
            test="btrim(lower(page.value COLLATE \"C\"), E' \\t\\n\\x0b\\x0c\\r\\x1c\\x1d\\x1e\\x1f')"
            " IN (SELECT k.part FROM unnest($6::text[]) AS k(part))"
        ),
    ),
)
SCAN_WITHIN = Statement(
    "equal_values.scan_within",
    _SCAN.format(
        arrow="->>",
        which=_MAY.format(
            test="EXISTS (SELECT FROM unnest($6::text[]) AS k(part)"
            ' WHERE strpos(lower(page.value COLLATE "C"), k.part) > 0)'
        ),
    ),
)
# Each value is compared with each part.
PARTS_COMPARED = 20


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


async def scan(
    reader: Queryable,
    prop: PropertyRow,
    after: int,
    limit: int,
    wanted: Collection[str],
    *,
    within: bool = False,
) -> Page:
    """What the next `limit` records of the property's object type hold; values that are surely not meant are left out.

    Meant are texts that, in small letters, are one of `wanted` but for blanks around them (`within`: contain one).
    """
    given: list[Any] = [prop.object_type_id, after, prop.name, limit]
    if prop.multiple or (within and len(wanted) > PARTS_COMPARED):
        *rows, end = await reader.fetch(SCAN, *given)
    else:
        *rows, end = await reader.fetch(SCAN_WITHIN if within else SCAN_EQUAL, *given, list(wanted))
    return Page([(row[0], row[1]) for row in rows], end[0] if end["n"] == limit else None)
