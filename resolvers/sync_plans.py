"""Previews: asked for, waited for a moment, read page by page, applied."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from engine import ids
from engine.problems import NotFound, at
from engine.sync import applying, planning
from resolvers import loaders, syncs
from resolvers.context import Context
from resolvers.sync_records import Page
from resolvers.workflows import place, size
from resolvers.writing import write
from storage.database import Transaction
from storage.sync import plans
from storage.sync.plan_items import PlanItemRow
from storage.sync.plans import PlanRow

# How long a query waits for a plan, in seconds, and how often it looks where no wake-up comes.
PATIENCE = 4.0
POLL = 0.5
# A plan that is being made, or waits for the worker.
UNDER_WAY = ("WANTED", "MAKING")
# One that was not applied.
OPEN = (*UNDER_WAY, "READY", "FAILED")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which items of a plan are meant."""

    kind: str | None = None
    outcome: str | None = None


async def preview(context: Context, sync: str, refresh: bool) -> PlanRow:
    """A sync's newest plan, or a fresh one: where there is none, or its rules have changed. Waits for it a little.

    Raises `NotFound`.
    """
    number = ids.decode_at("sync", sync, "sync")
    found = None if refresh else await newest(context, number)
    if found is None or await _outdated(context, found):
        with at("sync"):
            found = await write(context, lambda tx: planning.want(tx, number))
    return await _settled(context, found)


async def _outdated(context: Context, plan: PlanRow) -> bool:
    """Whether a plan can no longer be applied, since the sync's rules have changed. What was applied stays."""
    seen = await syncs.by_id(context, plan.sync_id)
    row = None if seen is None else seen.row
    return plan.state in OPEN and row is not None and row.revision != plan.revision


async def want(context: Context, sync: str, then_start: bool) -> PlanRow:
    """Ask for a plan; see `engine.sync.planning.want`."""
    number = ids.decode_at("sync", sync, "id")
    with at("id"):
        return await write(context, lambda tx: planning.want(tx, number, then_start=then_start))


async def apply(context: Context, plan: str, then_start: bool | None) -> PlanRow:
    """Have a plan carried out; see `engine.sync.applying.apply`."""
    number = ids.decode_at("plan", plan, "planId")

    async def work(tx: Transaction) -> PlanRow:
        return await applying.apply(tx, number, then_start=then_start)

    return await write(context, work)


async def newest(context: Context, sync: int) -> PlanRow | None:
    """The plan of a sync that was asked for last."""
    async with context.db.read(context.account_id) as reader:
        rows = await planning.of_sync(reader, sync, first=1)
    return rows[0] if rows else None


async def by_id(context: Context, number: int) -> PlanRow | None:
    """One plan."""
    return await loaders.loader(context, "sync plan", plans.by_ids).load(number)


async def items(
    context: Context, plan: int, wanted: Wanted, first: int | None, after: str | None
) -> Page[PlanItemRow]:
    """Items of a plan, in the order in which they were found."""
    limit, behind = size(first), 0 if after is None else place("plan item", after)
    async with context.db.read(context.account_id) as reader:
        rows: Sequence[PlanItemRow] = await planning.items(
            reader, plan, kind=wanted.kind, outcome=wanted.outcome, after=behind, first=limit + 1
        )
    return Page(rows[:limit], len(rows) > limit, after is not None)


T = TypeVar("T")


def slice_of(rows: Sequence[T], first: int | None, after: str | None) -> tuple[Page[T], int]:
    """A page of a list that is there, and how many stand in front of it; cursors are places, from one on."""
    limit, start = size(first), 0 if after is None else place("plan item", after)
    return Page(rows[start : start + limit], start + limit < len(rows), start > 0), start


async def _settled(context: Context, plan: PlanRow) -> PlanRow:
    """The plan once it is made, or as far as it is when patience ends."""
    woken = asyncio.Event()

    def wake(account_id: int) -> None:
        if account_id == context.account_id:
            woken.set()

    stop = context.db.wake.listen(wake)
    try:
        async with asyncio.timeout(PATIENCE):
            while plan.state in UNDER_WAY:
                woken.clear()
                async with context.db.read(context.account_id) as reader:
                    (row,) = await planning.get(reader, [plan.id])
                if row is None:
                    raise NotFound(kind="plan", name=ids.encode("plan", plan.id))
                plan = row
                if plan.state in UNDER_WAY:
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(POLL):
                            await woken.wait()
    except TimeoutError:
        pass  # it goes on without us
    finally:
        stop()
    return plan
