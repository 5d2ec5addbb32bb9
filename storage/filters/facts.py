"""What the Python fold of filters reads, set by set; and SQL's own answer for records that reach too much."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from storage.arrays import numbers
from storage.database import Queryable, Row
from storage.filters.compile import compile
from storage.filters.indexes import of_record
from storage.filters.times import settled
from storage.filters.tree import Filter
from storage.remembering import Remembering
from storage.statements import Statement

# By primary key.
VISIBLE = Statement(
    "filters.visible",
    """
    SELECT r.id, r.object_type_id, r.properties, r.created_at, r.updated_at, r.last_association_change_at
      FROM record AS r
     WHERE r.account_id = $1 AND r.id = ANY($2::bigint[]) AND r.archived_at IS NULL
    """,
)

# By primary key; a record has a counter for each type that it ever had.
COUNTS = Statement(
    "filters.counts",
    """
    SELECT c.record_id, c.type_id, c.n
      FROM association_count AS c
     WHERE c.account_id = $1 AND c.record_id = ANY($2::bigint[]) AND c.type_id = ANY($3::bigint[])
    """,
)

# One range of the primary key for each record and object type. `$5` names the object types of which every
# association type counts, since a label beside the unlabelled type decides. One row more than asked for
# tells that there are too many.
EDGES = Statement(
    "filters.edges",
    """
    SELECT a.from_id, a.to_object_type_id, a.to_id, a.type_id
      FROM association AS a
     WHERE a.account_id = $1 AND a.from_id = ANY($2::bigint[]) AND a.to_object_type_id = ANY($3::bigint[])
       AND (a.type_id = ANY($4::bigint[]) OR a.to_object_type_id = ANY($5::bigint[]))
     LIMIT $6 + 1
    """,
)


# A record's own moments, as VISIBLE tells them.
MOMENTS = ("created_at", "updated_at", "last_association_change_at")

# Whole histories, along the primary key; each value once, with the last time that it was set. Limited as EDGES.
HISTORY = Statement(
    "filters.history",
    """
    SELECT h.record_id, n.name, h.changed -> n.name AS value, max(h.at) AS at
      FROM property_history AS h CROSS JOIN unnest($3::text[]) AS n(name)
     WHERE h.account_id = $1 AND h.record_id = ANY($2::bigint[]) AND h.changed ? n.name
     GROUP BY h.record_id, n.name, h.changed -> n.name
     LIMIT $4 + 1
    """,
)

SOURCES = Statement(
    "filters.sources",
    """
    SELECT DISTINCT h.record_id, h.version = 1, h.source, h.source_id
      FROM property_history AS h
     WHERE h.account_id = $1 AND h.record_id = ANY($2::bigint[])
     LIMIT $3 + 1
    """,
)

# Along the index of records: a record is in few of the segments, though a segment may have all records. So segments are
# only a test, and ids come as text, of which planners expect few: up to PostgreSQL 16, two lists are looked for in all
# that those segments have.
MEMBERS = Statement(
    "filters.members",
    """
    SELECT m.record_id, m.segment_id, m.joined_at
      FROM segment_member AS m
     WHERE m.account_id = $1 AND m.record_id = ANY((SELECT $2::text)::bigint[])
       AND (m.segment_id = ANY($3::bigint[])) IS TRUE
    """,
)

ENROLLED = Statement(
    "filters.enrolled",
    """
    SELECT e.record_id, e.workflow_id, array_agg(DISTINCT e.status)
      FROM enrollment AS e
     WHERE e.account_id = $1 AND e.record_id = ANY($2::bigint[]) AND e.workflow_id = ANY($3::bigint[])
     GROUP BY e.record_id, e.workflow_id
    """,
)


# Records that are at hand are probed for one by one, and asked then: LIMIT 1 is a fence, so that the planner can begin
# with nothing else, whatever it believes of the tables.
_THESE = """
  FROM unnest($2::bigint[]) AS i(id)
 CROSS JOIN LATERAL (
       SELECT r.* FROM record AS r
        WHERE r.account_id = $1 AND r.id = i.id AND r.object_type_id = $3::bigint AND r.archived_at IS NULL
          AND """


async def visible(reader: Queryable, ids: Collection[int]) -> list[Row]:
    """(id, object type id, properties, *MOMENTS) of those records that are there and not archived, in no order."""
    if not isinstance(reader, Remembering):
        return await reader.fetch(VISIBLE, list(ids))
    known = reader.visible
    if new := [one for one in ids if one not in known]:
        known.update(dict.fromkeys(new))
        known.update((row[0], row) for row in await reader.fetch(VISIBLE, new))
    return [row for one in ids if (row := known[one]) is not None]


async def history(
    reader: Queryable, ids: Collection[int], names: Collection[str], limit: int
) -> list[Row] | None:
    """(record, property name, value, last time) of all that the properties ever held; None: more than `limit`."""
    rows = await reader.fetch(HISTORY, list(ids), list(names), limit)
    return None if len(rows) > limit else rows


async def sources(reader: Queryable, ids: Collection[int], limit: int) -> list[Row] | None:
    """(record, whether it made the record, kind of source, its id); None: there are more than `limit`."""
    rows = await reader.fetch(SOURCES, list(ids), limit)
    return None if len(rows) > limit else rows


async def members(reader: Queryable, ids: Collection[int], segment_ids: Collection[int]) -> list[Row]:
    """(record, segment, since when) of those that are in it."""
    return await reader.fetch(MEMBERS, numbers(ids), list(segment_ids))


async def enrolled(reader: Queryable, ids: Collection[int], workflow_ids: Collection[int]) -> list[Row]:
    """(record, workflow, the statuses of its enrollments) of those that have any."""
    return await reader.fetch(ENROLLED, list(ids), list(workflow_ids))


async def counts(
    reader: Queryable, ids: Collection[int], type_ids: Collection[int]
) -> dict[tuple[int, int], int]:
    """{(record, association type): number of visible associated records}; absent where there never was one."""
    rows = await reader.fetch(COUNTS, list(ids), list(type_ids))
    return {(row[0], row[1]): row[2] for row in rows}


async def edges(
    reader: Queryable, ids: Collection[int], wanted: dict[int, set[int] | None], limit: int
) -> list[tuple[int, int, int, int]] | None:
    """(from, object type of the other end, other end, association type), archived ends included.

    `wanted` names the association types of each object type, None for all. None: there are more than `limit`.
    """
    types = [type_id for some in wanted.values() if some is not None for type_id in some]
    whole = [object_type_id for object_type_id, some in wanted.items() if some is None]
    rows = await reader.fetch(EDGES, list(ids), list(wanted), types, whole, limit)
    return None if len(rows) > limit else [(row[0], row[1], row[2], row[3]) for row in rows]


async def met(
    reader: Queryable, filter_: Filter, object_type_id: int, ids: Sequence[int], *, now: datetime
) -> set[int]:
    """Those of the records that SQL finds to meet `filter_` at `now`; archived ones meet nothing."""
    given: list[Any] = [ids, object_type_id]

    def add(value: Any, cast: str) -> str:
        given.append(value)
        return f"${len(given) + 1}::{cast}"

    condition = compile(filter_, "r", add)
    rows = await reader.fetch(f"SELECT r.id {_THESE}{condition} LIMIT 1) AS r", *settled(given, now))
    return {row[0] for row in rows}


async def met_each(
    reader: Queryable, filters: Sequence[Filter], object_type_id: int, ids: Sequence[int], *, now: datetime
) -> list[set[int]]:
    """For each filter those of the records that SQL finds to meet it at `now`, in the order asked.

    Filters of the records' own properties are asked together: reading a record is most of what each costs.
    """
    if not ids:
        return [set() for _ in filters]
    alone = [of_record(filter_) for filter_ in filters]
    together = iter(
        await _met_together(reader, [one for one in alone if one is not None], object_type_id, ids, now)
    )
    return [
        await met(reader, filter_, object_type_id, ids, now=now) if one is None else next(together)
        for filter_, one in zip(filters, alone, strict=True)
    ]


async def _met_together(
    reader: Queryable, filters: Sequence[Filter], object_type_id: int, ids: Sequence[int], now: datetime
) -> list[set[int]]:
    if not filters:
        return []
    given: list[Any] = [ids, object_type_id]

    def add(value: Any, cast: str) -> str:
        given.append(value)
        return f"${len(given) + 1}::{cast}"

    answers = ", ".join(f"array_agg(r.id) FILTER (WHERE {compile(one, 'r', add)})" for one in filters)
    row = await reader.fetchrow(f"SELECT {answers} {_THESE}true LIMIT 1) AS r", *settled(given, now))
    assert row is not None  # an aggregate of nothing is a row, too
    return [set(found or ()) for found in row]
