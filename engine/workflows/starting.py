"""What begins when a workflow is turned on, or published anew while it is on, and what ends when it is turned off."""

from zoneinfo import ZoneInfo

from engine.workflows import passing, published
from engine.workflows.conditions import Conditions
from storage import backfills, match_states, passes, schedules
from storage import workflows as stored
from storage.database import Transaction


async def start(tx: Transaction, workflow_id: int, conditions: Conditions) -> None:
    """Let schedules come, look again at all who were ever enrolled, and note when the clock may let others in."""
    zone = ZoneInfo(tx.catalogue.time_zone)
    await schedules.replace(tx, workflow_id, passing.coming(conditions, tx.now, zone))
    if conditions.met_anew or conditions.leaving:
        await passes.begin(tx, workflow_id, passing.STATE, "", {}, again=True)
    if conditions.timed:
        await passes.begin(tx, workflow_id, passing.CLOCK, "", {}, again=True)


async def stop(tx: Transaction, workflow_id: int) -> None:
    """Let nothing come any more; a backfill stays where it is."""
    await schedules.replace(tx, workflow_id, {})
    await passes.end_all(tx, workflow_id)
    await match_states.forget(tx, workflow_id)
    await backfills.hold(tx, workflow_id)


async def in_another_zone(tx: Transaction) -> None:
    """The account has another time zone: its schedules and dates come at other moments."""
    zone = ZoneInfo(tx.catalogue.time_zone)
    for workflow in await published.load(tx, tx.catalogue, await stored.enabled(tx)):
        if workflow.conditions is None:
            continue
        times = passing.coming(workflow.conditions, tx.now, zone)
        if times:
            await schedules.replace(tx, workflow.id, times)
        if workflow.conditions.timed:
            await passes.begin(tx, workflow.id, passing.CLOCK, "", {}, again=True)
