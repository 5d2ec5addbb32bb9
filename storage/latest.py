"""Of the records associated with one another, the one that was updated last."""

from collections.abc import Sequence

from storage.database import Queryable
from storage.records import COLUMNS, RecordRow
from storage.statements import Statement

# For each place a range of the primary key of associations, and a probe for each neighbour in it; equal times are
# told apart by id, so that the answer is the same each time. The subqueries are no joins that could be turned round.
LATEST = Statement(
    "latest.latest",
    f"""
    SELECT k.n, r.*
      FROM unnest($2::bigint[], $3::bigint[], $4::bigint[])
           WITH ORDINALITY AS k(from_id, to_object_type_id, type_id, n)
     CROSS JOIN LATERAL (
           SELECT {COLUMNS}
             FROM (SELECT a.to_id FROM association AS a
                    WHERE a.account_id = $1 AND a.from_id = k.from_id
                      AND a.to_object_type_id = k.to_object_type_id AND a.type_id = k.type_id
                   OFFSET 0) AS a
            CROSS JOIN LATERAL (SELECT {COLUMNS} FROM record AS r
                                 WHERE r.account_id = $1 AND r.id = a.to_id AND r.archived_at IS NULL
                                 LIMIT 1) AS r
            ORDER BY r.updated_at DESC, r.id DESC LIMIT 1
           ) AS r
    """,
)


async def latest(reader: Queryable, places: Sequence[tuple[int, int, int]]) -> list[RecordRow | None]:
    """For each (record, object type, association type that stands at the record): the neighbour that was updated last.

    In the order asked; None where there is none. Archived ones are passed over.
    """
    rows = await reader.fetch(
        LATEST, [place[0] for place in places], [place[1] for place in places], [place[2] for place in places]
    )
    found = {row["n"]: RecordRow(*tuple(row)[1:]) for row in rows}
    return [found.get(n) for n in range(1, len(places) + 1)]
