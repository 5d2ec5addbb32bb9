"""Associations of records under some types: what a sync's roles compare."""

from collections.abc import Sequence

from storage.database import Queryable
from storage.statements import Statement

# For each record and type a range of the primary key of associations; archived ends are among them.
OF_RECORDS = Statement(
    "sync_ends.of_records",
    """
    SELECT a.from_id, a.type_id, a.to_id
      FROM unnest($2::bigint[]) AS r(id)
     CROSS JOIN unnest($3::bigint[], $4::bigint[]) AS t(to_object_type_id, type_id)
     CROSS JOIN LATERAL (
           SELECT k.from_id, k.type_id, k.to_id FROM association AS k
            WHERE k.account_id = $1 AND k.from_id = r.id AND k.to_object_type_id = t.to_object_type_id
              AND k.type_id = t.type_id
           OFFSET 0
           ) AS a
    """,
)


async def of_records(
    reader: Queryable, record_ids: Sequence[int], types: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], set[int]]:
    """{(record, type): the other ends}; `types` are pairs of the other ends' object type and the association type."""
    found: dict[tuple[int, int], set[int]] = {}
    rows = await reader.fetch(
        OF_RECORDS, list(record_ids), [one[0] for one in types], [one[1] for one in types]
    )
    for row in rows:
        found.setdefault((row[0], row[1]), set()).add(row[2])
    return found
