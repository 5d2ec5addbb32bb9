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


# The same for those who ask of those alone that are linked with no item: of a longer page, up to so many of them. What
# is behind the last of these is of the next page.
FREE = Statement(
    "sync_scans.free",
    """
    WITH page AS MATERIALIZED (
        SELECT r.id, r.archived_at FROM record AS r
         WHERE r.account_id = $1 AND r.object_type_id = $3 AND r.id > $4
         ORDER BY r.id LIMIT $5
    ), free AS MATERIALIZED (
        SELECT page.id FROM page
         WHERE page.archived_at IS NULL
           AND (SELECT l.record_id = page.id AND l.external_id IS NOT NULL FROM sync_link AS l
                 WHERE l.account_id = $1 AND l.sync_id = $2 AND l.record_id >= page.id
                 ORDER BY l.record_id LIMIT 1) IS NOT TRUE
         ORDER BY page.id LIMIT $6
    )
    SELECT ARRAY(SELECT f.id FROM free AS f ORDER BY f.id) AS ids, max(p.id) AS last, count(*) AS n FROM page AS p
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


async def free(
    reader: Queryable, sync_id: int, object_type_id: int, after: int, limit: int, most: int
) -> tuple[list[int], int | None]:
    """Of `limit` records the first `most` that are linked with no item, and the last one (None: there are no more)."""
    row = await reader.fetchrow(FREE, sync_id, object_type_id, after, limit, most)
    assert row is not None  # an aggregate without groups has one row
    ids: list[int] = row["ids"]
    if len(ids) == most:
        return ids, ids[-1]
    return ids, row["last"] if row["n"] == limit else None
