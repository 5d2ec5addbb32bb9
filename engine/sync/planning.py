"""Previews: what a sync would do with every record and item, found step by step by the worker, written nowhere else."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from engine.problems import Problem
from storage.database import Database, Queryable, Transaction
from storage.sync.plans import PlanItemRow, PlanRow

if TYPE_CHECKING:
    from engine.sync.connectors.protocol import Connector

NEWEST = 2**63 - 1


class PlanNotReady(Problem):
    """The plan is {state}: only one that is READY can be applied."""


class PlanOutdated(Problem):
    """The sync's definition has changed since this plan was made: preview it again."""


async def want(tx: Transaction, sync_id: int, *, then_start: bool = True) -> PlanRow:
    """Ask for a preview of a sync; the worker makes it. One that is being made is given up. Raises `NotFound`."""
    raise NotImplementedError


async def get(reader: Queryable, plan_ids: Sequence[int]) -> list[PlanRow | None]:
    """These plans, in the order asked."""
    raise NotImplementedError


async def of_sync(reader: Queryable, sync_id: int, *, before: int = NEWEST, first: int = 50) -> list[PlanRow]:
    """A sync's plans with ids below `before`, newest first."""
    raise NotImplementedError


async def items(
    reader: Queryable,
    plan_id: int,
    *,
    kind: str | None = None,
    outcome: str | None = None,
    after: int = 0,
    first: int = 50,
) -> list[PlanItemRow]:
    """Up to `first` items of a plan with ids above `after`: all, or of one kind, or with one outcome."""
    raise NotImplementedError


async def step(db: Database, account_id: int, sync_id: int, connector: "Connector", *, now: datetime) -> bool:
    """Do a little of what a sync's plans need; False where they need nothing.

    Raises what the connector raises.
    """
    raise NotImplementedError
