"""What the Python fold of filters reads, set by set; and SQL's own answer for records that reach too much."""

from collections.abc import Collection, Sequence
from typing import Any

from storage.database import Queryable
from storage.filters.compile import compile
from storage.filters.tree import Filter
from storage.statements import Statement

# By primary key.
VISIBLE = Statement(
    "filters.visible",
    """
    SELECT r.id, r.object_type_id, r.properties
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


async def visible(reader: Queryable, ids: Collection[int]) -> list[tuple[int, int, dict[str, Any]]]:
    """(id, object type id, properties) of those records that are there and not archived, in no order."""
    rows = await reader.fetch(VISIBLE, list(ids))
    return [(row[0], row[1], row[2]) for row in rows]


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


async def met(reader: Queryable, filter_: Filter, object_type_id: int, ids: Sequence[int]) -> set[int]:
    """Those of the records that SQL finds to meet `filter_`; archived ones meet nothing."""
    given: list[Any] = [ids, object_type_id]

    def add(value: Any, cast: str) -> str:
        given.append(value)
        return f"${len(given) + 1}::{cast}"

    condition = compile(filter_, "r", add)
    rows = await reader.fetch(
        "SELECT r.id FROM record AS r WHERE r.account_id = $1 AND r.id = ANY($2::bigint[])"
        f" AND r.object_type_id = $3::bigint AND r.archived_at IS NULL AND {condition}",
        *given,
    )
    return {row[0] for row in rows}
