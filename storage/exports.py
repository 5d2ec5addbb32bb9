"""What exports read, all of it in one snapshot: ids by a cursor, and who is associated with some of them."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from storage.database import Queryable, Reader
from storage.filters.times import settled
from storage.selection.sources import every
from storage.selection.sql import Params
from storage.selection.tree import Order, Records
from storage.statements import Statement

# Counters are what keeps a piece small: a hub's neighbours are not read beside those of a thousand others.
COUNTS = Statement(
    "exports.counts",
    """
    SELECT s.n, sum(c.n)::bigint
      FROM unnest($2::bigint[]) WITH ORDINALITY AS s(id, n)
           CROSS JOIN unnest($3::bigint[]) AS t(type_id)
           CROSS JOIN LATERAL (
               SELECT c.n FROM association_count AS c
                WHERE c.account_id = $1 AND c.record_id = s.id AND c.type_id = t.type_id
               OFFSET 0) AS c
     GROUP BY s.n
    """,
)

# A range of the primary key for each record and column. Whether a neighbour is archived is seen when it is read.
NEIGHBOURS = Statement(
    "exports.neighbours",
    """
    SELECT s.n, k.n, a.to_id
      FROM unnest($2::bigint[]) WITH ORDINALITY AS s(id, n)
           CROSS JOIN unnest($3::bigint[], $4::bigint[]) WITH ORDINALITY AS k(to_object_type_id, type_id, n)
           CROSS JOIN LATERAL (
               SELECT a.to_id FROM association AS a
                WHERE a.account_id = $1 AND a.from_id = s.id AND a.to_object_type_id = k.to_object_type_id
                  AND a.type_id = k.type_id
               OFFSET 0) AS a
    """,
)


async def ids(
    reader: Reader, source: Records, order: Order, *, now: datetime, size: int
) -> AsyncIterator[list[int]]:
    """The ids of a source's records in an order, `size` at a time."""
    params = Params()
    sql = every(source, order, params, "t")
    async for rows in reader.pieces(sql, *settled(params.values, now), size=size):
        yield [row[0] for row in rows]


async def counts(reader: Queryable, record_ids: Sequence[int], types: Sequence[int]) -> list[int]:
    """How many associations of these types each record has, in the order asked."""
    found = [0] * len(record_ids)
    for row in await reader.fetch(COUNTS, list(record_ids), list(types)):
        found[row[0] - 1] = row[1]
    return found


async def neighbours(
    reader: Queryable, record_ids: Sequence[int], columns: Sequence[tuple[int, int]]
) -> list[list[list[int]]]:
    """For each record, in the order asked, who is associated under each (object type, association type)."""
    found: list[list[list[int]]] = [[[] for _ in columns] for _ in record_ids]
    object_types = [object_type for object_type, _ in columns]
    types = [type_id for _, type_id in columns]
    for row in await reader.fetch(NEIGHBOURS, list(record_ids), object_types, types):
        found[row[0] - 1][row[1] - 1].append(row[2])
    return found
