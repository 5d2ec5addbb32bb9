"""What stands in a plan: items put in once, shown page by page, and asked whether a record or an item is among them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class PlanItemRow:
    """What a plan would do with one record, item or both: see storage.tables.sync_plans.SyncPlanItem."""

    id: int
    kind: str
    record_id: int | None
    external_id: str | None
    record_version: int | None
    version: str | None
    effect: dict[str, Any]
    outcome: str | None = None
    message: str | None = None
    match_key: str | None = None


ITEM = """i.id, i.kind, i.record_id, i.external_id, i.record_version, i.version, i.effect, i.outcome, i.message,
           i.match_key"""

# A record and an item stand in a plan once: reads tell of items several times.
PUT = Statement(
    "sync_plan_items.put",
    """
    INSERT INTO sync_plan_item (account_id, plan_id, id, kind, record_id, external_id, record_version, version, effect,
                                match_key)
    SELECT $1, $2, g.id, g.kind, g.record_id, g.external_id, g.record_version, g.version, g.effect, g.match_key
      FROM unnest($3::bigint[], $4::text[], $5::bigint[], $6::text[], $7::bigint[], $8::text[], $9::jsonb[],
                  $10::text[])
           AS g(id, kind, record_id, external_id, record_version, version, effect, match_key)
    ON CONFLICT DO NOTHING
    RETURNING id
    """,
)

# In the order made. Of one kind: a range of its index; of any: a range of the key.
PAGE = Statement(
    "sync_plan_items.page",
    f"""
    SELECT {ITEM} FROM sync_plan_item AS i
     WHERE i.account_id = $1 AND i.plan_id = $2 AND i.id > $3 AND ($5::text IS NULL OR i.outcome = $5)
     ORDER BY i.id LIMIT $4
    """,
)

PAGE_OF_KIND = Statement(
    "sync_plan_items.page_of_kind",
    f"""
    SELECT {ITEM} FROM sync_plan_item AS i
     WHERE i.account_id = $1 AND i.plan_id = $2 AND i.kind = $6 AND i.id > $3
       AND ($5::text IS NULL OR i.outcome = $5)
     ORDER BY i.id LIMIT $4
    """,
)

# What a plan says already of these records and items: a probe for each. A range of one, in its order:
# only their own indexes give that without sorting, whatever the planner believes of the table.
TAKEN = Statement(
    "sync_plan_items.taken",
    """
    SELECT i.record_id, NULL::text AS external_id
      FROM unnest($3::bigint[]) AS g(record_id)
     CROSS JOIN LATERAL (
           SELECT k.record_id FROM sync_plan_item AS k
            WHERE k.account_id = $1 AND k.plan_id = $2 AND k.record_id BETWEEN g.record_id AND g.record_id
            ORDER BY k.record_id LIMIT 1
           ) AS i
    UNION ALL
    SELECT NULL, i.external_id
      FROM unnest($4::text[]) AS g(external_id)
     CROSS JOIN LATERAL (
           SELECT k.external_id FROM sync_plan_item AS k
            WHERE k.account_id = $1 AND k.plan_id = $2 AND k.external_id BETWEEN g.external_id AND g.external_id
            ORDER BY k.external_id LIMIT 1
           ) AS i
    """,
)

KEYED = Statement(
    "sync_plan_items.keyed",
    """
    SELECT i.match_key
      FROM unnest($3::text[]) AS g(match_key)
     CROSS JOIN LATERAL (
           SELECT k.match_key FROM sync_plan_item AS k
            WHERE k.account_id = $1 AND k.plan_id = $2 AND k.match_key BETWEEN g.match_key AND g.match_key
            ORDER BY k.match_key LIMIT 1
           ) AS i
    """,
)

# A page of an object type's records, with those of which neither a link nor the plan speaks yet. Probes, each along its
# own index.
UNPLANNED = Statement(
    "sync_plan_items.unplanned",
    """
    WITH page AS MATERIALIZED (
        SELECT r.id FROM record AS r
         WHERE r.account_id = $1 AND r.object_type_id = $2 AND r.archived_at IS NULL AND r.id > $3
         ORDER BY r.id LIMIT $4
    )
    SELECT page.id, linked.known IS NULL AND planned.known IS NULL AS news
      FROM page
      LEFT JOIN LATERAL (
           SELECT true AS known FROM sync_link AS l
            WHERE l.account_id = $1 AND l.sync_id = $5 AND l.external_id IS NOT NULL
              AND l.record_id BETWEEN page.id AND page.id
            ORDER BY l.record_id LIMIT 1
           ) AS linked ON true
      LEFT JOIN LATERAL (
           SELECT true AS known FROM sync_plan_item AS i
            WHERE i.account_id = $1 AND i.plan_id = $6 AND i.record_id BETWEEN page.id AND page.id
            ORDER BY i.record_id LIMIT 1
           ) AS planned ON true
     ORDER BY page.id
    """,
)


async def put(tx: Transaction, plan_id: int, items: Sequence[PlanItemRow]) -> set[int]:
    """Add items; those whose record or item is in the plan already are left out. The ids of those added."""
    if not items:
        return set()
    rows = await tx.fetch(
        PUT,
        plan_id,
        [item.id for item in items],
        [item.kind for item in items],
        [item.record_id for item in items],
        [item.external_id for item in items],
        [item.record_version for item in items],
        [item.version for item in items],
        [item.effect for item in items],
        [item.match_key for item in items],
    )
    return {row["id"] for row in rows}


async def page(
    reader: Queryable,
    plan_id: int,
    *,
    kind: str | None = None,
    outcome: str | None = None,
    after: int,
    limit: int,
) -> list[PlanItemRow]:
    """Up to `limit` items of a plan with ids above `after`, in the order made: all, or of one kind or outcome."""
    if kind is None:
        rows = await reader.fetch(PAGE, plan_id, after, limit, outcome)
    else:
        rows = await reader.fetch(PAGE_OF_KIND, plan_id, after, limit, outcome, kind)
    return [PlanItemRow(*row) for row in rows]


async def taken(
    reader: Queryable, plan_id: int, record_ids: Sequence[int], external_ids: Sequence[str]
) -> tuple[set[int], set[str]]:
    """Which of these records and items a plan speaks of already."""
    rows = await reader.fetch(TAKEN, plan_id, list(record_ids), list(external_ids))
    return (
        {row["record_id"] for row in rows if row["record_id"] is not None},
        {row["external_id"] for row in rows if row["external_id"] is not None},
    )


async def keyed(reader: Queryable, plan_id: int, match_keys: Sequence[str]) -> set[str]:
    """Those of these keys that a record which the plan would create has."""
    return {row["match_key"] for row in await reader.fetch(KEYED, plan_id, list(match_keys))}


async def unplanned(
    reader: Queryable, plan_id: int, sync_id: int, object_type_id: int, *, after: int, limit: int
) -> tuple[list[int], int | None]:
    """Records of a page that are neither linked nor planned, and the page's last one (None: there are no more)."""
    rows = await reader.fetch(UNPLANNED, object_type_id, after, limit, sync_id, plan_id)
    return [row["id"] for row in rows if row["news"]], rows[-1]["id"] if len(rows) == limit else None
