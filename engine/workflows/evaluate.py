"""The evaluator: takes changes off the queue and, in the same transaction, enrolls whom they let in.

Whatever happens to the process, a change is either still queued or its enrollments stand.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from engine.workflows import published, triggers
from engine.workflows.published import Published
from engine.workflows.triggers import Candidates, Cause
from storage import changes, enrollments, walks
from storage import workflows as stored
from storage.changes import Event, EventKind, QueuedChange
from storage.database import Actor, Database, Transaction
from storage.enrollments import Entry
from storage.walks import WalkRow

CHANGES_A_BATCH = 500
WALKS_A_BATCH = 200
# How many associated records one transaction may look at; a hub takes as many transactions as it needs.
NEIGHBOURS_A_BATCH = 2_000
# So many workflow steps in a row, each the cause of the next, are taken for a loop.
DEEPEST = 20

EVALUATOR = Actor("EVALUATOR")


async def run_once(db: Database, account_id: int, *, now: datetime) -> bool:
    """Work off one batch of an account's queue; whether there was anything in it."""
    async with db.transaction(account_id, now=now, actor=EVALUATOR) as tx:
        claimed = await changes.claim(tx, CHANGES_A_BATCH)
        begun = await walks.claim(tx, WALKS_A_BATCH)
        if not claimed and not begun:
            return False
        found, fresh = await _listen(tx, claimed)
        left = await _walk(tx, [*begun, *fresh], found)
        await walks.keep(tx, left)
        await _enroll(db, tx, found)
    return True


async def run_all(db: Database, *, now: datetime) -> int:
    """Work until every account's queue is empty; the number of batches."""
    batches = 0
    for account_id in await waiting(db):
        while await run_once(db, account_id, now=now):
            batches += 1
    return batches


async def waiting(db: Database) -> list[int]:
    """The accounts that have anything to evaluate."""
    return await walks.waiting(db)


async def _listen(tx: Transaction, claimed: Sequence[QueuedChange]) -> tuple[Candidates, list[WalkRow]]:
    keys = sorted({key for change in claimed for key in triggers.keys(change, tx.catalogue)})
    if not keys:
        return {}, []
    return triggers.candidates(claimed, await stored.listeners(tx, keys), tx.catalogue)


async def _walk(tx: Transaction, begun: Sequence[WalkRow], found: Candidates) -> list[WalkRow]:
    """Follow walks, noting in `found` whom they reach, as far as the batch may go; what is left of them."""
    going, budget = list(begun), NEIGHBOURS_A_BATCH
    while going and budget > 0:
        first = going[0].path[0]
        along = [walk for walk in going if walk.path[0] == first]
        group, going = along[:budget], [walk for walk in going if walk.path[0] != first] + along[budget:]
        # Fair parts: a hub among many small ones takes what they leave, round by round.
        limit = max(budget // len(group), 1)
        joins = tx.catalogue.association_types.get(first)
        if joins is None:
            continue
        pages = await walks.neighbours(
            tx,
            [(walk.record_id, walk.after_id) for walk in group],
            to_object_type_id=joins.to_object_type_id,
            type_id=first,
            limit=limit,
        )
        budget -= sum(len(page) for page in pages)
        for walk, page in zip(group, pages, strict=True):
            going += _further(walk, page, found)
            if len(page) == limit:
                going.append(_behind(walk, page[-1]))
    return going


def _further(walk: WalkRow, page: Sequence[int], found: Candidates) -> list[WalkRow]:
    """Where a walk goes on from these neighbours; at its end they are candidates."""
    cause = Cause(walk.cause, walk.at, walk.depth, walk.version)
    if len(walk.path) > 1:
        return [triggers.walk(record_id, walk.path[1:], walk.workflow_ids, cause) for record_id in page]
    for record_id in page:
        for workflow_id in walk.workflow_ids:
            triggers.offer(found, (workflow_id, record_id), cause)
    return []


def _behind(walk: WalkRow, after: int) -> WalkRow:
    return WalkRow(
        walk.record_id, walk.path, after, walk.workflow_ids, walk.cause, walk.at, walk.depth, walk.version
    )


async def _enroll(db: Database, tx: Transaction, found: Candidates) -> None:
    if not found:
        return
    known = await enrollments.entered(tx, list(found))
    wanted: dict[int, list[int]] = defaultdict(list)
    for workflow_id, record_id in sorted(found.keys() - known):
        wanted[workflow_id].append(record_id)
    if not wanted:
        return
    running = [
        workflow
        for workflow in await published.load(tx, tx.catalogue, list(wanted))
        if workflow.enabled and workflow.filters is not None
    ]
    # One snapshot, begun after the changes were claimed: it holds all of them, and nothing half. Read bit by
    # bit, a record could seem to meet a filter that it met at no time.
    async with db.snapshot(tx.account_id) as reader:
        met = await published.matches(
            reader, tx.catalogue, [(workflow, wanted[workflow.id]) for workflow in running]
        )
    entries = [
        entry(workflow, record_id, trigger, found[workflow.id, record_id])
        for workflow, matched in zip(running, met, strict=True)
        for record_id, trigger in matched.items()
        # A walk that outlived a turning off and on again tells of what was before.
        if found[workflow.id, record_id].version >= workflow.enabled_version
    ]
    await begin(tx, entries, {workflow.id: workflow.object_type_id for workflow in running})


def entry(workflow: Published, record_id: int, trigger: int, cause: Cause) -> Entry:
    """The enrollment of a record that meets trigger number `trigger`; stopped at once where it goes in circles."""
    reason = {"trigger": trigger, **cause.told}
    if cause.depth < DEEPEST:
        return Entry(workflow.id, workflow.revision, record_id, cause.depth, reason)
    error = {
        "code": "LOOP_GUARD",
        "message": f"{cause.depth} workflow steps in a row led here; this is taken for a loop.",
    }
    return Entry(workflow.id, workflow.revision, record_id, cause.depth, reason, "FAILED", error)


async def begin(tx: Transaction, entries: Sequence[Entry], object_types: dict[int, int]) -> int:
    """Begin enrollments and tell of them; how many are new. `object_types` are the workflows' own."""
    begun = await enrollments.enter(tx, entries)
    for enrollment_id, new in begun:
        payload: dict[str, Any] = {
            "enrollment": enrollment_id,
            "revision": new.revision,
            "reason": new.reason,
        }
        if new.error is not None:
            payload["error"] = new.error
        tx.happened(
            Event(
                EventKind.ENROLLED if new.error is None else EventKind.ENROLLMENT_FAILED,
                object_types[new.workflow_id],
                new.record_id,
                new.workflow_id,
                payload,
            )
        )
    return len(begun)
