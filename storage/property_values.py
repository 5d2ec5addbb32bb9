"""Values of searchable properties in their typed side table: kept up with records, filled when a property asks for it.

What stands there: text-like values and booleans as text (cut to `TEXT_KEPT` characters), numbers as numerics,
one row for each choice of a multiple-choice property. Archived records keep theirs; readers look at the record.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from storage.catalogue import PropertyRow
from storage.database import Transaction
from storage.places import places
from storage.statements import Statement

TEXT_KEPT = 256
# By the primary key, reading all values of each record: no join, whose plan would hang on estimates (from the
# whole table read once to a million comparisons), and no index of a property, which all its records share.
# $3 is {"record": ["property", …]}.
DELETE = Statement(
    "property_values.delete",
    """
    DELETE FROM property_value AS v
     WHERE v.account_id = $1 AND v.record_id = ANY($2::bigint[])
       AND $3::jsonb -> v.record_id::text ? v.property_id::text
    """,
)

INSERT = Statement(
    "property_values.insert",
    """
    INSERT INTO property_value (account_id, record_id, property_id, position, text_value, number_value)
    SELECT $1, n.record_id, n.property_id, n.position, n.text_value, n.number_value
      FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::numeric[])
           AS n(record_id, property_id, position, text_value, number_value)
    """,
)

# How values are stored in JSON; all others are strings.
STORED_AS = {"NUMBER": "number", "BOOLEAN": "boolean"}

# One keyset page of records a statement, along the index of the default order. They are read as they are now and
# held still: who changes one afterwards writes its values anew, and what a writer has written already is
# left alone. A choice's position is its place in the stored array, as `rows_of` counts it. Values that are not of
# the declared type cannot be stored, yet a cast must never raise: the type is asked first.
FILL = Statement(
    "property_values.fill",
    """
    WITH page AS MATERIALIZED (
        SELECT r.id, r.properties -> $6::text AS value
          FROM record AS r
         WHERE r.account_id = $1 AND r.object_type_id = $2 AND r.id > $3
         ORDER BY r.id LIMIT $4
           FOR SHARE
    ), filled AS (
        INSERT INTO property_value (account_id, record_id, property_id, position, text_value, number_value)
        SELECT $1, page.id, $5, part.n - 1,
               CASE WHEN jsonb_typeof(part.value) <> 'number' THEN left(part.value #>> '{}', $7) END,
               CASE WHEN jsonb_typeof(part.value) = 'number' THEN (part.value #>> '{}')::numeric END
          FROM page,
               LATERAL jsonb_array_elements(
                   CASE jsonb_typeof(page.value) WHEN 'array' THEN page.value
                                                 ELSE jsonb_build_array(page.value) END
               ) WITH ORDINALITY AS part(value, n)
         WHERE page.value IS NOT NULL AND (jsonb_typeof(page.value) = 'array') = $8
          AND jsonb_typeof(part.value) = $9::text
            ON CONFLICT DO NOTHING
    )
    SELECT max(page.id) AS last, count(*) AS n FROM page
    """,
)

# A part of the property's range of either index: its values are in one of them, whatever its type. Sorted, so that
# it is the index that is read: whoever begins at the table's start each time reads again what was removed.
_FIRST = places(
    """ARRAY(SELECT g.ctid FROM property_value AS g
              WHERE g.account_id = $1 AND g.property_id = $2 AND g.text_value IS NOT NULL
              ORDER BY g.text_value LIMIT $3)
    || ARRAY(SELECT g.ctid FROM property_value AS g
              WHERE g.account_id = $1 AND g.property_id = $2 AND g.number_value IS NOT NULL
              ORDER BY g.number_value LIMIT $3)"""
)
CLEAR = Statement(
    "property_values.clear",
    f"""
    DELETE FROM property_value AS v
     USING {_FIRST}
     WHERE v.account_id = $1 AND v.ctid = p.place AND v.property_id = $2
    """,
)


async def replace(
    tx: Transaction, changes: Sequence[tuple[int, PropertyRow, Any]], *, fresh: bool = False
) -> None:
    """Write what records now hold: (record id, property, new value or None where it was cleared).

    Properties whose values are not kept are passed over. `fresh` says that the records are new, so that there is
    nothing to remove. Two statements at most, however many changes.
    """
    changes = [change for change in changes if change[1].writes_values]
    if not changes:
        return
    if not fresh:
        gone: dict[str, list[str]] = {}
        for record_id, prop, _ in changes:
            gone.setdefault(str(record_id), []).append(str(prop.id))
        await tx.execute(DELETE, [int(record_id) for record_id in gone], gone)
    rows = [row for record_id, prop, value in changes for row in rows_of(record_id, prop, value)]
    if rows:
        await tx.execute(INSERT, *map(list, zip(*rows, strict=True)))


async def fill(tx: Transaction, prop: PropertyRow, after: int, limit: int) -> tuple[int, int]:
    """Write the values of the next `limit` records of the property's object type: (the last one's id, their number)."""
    row = await tx.fetchrow(
        FILL,
        prop.object_type_id,
        after,
        limit,
        prop.id,
        prop.name,
        TEXT_KEPT,
        prop.multiple,
        # What is stored otherwise than its type is no value.
        STORED_AS.get(prop.type, "string"),
    )
    assert row is not None  # an aggregate without groups has one row
    return row["last"] or after, int(row["n"])


async def clear(tx: Transaction, prop: PropertyRow, limit: int) -> int:
    """Forget up to `limit` values of a property; how many there were."""
    return await tx.execute(CLEAR, prop.id, limit)


def rows_of(
    record_id: int, prop: PropertyRow, value: Any
) -> Iterator[tuple[int, int, int, str | None, Decimal | None]]:
    """The rows of a value: (record, property, position, text, number)."""
    if value is None:
        return
    for position, part in enumerate(value if isinstance(value, list | tuple) else [value]):
        if isinstance(part, bool):
            yield record_id, prop.id, position, "true" if part else "false", None
        elif isinstance(part, int | float):
            yield record_id, prop.id, position, None, Decimal(str(part))
        else:
            yield record_id, prop.id, position, part[:TEXT_KEPT], None
