"""The plan that is being applied: held with its sync, counted, moved on."""

from collections.abc import Mapping
from dataclasses import replace

from engine.sync.planning import APPLYING, FAILED, PlanOutdated
from engine.sync.turns import Turn
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.sync import plan_work, plans
from storage.sync.plan_work import SENT_ON
from storage.sync.plans import PlanRow


async def held(tx: Transaction, turn: Turn, plan: PlanRow) -> PlanRow | None:
    """The plan, held until the commit; None where somebody has taken it on meanwhile."""
    held = await plans.lock(tx, plan.id)
    if held is None or held.state != APPLYING or held.cursors != plan.cursors:
        return None
    if held.revision != turn.revision:
        await plans.write(tx, replace(held, state=FAILED, message=PlanOutdated().message))
        tell(tx, turn, held)
        return None
    return held


async def moved(tx: Transaction, plan: PlanRow, upto: int) -> PlanRow:
    """Move the cursor of a plan that is held, and count what it passes; the plan as it is then."""
    after = int(plan.cursors["after"])
    found = dict(await plan_work.count(tx, plan.id, after, upto))
    cursors = {**plan.cursors, "after": upto}
    if found.pop(SENT_ON, 0):
        # What goes out for them goes first; then it is looked at what came of it, from here on.
        cursors["sent"] = after
    moved = replace(plan, cursors=cursors, counts=counted(plan, found))
    await plans.write(tx, moved)
    return moved


def counted(plan: PlanRow, became: Mapping[str, int]) -> dict[str, int]:
    """The plan's counts, and so many more of these outcomes."""
    counts = dict(plan.counts)
    for outcome, n in became.items():
        counts[outcome] = counts.get(outcome, 0) + n
    return counts


def tell(tx: Transaction, turn: Turn, plan: PlanRow) -> None:
    """Tell watchers of the plan."""
    told = {"plan": plan.id, "counts": plan.counts}
    tx.happened(Event(EventKind.SYNC_PLANNED, turn.rules.object_type.id, None, turn.sync_id, told))
