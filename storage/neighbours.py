"""The associated records that an action is about: pages of many records' neighbours, and one picked for each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from storage.database import Queryable
from storage.filters.compile import compile
from storage.filters.times import settled
from storage.filters.tree import Filter, Reach
from storage.statements import Statement

# For each record a range of the primary key of associations, grouped in its order: it begins behind the last neighbour
# seen and ends after $7 of them. $5 are the types of which any one will do; $6: that must stand alone.
PAGES = Statement(
    "neighbours.pages",
    """
    SELECT s.n, a.to_id
      FROM unnest($2::bigint[], $3::bigint[]) WITH ORDINALITY AS s(from_id, after_id, n)
     CROSS JOIN LATERAL (
           SELECT a.to_id FROM association AS a
            WHERE a.account_id = $1 AND a.from_id = s.from_id AND a.to_object_type_id = $4
              AND a.to_id > s.after_id
            GROUP BY a.to_id
           HAVING bool_or(a.type_id = ANY($5::bigint[])) AND (count(*) = 1 OR NOT $6::boolean)
            ORDER BY a.to_id LIMIT $7
           ) AS a
     ORDER BY s.n, a.to_id
    """,
)

# The neighbour that is meant comes first; equal ones are told apart by id, so that the answer is the same each time.
ORDERS = {
    "MOST_RECENTLY_UPDATED": "r.updated_at DESC, r.id",
    "LEAST_RECENTLY_UPDATED": "r.updated_at, r.id",
    "NEWEST": "r.created_at DESC, r.id",
    "OLDEST": "r.created_at, r.id",
    "MOST_RECENTLY_ASSOCIATED": "a.created_at DESC, r.id",
    "FIRST_ASSOCIATED": "a.created_at, r.id",
}

# For each record a range of the primary key of associations and a probe for each neighbour in it, fenced: no joins
# that could be turned round.
_PICK = """
    SELECT s.n, p.id
      FROM unnest($2::bigint[]) WITH ORDINALITY AS s(from_id, n)
     CROSS JOIN LATERAL (
           SELECT r.id
             FROM (SELECT a.to_id, a.created_at FROM association AS a
                    WHERE a.account_id = $1 AND a.from_id = s.from_id AND a.to_object_type_id = $3
                      AND a.type_id = ANY($4::bigint[]){only}
                   OFFSET 0) AS a
            CROSS JOIN LATERAL (SELECT r.id, r.updated_at, r.created_at FROM record AS r
                                 WHERE r.account_id = $1 AND r.id = a.to_id AND r.archived_at IS NULL{where}
                                 LIMIT 1) AS r
            ORDER BY {order} LIMIT 1
           ) AS p
"""
_ONLY = """
                      AND NOT EXISTS (SELECT FROM association AS b
                                       WHERE b.account_id = $1 AND b.from_id = s.from_id
                                         AND b.to_object_type_id = $3 AND b.to_id = a.to_id
                                         AND b.type_id <> ALL($4::bigint[]))"""


async def pages(
    reader: Queryable, starts: Sequence[tuple[int, int]], reach: Reach, limit: int
) -> list[list[int]]:
    """For each (record, last neighbour seen): up to `limit` next neighbours that `reach` regards, rising.

    Archived ones are among them.
    """
    rows = await reader.fetch(
        PAGES,
        [start[0] for start in starts],
        [start[1] for start in starts],
        reach.to_object_type_id,
        list(reach.type_ids),
        reach.only,
        limit,
    )
    found: list[list[int]] = [[] for _ in starts]
    for row in rows:
        found[row[0] - 1].append(row[1])
    return found


async def picked(
    reader: Queryable, ids: Sequence[int], reach: Reach, order: str, where: Filter | None, *, now: datetime
) -> dict[int, int]:
    """Of each record's visible neighbours that `reach` regards and that meet `where`, the first in `order`.

    {record: neighbour}; who has none is missing. One statement, whatever the number of records and neighbours.
    """
    given: list[Any] = [list(ids), reach.to_object_type_id, list(reach.type_ids)]

    def add(value: Any, cast: str) -> str:
        given.append(value)
        return f"${len(given) + 1}::{cast}"

    condition = "" if where is None else f" AND {compile(where, 'r', add)}"
    statement = _PICK.format(only=_ONLY if reach.only else "", where=condition, order=ORDERS[order])
    rows = await reader.fetch(statement, *settled(given, now))
    return {ids[row[0] - 1]: row[1] for row in rows}
