"""Records of one object type page by page: those that a sync does not know yet."""

from storage.database import Queryable
from storage.statements import Statement

# A keyset page by the index of the default order, a probe for each record (see links); the last row tells its end.
UNLINKED = Statement(
    "sync_scans.unlinked",
    """
    WITH page AS MATERIALIZED (
        SELECT r.id, r.archived_at FROM record AS r
         WHERE r.account_id = $1 AND r.object_type_id = $3 AND r.id > $4
         ORDER BY r.id LIMIT $5
    )
    SELECT page.id, page.archived_at IS NULL AS live,
           page.archived_at IS NULL
           AND (SELECT l.record_id = page.id AND l.external_id IS NOT NULL FROM sync_link AS l
                 WHERE l.account_id = $1 AND l.sync_id = $2 AND l.record_id >= page.id
                 ORDER BY l.record_id LIMIT 1) IS NOT TRUE AS free
      FROM page
     ORDER BY page.id
    """,
)


async def unlinked(
    reader: Queryable, sync_id: int, object_type_id: int, after: int, limit: int
) -> tuple[list[int], list[int], int | None]:
    """Records of a page that are linked with no item, those that are, and the last one (None: there are no more)."""
    rows = await reader.fetch(UNLINKED, sync_id, object_type_id, after, limit)
    found = [row["id"] for row in rows if row["free"]]
    others = [row["id"] for row in rows if row["live"] and not row["free"]]
    return found, others, rows[-1]["id"] if len(rows) == limit else None
