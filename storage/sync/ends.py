"""Ends of associations: those of records under some types, and the links that hold the other ends."""

from collections.abc import Sequence
from dataclasses import dataclass

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

# Ends of associations: both halves of links of several syncs; those of which one is gone are told, too.
HALVES = Statement(
    "sync_ends.halves",
    """
    SELECT g.sync_id, l.record_id, l.external_id, l.deleted IS NOT NULL AS gone, l.state = 'EXCLUDED' AS excluded
      FROM unnest($2::bigint[], $3::bigint[], $4::text[]) AS g(sync_id, record_id, external_id)
     CROSS JOIN LATERAL (
           (SELECT k.record_id, k.external_id, k.deleted, k.state FROM sync_link AS k
             WHERE k.account_id = $1 AND k.sync_id = g.sync_id
               AND k.record_id BETWEEN g.record_id AND g.record_id
             ORDER BY k.record_id LIMIT 1)
           UNION ALL
           (SELECT k.record_id, k.external_id, k.deleted, k.state FROM sync_link AS k
             WHERE k.account_id = $1 AND k.sync_id = g.sync_id AND k.external_id >= g.external_id
             ORDER BY k.external_id LIMIT 1)
           ) AS l
     WHERE l.record_id = g.record_id OR l.external_id = g.external_id
    """,
)


@dataclass(frozen=True, slots=True)
class End:
    """A link that is the other end of an association. `gone`: one half of it was deleted."""

    sync_id: int
    record_id: int | None
    external_id: str | None
    gone: bool
    excluded: bool

    @property
    def linked(self) -> bool:
        """Whether both halves are there."""
        return self.record_id is not None and self.external_id is not None and not self.gone


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


async def halves(reader: Queryable, asked: Sequence[tuple[int, int | None, str | None]]) -> list[End]:
    """The links that hold the given record or the given item of a sync."""
    if not asked:
        return []
    rows = await reader.fetch(HALVES, *([one[n] for one in asked] for n in range(3)))
    return [End(*row) for row in rows]
