"""Applying a plan: exactly what it says, as far as the world is still as it was; the rest is told as overtaken."""

from storage.database import Transaction
from storage.sync.plans import PlanRow


async def apply(tx: Transaction, plan_id: int, *, then_start: bool | None = None) -> PlanRow:
    """Have a plan carried out by the worker; `then_start`: whether the sync starts afterwards (None: as was asked).

    Raises `NotFound`, `PlanNotReady` and `PlanOutdated`.
    """
    raise NotImplementedError
