"""Items of a plan that is being applied: those that are still to be done, and what became of those that are.

What became of an item is written with its effect: whatever is begun anew passes over it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement
from storage.sync.plan_items import ITEM, PlanItemRow

# What became of an item; of those that are SENT_ON, what goes out for them is yet to be written over there.
DONE, OVERTAKEN, FAILED, SENT_ON = "APPLIED", "OVERTAKEN", "FAILED", "SENDING"


@dataclass(frozen=True, slots=True)
class Undone:
    """An item of a plan, and what has to be known to give it to somebody. `out`: it was found from our side."""

    id: int
    record_id: int | None
    external_id: str | None
    kind: str
    out: bool
    # Why it would fail, if it would.
    category: str | None
    # …and whether that is about associations alone.
    ends: bool


# Along the key, behind those that all are done; their effects stay where they are.
UNDONE = Statement(
    "sync_plan_work.undone",
    """
    SELECT i.id, i.record_id, i.external_id, i.kind, i.effect ? 'out' AS out,
           i.effect -> 'problem' ->> 'category' AS category,
           coalesce(i.effect -> 'problem' ? 'ends', false) AS ends
      FROM sync_plan_item AS i
     WHERE i.account_id = $1 AND i.plan_id = $2 AND i.id > $3 AND i.outcome IS NULL
     ORDER BY i.id LIMIT $4
    """,
)

# A page, by the key. One that is done is left out: whoever did it was not heard of.
PAGE_OF = Statement(
    "sync_plan_work.page",
    f"""
    SELECT {ITEM} FROM sync_plan_item AS i
     WHERE i.account_id = $1 AND i.plan_id = $2 AND i.id = ANY($3::bigint[]) AND i.outcome IS NULL
     ORDER BY i.id
    """,
)

# Records that are planned for items: a probe for each, see sync_plan_items.taken.
PROMISED = Statement(
    "sync_plan_work.promised",
    """
    SELECT i.record_id, i.id
      FROM unnest($3::bigint[]) AS g(record_id)
     CROSS JOIN LATERAL (
           SELECT k.record_id, k.id, k.external_id FROM sync_plan_item AS k
            WHERE k.account_id = $1 AND k.plan_id = $2 AND k.record_id BETWEEN g.record_id AND g.record_id
            ORDER BY k.record_id LIMIT 1
           ) AS i
     WHERE i.external_id IS NOT NULL
    """,
)

# Records for which something is to go out, by themselves or by the items that they are linked with: probes for each,
# see sync_plan_items.taken.
SENDING = Statement(
    "sync_plan_work.sending",
    """
    SELECT g.record_id
      FROM unnest($4::bigint[]) AS g(record_id)
     WHERE EXISTS (
           SELECT FROM (
                  SELECT k.outcome FROM sync_plan_item AS k
                   WHERE k.account_id = $1 AND k.plan_id = $2 AND k.record_id BETWEEN g.record_id AND g.record_id
                   ORDER BY k.record_id LIMIT 1
                  ) AS i
            WHERE i.outcome = 'SENDING')
        OR EXISTS (
           SELECT FROM (
                  SELECT k.external_id FROM sync_link AS k
                   WHERE k.account_id = $1 AND k.sync_id = $3 AND k.record_id BETWEEN g.record_id AND g.record_id
                   ORDER BY k.record_id LIMIT 1
                  ) AS l
            CROSS JOIN LATERAL (
                  SELECT k.outcome FROM sync_plan_item AS k
                   WHERE k.account_id = $1 AND k.plan_id = $2
                     AND k.external_id BETWEEN l.external_id AND l.external_id
                   ORDER BY k.external_id LIMIT 1
                  ) AS i
            WHERE i.outcome = 'SENDING')
    """,
)

# What is said of the associations of records and items: a probe for each, see sync_plan_items.taken.
ASSOCIATIONS = Statement(
    "sync_plan_work.associations",
    """
    SELECT 'OURS' AS side, i.record_id::text AS item, i.associations
      FROM unnest($3::bigint[]) AS g(record_id)
     CROSS JOIN LATERAL (
           SELECT k.record_id, k.effect -> 'associations' AS associations FROM sync_plan_item AS k
            WHERE k.account_id = $1 AND k.plan_id = $2 AND k.record_id BETWEEN g.record_id AND g.record_id
            ORDER BY k.record_id LIMIT 1
           ) AS i
    UNION ALL
    SELECT 'THEIRS', i.external_id, i.associations
      FROM unnest($4::text[]) AS g(external_id)
     CROSS JOIN LATERAL (
           SELECT k.external_id, k.effect -> 'associations' AS associations FROM sync_plan_item AS k
            WHERE k.account_id = $1 AND k.plan_id = $2 AND k.external_id BETWEEN g.external_id AND g.external_id
            ORDER BY k.external_id LIMIT 1
           ) AS i
    """,
)

# A range of the key, which ends with what is done so far.
SENT = Statement(
    "sync_plan_work.sent",
    f"""
    SELECT {ITEM} FROM sync_plan_item AS i
     WHERE i.account_id = $1 AND i.plan_id = $2 AND i.id > $3 AND i.id <= $4 AND i.outcome = 'SENDING'
     ORDER BY i.id LIMIT $5
    """,
)

# Each range is counted once, with the cursor that moves behind it.
COUNT = Statement(
    "sync_plan_work.count",
    """
    SELECT i.outcome, count(*) AS n FROM sync_plan_item AS i
     WHERE i.account_id = $1 AND i.plan_id = $2 AND i.id > $3 AND i.id <= $4 AND i.outcome IS NOT NULL
     GROUP BY i.outcome
    """,
)

NOTE = Statement(
    "sync_plan_work.note",
    """
    UPDATE sync_plan_item AS i SET outcome = g.outcome, message = g.message
      FROM unnest($3::bigint[], $4::text[], $5::text[]) AS g(id, outcome, message)
     WHERE i.account_id = $1 AND i.plan_id = $2 AND i.id = g.id
    """,
)


async def undone(reader: Queryable, plan_id: int, after: int, limit: int) -> list[Undone]:
    """Up to `limit` items with ids above `after` that nothing has become of yet, in their order."""
    return [Undone(*row) for row in await reader.fetch(UNDONE, plan_id, after, limit)]


async def page(reader: Queryable, plan_id: int, ids: Sequence[int]) -> list[PlanItemRow]:
    """Those of these items that nothing has become of yet, in their order."""
    return [PlanItemRow(*row) for row in await reader.fetch(PAGE_OF, plan_id, list(ids))]


async def promised(reader: Queryable, plan_id: int, record_ids: Sequence[int]) -> dict[int, int]:
    """{record: the plan's item that it is planned for}, of those that are planned for items over there."""
    rows = await reader.fetch(PROMISED, plan_id, list(record_ids))
    return {row["record_id"]: row["id"] for row in rows}


async def sending(reader: Queryable, plan_id: int, sync_id: int, record_ids: Sequence[int]) -> set[int]:
    """Those of these records for which the plan lets something go out."""
    rows = await reader.fetch(SENDING, plan_id, sync_id, list(record_ids))
    return {row["record_id"] for row in rows}


async def associations(
    reader: Queryable, plan_id: int, record_ids: Sequence[int], external_ids: Sequence[str]
) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """{(side, record or item): what the plan says of its associations}, of those of which it says anything."""
    rows = await reader.fetch(ASSOCIATIONS, plan_id, list(record_ids), list(external_ids))
    return {(row["side"], row["item"]): row["associations"] for row in rows if row["associations"]}


async def sent(reader: Queryable, plan_id: int, after: int, upto: int, limit: int) -> list[PlanItemRow]:
    """Up to `limit` items with ids in (after, upto] of which it is to be noted what the sending came to."""
    return [PlanItemRow(*row) for row in await reader.fetch(SENT, plan_id, after, upto, limit)]


async def count(reader: Queryable, plan_id: int, after: int, upto: int) -> Mapping[str, int]:
    """{outcome: how many} of the items with ids in (after, upto]."""
    return {row["outcome"]: row["n"] for row in await reader.fetch(COUNT, plan_id, after, upto)}


async def note(tx: Transaction, plan_id: int, became: Sequence[tuple[int, str, str | None]]) -> None:
    """Note what became of items: (id, outcome, message)."""
    if became:
        ids, names, messages = zip(*became, strict=True)
        await tx.execute(NOTE, plan_id, list(ids), list(names), list(messages))
