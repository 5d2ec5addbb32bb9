"""Backfills: enroll who met the triggers before the workflow was turned on, part by part, over any crash.

Turned off, a workflow keeps the place that its backfill has reached; turned on again, it goes on from there.
"""

from collections.abc import Sequence
from datetime import datetime

from engine.evaluation.listening import Cause
from engine.workflows import passing, published
from engine.workflows.bound import Met
from engine.workflows.conditions import Conditions
from engine.workflows.published import Published
from storage import backfills, walks
from storage.backfills import BackfillRow
from storage.database import Actor, Database, Transaction
from storage.filters import facts

RECORDS_A_BATCH = 2_000

EVALUATOR = Actor("EVALUATOR")


async def run_once(db: Database, account_id: int, *, now: datetime) -> bool:
    """One part of one backfill of an account; whether there was any that is not to wait.

    The place it has reached commits together with the enrollments up to it. Changes made meanwhile are the
    evaluator's: both may find the same record, and one of them enrolls it.
    """
    async with db.transaction(account_id, now=now, actor=EVALUATOR) as tx:
        held = await backfills.claim(tx)
        if held is None:
            return False
        await _part(db, tx, held)
    return True


async def run_all(db: Database, *, now: datetime) -> None:
    """Work until no account has a backfill left."""
    for account_id in await walks.waiting(db, now):
        while await run_once(db, account_id, now=now):
            pass


async def _part(db: Database, tx: Transaction, held: BackfillRow) -> None:
    (workflow,) = await published.load(tx, tx.catalogue, [held.workflow_id])
    if not workflow.enabled:
        # Turned off after its backfill was found, and before it was held.
        return
    conditions = workflow.conditions
    page = await backfills.record_page(tx, workflow.object_type_id, held.after_id, RECORDS_A_BATCH)
    if conditions is None or not conditions.met:
        await backfills.end(tx, workflow.id)
        return
    met = await _meeting(tx, workflow, conditions, page)
    cause = Cause({"kind": "TURNED_ON"}, tx.now, 0, tx.catalogue.version)
    enrolled = await passing.look(db, tx, {workflow.id: dict.fromkeys(met, cause)})
    if len(page) < RECORDS_A_BATCH:
        await backfills.end(tx, workflow.id)
    else:
        await backfills.move(tx, workflow.id, page[-1], enrolled)


async def _meeting(
    tx: Transaction, workflow: Published, conditions: Conditions, page: Sequence[int]
) -> list[int]:
    """Those of a page that meet any of the filters, asked of SQL: a part is large, and few of it may meet them."""
    found = set[int]()
    for n in conditions.met:
        trigger = conditions.numbered[n]
        assert isinstance(trigger, Met)  # such are meant
        rest = [record_id for record_id in page if record_id not in found]
        found |= await facts.met(tx, trigger.own, workflow.object_type_id, rest, now=tx.now)
    return sorted(found)
