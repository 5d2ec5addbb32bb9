"""Backfills: enroll who met the triggers before the workflow was turned on, part by part, over any crash."""

from collections.abc import Sequence
from datetime import datetime

from engine.evaluation.listening import Cause
from engine.workflows import enrolling, published
from storage import backfills, walks
from storage.backfills import BackfillRow
from storage.database import Actor, Database, Transaction
from storage.filters import facts

RECORDS_A_BATCH = 2_000

EVALUATOR = Actor("EVALUATOR")


async def run_once(db: Database, account_id: int, *, now: datetime) -> bool:
    """One part of one backfill of an account; whether there was any.

    The place it has reached commits together with the enrollments up to it. Changes made meanwhile are the
    evaluator's: both may find the same record, and one of them enrolls it.
    """
    async with db.transaction(account_id, now=now, actor=EVALUATOR) as tx:
        held = await backfills.claim(tx)
        if held is None:
            return False
        await _part(tx, held)
    return True


async def run_all(db: Database, *, now: datetime) -> None:
    """Work until no account has a backfill left."""
    for account_id in await walks.waiting(db, now):
        while await run_once(db, account_id, now=now):
            pass


async def _part(tx: Transaction, held: BackfillRow) -> None:
    (workflow,) = await published.load(tx, tx.catalogue, [held.workflow_id])
    page = await backfills.record_page(tx, workflow.object_type_id, held.after_id, RECORDS_A_BATCH)
    met = await _meeting(tx, workflow, page)
    cause = Cause({"kind": "TURNED_ON"}, tx.now, 0, tx.catalogue.version)
    entries = [enrolling.entry(workflow, record_id, trigger, cause) for record_id, trigger in met.items()]
    enrolled = await enrolling.begin(tx, entries, {workflow.id: workflow.object_type_id})
    if len(page) < RECORDS_A_BATCH or workflow.filters is None:
        await backfills.end(tx, workflow.id)
    else:
        await backfills.move(tx, workflow.id, page[-1], enrolled)


async def _meeting(tx: Transaction, workflow: published.Published, page: Sequence[int]) -> dict[int, int]:
    """{record: number of the first trigger that it meets}, asked of SQL: a part is large, and nobody waits."""
    found: dict[int, int] = {}
    for n, filter_ in enumerate(workflow.filters or ()):
        rest = [record_id for record_id in page if record_id not in found]
        found |= dict.fromkeys(await facts.met(tx, filter_, workflow.object_type_id, rest, now=tx.now), n)
    return found
