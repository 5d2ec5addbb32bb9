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
           AND (SELECT l.external_id IS NOT NULL FROM sync_link AS l
                 WHERE l.account_id = $1 AND l.sync_id = $2 AND l.record_id BETWEEN page.id AND page.id
                 ORDER BY l.record_id LIMIT 1) IS NOT TRUE AS free
      FROM page
     ORDER BY page.id
    """,
)


# The same for those who ask of the first alone, of many more: two ranges of two indexes, compared by who asked. The
# limit keeps the second to its index, whatever the planner believes of the table: no record is linked twice.
LINKED = Statement(
    "sync_scans.linked",
    """
    WITH page AS MATERIALIZED (
        SELECT r.id, r.archived_at FROM record AS r
         WHERE r.account_id = $1 AND r.object_type_id = $3 AND r.id > $4
         ORDER BY r.id LIMIT $5
    )
    SELECT ARRAY(SELECT p.id FROM page AS p WHERE p.archived_at IS NULL ORDER BY p.id) AS live,
           ARRAY(SELECT l.record_id FROM sync_link AS l
                  WHERE l.account_id = $1 AND l.sync_id = $2 AND l.external_id IS NOT NULL
                    AND l.record_id > $4 AND l.record_id <= (SELECT max(p.id) FROM page AS p)
                  ORDER BY l.record_id LIMIT $5) AS linked,
           (SELECT max(p.id) FROM page AS p) AS last, (SELECT count(*) FROM page AS p) AS n
    """,
)


# Once in an initial sync: two counts along indexes.
WAITING = Statement(
    "sync_scans.waiting",
    """
    SELECT (SELECT count(*) FROM record AS r
             WHERE r.account_id = $1 AND r.object_type_id = $3 AND r.archived_at IS NULL)
         - (SELECT count(*) FROM sync_link AS l
             WHERE l.account_id = $1 AND l.sync_id = $2 AND l.record_id IS NOT NULL AND l.external_id IS NOT NULL)
           AS n
    """,
)


async def waiting(reader: Queryable, sync_id: int, object_type_id: int) -> int:
    """About how many records there are that are linked with no item."""
    row = await reader.fetchrow(WAITING, sync_id, object_type_id)
    assert row is not None  # it is one row, whatever there is
    return max(0, int(row["n"]))


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
    row = await reader.fetchrow(LINKED, sync_id, object_type_id, after, limit)
    assert row is not None  # it is one row, whatever there is
    linked = set(row["linked"])
    ids = [record_id for record_id in row["live"] if record_id not in linked]
    if len(ids) > most:
        return ids[:most], ids[most - 1]
    return ids, row["last"] if row["n"] == limit else None
