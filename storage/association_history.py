"""The history of a record's associations: every one that came or went, with who did it and when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from storage.database import Queryable
from storage.statements import Statement

# What stands tells of its coming, what is gone of its coming and its going. Both tables begin their keys with the
# record, so no more is read than is about it; there is no order by time, so a page sorts that (the first rows of
# it only, in memory).
PAGES = Statement(
    "association_history.pages",
    """
    SELECT s.n, c.at, c.added, c.other_id, c.type_id, c.span, c.source, c.source_id, c.user_id
      FROM unnest($2::bigint[]) WITH ORDINALITY AS s(id, n)
     CROSS JOIN LATERAL (
           SELECT e.*
             FROM (SELECT a.created_at AS at, true AS added, a.to_id AS other_id, a.to_object_type_id, a.type_id,
                          0::bigint AS span, a.source, a.source_id, a.user_id
                     FROM association AS a
                    WHERE a.account_id = $1 AND a.from_id = s.id
                   UNION ALL
                   SELECT h.created_at, true, h.to_id, h.to_object_type_id, h.type_id, h.id, h.source, h.source_id,
                          h.user_id
                     FROM association_history AS h
                    WHERE h.account_id = $1 AND h.from_id = s.id
                   UNION ALL
                   SELECT h.removed_at, false, h.to_id, h.to_object_type_id, h.type_id, h.id, h.removed_source,
                          h.removed_source_id, h.removed_user_id
                     FROM association_history AS h
                    WHERE h.account_id = $1 AND h.from_id = s.id) AS e
            WHERE ($3::bigint IS NULL OR e.to_object_type_id = $3)
              AND ($4::bigint IS NULL OR e.other_id = $4)
              AND ($5::timestamptz IS NULL
                   OR (e.at, e.other_id, e.type_id, e.span, e.added) < ($5, $6, $7, $8, $9))
            ORDER BY e.at DESC, e.other_id DESC, e.type_id DESC, e.span DESC, e.added DESC
            LIMIT $10) AS c
     ORDER BY s.n, c.at DESC, c.other_id DESC, c.type_id DESC, c.span DESC, c.added DESC
    """,
)


class Place(NamedTuple):
    """Where a change stands in a record's history, newest first."""

    at: datetime
    other_id: int
    type_id: int
    span: int
    added: bool


@dataclass(frozen=True, slots=True)
class AssociationChange:
    """An association or a label, standing at the record, that came (`added`) or went."""

    place: Place
    source: str
    source_id: str | None
    user_id: int | None


async def pages(
    reader: Queryable,
    record_ids: Sequence[int],
    *,
    to_object_type_id: int | None,
    other_id: int | None,
    after: Place | None,
    limit: int,
) -> list[list[AssociationChange]]:
    """For each record, in the order asked, up to `limit` changes behind `after`, newest first.

    Only with records of one object type, or with one record, where these are given.
    """
    found: list[list[AssociationChange]] = [[] for _ in record_ids]
    place = tuple(after) if after is not None else (None,) * 5
    rows = await reader.fetch(PAGES, list(record_ids), to_object_type_id, other_id, *place, limit)
    for n, at, added, other, type_id, span, *made in rows:
        found[n - 1].append(AssociationChange(Place(at, other, type_id, span, added), *made))
    return found
