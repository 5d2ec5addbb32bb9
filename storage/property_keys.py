"""Hashes of the values of properties that are not searchable, in a narrow side table: equality finds its records there.

Half the bytes of the searchable values' table, one index instead of two: see docs/decisions on property indexes.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Any

from storage.catalogue import PropertyRow
from storage.database import Transaction
from storage.places import places
from storage.statements import Statement

# Along the primary key, in its order. A fill may have written the row already, and so may have a writer that it
# meets; neither is wrong.
INSERT = Statement(
    "property_keys.insert",
    """
    INSERT INTO property_key (account_id, property_id, value_hash, record_id)
    SELECT $1, n.property_id, n.value_hash, n.record_id
      FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS n(property_id, value_hash, record_id)
        ON CONFLICT DO NOTHING
    """,
)

# The same without the look beforehand that a conflict needs: values of new records meet nothing.
INSERT_FRESH = Statement(
    "property_keys.insert_fresh",
    """
    INSERT INTO property_key (account_id, property_id, value_hash, record_id)
    SELECT $1, n.property_id, n.value_hash, n.record_id
      FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS n(property_id, value_hash, record_id)
    """,
)

# By the whole primary key of each row, whatever the planner believes of the table: the inner loop is fenced, and
# its rows are removed by their place.
_PLACES = places(
    """ARRAY(SELECT (SELECT g.ctid FROM property_key AS g
                     WHERE g.account_id = $1 AND g.property_id = n.property_id AND g.value_hash = n.value_hash
                       AND g.record_id = n.record_id)
              FROM unnest($2::bigint[], $3::bigint[], $4::bigint[]) AS n(property_id, value_hash, record_id))"""
)
DELETE = Statement(
    "property_keys.delete",
    f"""
    DELETE FROM property_key AS k
     USING {_PLACES}
     WHERE k.account_id = $1 AND k.ctid = p.place
    """,
)

# A keyset page of records as they are now, held still until the chunk is written: who changes one afterwards
# writes its keys anew.
PAGE = Statement(
    "property_keys.page",
    """
    SELECT r.id, r.properties -> $5::text AS value
      FROM record AS r
     WHERE r.account_id = $1 AND r.object_type_id = $2 AND r.id > $3
     ORDER BY r.id LIMIT $4
       FOR SHARE
    """,
)

# A part of the range of the primary key that is a property; sorted for the same reason as searchable values.
_FIRST = places(
    """ARRAY(SELECT g.ctid FROM property_key AS g
              WHERE g.account_id = $1 AND g.property_id = $2
              ORDER BY g.value_hash LIMIT $3)"""
)
CLEAR = Statement(
    "property_keys.clear",
    f"""
    DELETE FROM property_key AS k
     USING {_FIRST}
     WHERE k.account_id = $1 AND k.ctid = p.place AND k.property_id = $2
    """,
)


def value_hash(value: Any) -> int:
    """64 bits of a value (of one choice, where there are several); equal values have equal ones.

    Numbers hash by what they are worth, not by how they are written.
    """
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, int | float):
        # Plus nothing: a negative zero is a zero.
        text = str(Decimal(str(value)).normalize() + 0)
    else:
        text = value
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


async def replace(tx: Transaction, changes: Sequence[tuple[int, PropertyRow, Any, Any]]) -> None:
    """Write what records now hold: (record id, property, the value before or None, the new value or None).

    Properties whose keys are not kept are passed over. Two statements at most, however many changes.
    """
    gone: list[tuple[int, int, int]] = []
    rows: list[tuple[int, int, int]] = []
    for record_id, prop, before, after in changes:
        if prop.writes_keys:
            if before is None:
                rows += [(prop.id, one, record_id) for one in hashes(after)]
                continue
            was, now = set(hashes(before)), set(hashes(after))
            gone += [(prop.id, one, record_id) for one in was - now]
            rows += [(prop.id, one, record_id) for one in now - was]
    if gone:
        await tx.execute(DELETE, *map(list, zip(*sorted(gone), strict=True)))
    if rows:
        await tx.execute(INSERT, *map(list, zip(*sorted(rows), strict=True)))


async def add(tx: Transaction, values: Iterable[tuple[int, PropertyRow, Any]]) -> None:
    """Write what new records hold: (record id, property, value)."""
    rows = [
        (prop.id, one, record_id)
        for record_id, prop, value in values
        if prop.writes_keys
        for one in hashes(value)
    ]
    if rows:
        await tx.execute(INSERT_FRESH, *map(list, zip(*sorted(rows), strict=True)))


async def fill(tx: Transaction, prop: PropertyRow, after: int, limit: int) -> tuple[int, int]:
    """Write the keys of the next `limit` records of the property's object type: (the last one's id, their number)."""
    page = await tx.fetch(PAGE, prop.object_type_id, after, limit, prop.name)
    rows = sorted((prop.id, one, row[0]) for row in page for one in hashes(row[1]))
    if rows:
        await tx.execute(INSERT, *map(list, zip(*rows, strict=True)))
    return (page[-1][0] if page else after), len(page)


async def clear(tx: Transaction, prop: PropertyRow, limit: int) -> int:
    """Forget up to `limit` keys of a property; how many there were."""
    return await tx.execute(CLEAR, prop.id, limit)


def hashes(value: Any) -> Iterable[int]:
    """The hashes of a value: one for each choice."""
    if isinstance(value, list | tuple):
        return {value_hash(one) for one in value if isinstance(one, str | int | float)}
    # Nothing, or what no property of a declared type holds, is found by no value.
    return (value_hash(value),) if isinstance(value, str | int | float) else ()
