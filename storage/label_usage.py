"""How much a label is used, and who has more under it than a limit would allow."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from storage.database import Queryable
from storage.statements import Statement

# No index leads from a type to its associations: it would cost every write as much as the inverse does, for a
# question that is asked when labels are managed. The primary key alone holds all that is counted here.
COUNTS = Statement(
    "label_usage.counts",
    """
    SELECT a.type_id, count(*)
      FROM association AS a
     WHERE a.account_id = $1 AND a.type_id = ANY($2::bigint[])
     GROUP BY a.type_id
    """,
)

# Along the primary key of the counters, so a page ends as soon as it is full. Archived records are under no limit.
VIOLATIONS = Statement(
    "label_usage.violations",
    """
    SELECT c.record_id, c.n
      FROM association_count AS c
           JOIN record AS r ON r.account_id = $1 AND r.id = c.record_id AND r.archived_at IS NULL
     WHERE c.account_id = $1 AND c.type_id = $2 AND c.n > $3 AND c.record_id > $4
     ORDER BY c.record_id LIMIT $5
    """,
)

VIOLATIONS_TOTAL = Statement(
    "label_usage.violations_total",
    """
    SELECT count(*)
      FROM association_count AS c
           JOIN record AS r ON r.account_id = $1 AND r.id = c.record_id AND r.archived_at IS NULL
     WHERE c.account_id = $1 AND c.type_id = $2 AND c.n > $3
    """,
)


@dataclass(frozen=True, slots=True)
class Excess:
    """A record with more associations under a type than a limit allows."""

    record_id: int
    count: int


async def counts(reader: Queryable, type_ids: Collection[int]) -> dict[int, int]:
    """The number of directed associations under each type that has any, archived records' included."""
    return {row[0]: row[1] for row in await reader.fetch(COUNTS, list(type_ids))}


async def violations(
    reader: Queryable, type_id: int, limit: int, *, after: int, size: int
) -> Sequence[Excess]:
    """Up to `size` records behind the id `after` that have more than `limit` under a type, in id order."""
    return [Excess(*row) for row in await reader.fetch(VIOLATIONS, type_id, limit, after, size)]


async def violations_total(reader: Queryable, type_id: int, limit: int) -> int:
    """How many records have more than `limit` under a type."""
    found: int = await reader.fetchval(VIOLATIONS_TOTAL, type_id, limit)
    return found
