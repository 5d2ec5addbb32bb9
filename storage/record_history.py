"""Property history of many records: a page of each in one statement."""

from collections.abc import Sequence

from storage.database import Queryable
from storage.records import HistoryRow
from storage.statements import Statement

# Along the primary key, newest first: a page a record, however long its history.
PAGES = Statement(
    "record_history.pages",
    """
    SELECT s.n, h.version, h.at, h.changed, h.source, h.source_id, h.user_id
      FROM unnest($2::bigint[]) WITH ORDINALITY AS s(id, n)
     CROSS JOIN LATERAL (
        SELECT h.* FROM property_history AS h
         WHERE h.account_id = $1 AND h.record_id = s.id AND h.version < $3
           AND ($4::text IS NULL OR h.changed ? $4)
         ORDER BY h.version DESC LIMIT $5
     ) AS h
     ORDER BY s.n, h.version DESC
    """,
)

NEWEST = 2**63 - 1


async def pages(
    reader: Queryable, record_ids: Sequence[int], *, prop: str | None, before: int, limit: int
) -> list[list[HistoryRow]]:
    """For each record, in the order asked, up to `limit` changes with versions below `before`, newest first."""
    found: list[list[HistoryRow]] = [[] for _ in record_ids]
    for row in await reader.fetch(PAGES, list(record_ids), before, prop, limit):
        found[row[0] - 1].append(HistoryRow(*row[1:]))
    return found
