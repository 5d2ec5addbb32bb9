"""Plans: previews of what a sync would do, made step by step, shown page by page, applied item by item."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from storage.database import Queryable, Transaction
from storage.statements import Statement


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan: see storage.tables.sync_plans.SyncPlan. `cursors` is where making or applying it goes on."""

    id: int
    sync_id: int
    revision: int
    # WANTED, MAKING, READY, APPLYING, APPLIED or FAILED.
    state: str
    cursors: dict[str, Any]
    # {kind: number of items}, {"ADDED OURS" and the like: number of associations}; once it is applied, {outcome: number
    # of items}.
    counts: dict[str, int]
    then_start: bool
    message: str | None
    made_at: datetime
    ready_at: datetime | None
    applied_at: datetime | None
    user_id: int | None


_PLAN = """p.id, p.sync_id, p.revision, p.state, p.cursors, p.counts, p.then_start, p.message, p.made_at, p.ready_at,
           p.applied_at, p.user_id"""

INSERT = Statement(
    "sync_plans.insert",
    """
    INSERT INTO sync_plan (account_id, id, sync_id, revision, state, cursors, counts, then_start, message, made_at,
                           ready_at, applied_at, user_id)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
    """,
)

BY_IDS = Statement(
    "sync_plans.by_ids",
    f"SELECT {_PLAN} FROM sync_plan AS p WHERE p.account_id = $1 AND p.id = ANY($2::bigint[])",
)

LOCK = Statement(
    "sync_plans.lock",
    f"SELECT {_PLAN} FROM sync_plan AS p WHERE p.account_id = $1 AND p.id = $2 FOR UPDATE",
)

# Newest first, along the index of a sync's plans; there are few of them.
OF_SYNC = Statement(
    "sync_plans.of_sync",
    f"""
    SELECT {_PLAN} FROM sync_plan AS p
     WHERE p.account_id = $1 AND p.sync_id = $2 AND p.id < $3
     ORDER BY p.id DESC LIMIT $4
    """,
)

# What waits for the worker: oldest first.
UNDONE = Statement(
    "sync_plans.undone",
    f"""
    SELECT {_PLAN} FROM sync_plan AS p
     WHERE p.account_id = $1 AND p.sync_id = $2 AND p.state = ANY($3::text[])
     ORDER BY p.id LIMIT 1
    """,
)

WRITE = Statement(
    "sync_plans.write",
    """
    UPDATE sync_plan AS p
       SET state = $3, cursors = $4, counts = $5, then_start = $6, message = $7, ready_at = $8, applied_at = $9
     WHERE p.account_id = $1 AND p.id = $2
    """,
)


# Bit by bit: a plan of a big sync has a million items.
FORGET_ITEMS = Statement(
    "sync_plans.forget_items",
    """
    DELETE FROM sync_plan_item AS i
     WHERE i.account_id = $1
       AND (i.plan_id, i.id) IN (
           SELECT o.plan_id, o.id FROM sync_plan_item AS o
            WHERE o.account_id = $1
              AND o.plan_id = ANY(ARRAY(SELECT p.id FROM sync_plan AS p
                                         WHERE p.account_id = $1 AND p.sync_id = $2 AND p.id < $3))
            LIMIT $4)
    """,
)

FORGET_PLANS = Statement(
    "sync_plans.forget_plans",
    "DELETE FROM sync_plan AS p WHERE p.account_id = $1 AND p.sync_id = $2 AND p.id < $3",
)

# Unfinished plans of a sync end where another one is asked for.
SUPERSEDE = Statement(
    "sync_plans.supersede",
    """
    UPDATE sync_plan AS p SET state = 'FAILED', message = $3
     WHERE p.account_id = $1 AND p.sync_id = $2 AND p.state = ANY($4::text[])
    """,
)


async def insert(tx: Transaction, row: PlanRow) -> None:
    """Write a new plan."""
    await tx.execute(
        INSERT,
        row.id,
        row.sync_id,
        row.revision,
        row.state,
        row.cursors,
        row.counts,
        row.then_start,
        row.message,
        row.made_at,
        row.ready_at,
        row.applied_at,
        row.user_id,
    )


async def by_ids(reader: Queryable, ids: Sequence[int]) -> list[PlanRow | None]:
    """The plans with these ids, in the order asked."""
    found = {row["id"]: PlanRow(*row) for row in await reader.fetch(BY_IDS, list(set(ids)))}
    return [found.get(number) for number in ids]


async def lock(tx: Transaction, plan_id: int) -> PlanRow | None:
    """One plan, held until the commit."""
    row = await tx.fetchrow(LOCK, plan_id)
    return None if row is None else PlanRow(*row)


async def of_sync(reader: Queryable, sync_id: int, *, before: int, limit: int) -> list[PlanRow]:
    """Up to `limit` plans of a sync with ids below `before`, newest first."""
    return [PlanRow(*row) for row in await reader.fetch(OF_SYNC, sync_id, before, limit)]


async def undone(reader: Queryable, sync_id: int, states: Sequence[str]) -> PlanRow | None:
    """The oldest plan of a sync in one of these states."""
    row = await reader.fetchrow(UNDONE, sync_id, list(states))
    return None if row is None else PlanRow(*row)


async def write(tx: Transaction, row: PlanRow) -> None:
    """Write what changes of a plan."""
    await tx.execute(
        WRITE,
        row.id,
        row.state,
        row.cursors,
        row.counts,
        row.then_start,
        row.message,
        row.ready_at,
        row.applied_at,
    )


async def forget(tx: Transaction, sync_id: int, before: int, limit: int) -> bool:
    """Forget a part of a sync's plans with ids below `before`; whether there is more of them."""
    if await tx.execute(FORGET_ITEMS, sync_id, before, limit) == limit:
        return True
    await tx.execute(FORGET_PLANS, sync_id, before)
    return False


async def supersede(tx: Transaction, sync_id: int, message: str, states: Sequence[str]) -> None:
    """End the sync's plans in these states, as FAILED."""
    await tx.execute(SUPERSEDE, sync_id, message, list(states))
