"""The evaluator: takes changes off the queue and, in the same transaction, lets workflows and segments follow them.

Whatever happens to the process, a change is either still queued or everything that follows from it stands.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime

from engine import filters
from engine.evaluation import listening, walking
from engine.evaluation.listening import Candidates, Cause
from engine.segments import follow as segments
from engine.segments import hand
from engine.workflows import enrolling as workflows
from storage import changes, listeners, match_states, walks
from storage.changes import QueuedChange
from storage.database import Actor, Database, Transaction
from storage.walks import WalkRow

CHANGES_A_BATCH = 1_000
WALKS_A_BATCH = 200
# How many associated records one transaction may look at; a hub takes as many transactions as it needs.
NEIGHBOURS_A_BATCH = 2_000
# How many pairs of a listener and a record whose time has come.
DUE_A_BATCH = 2_000

EVALUATOR = Actor("EVALUATOR")


async def run_once(db: Database, account_id: int, *, now: datetime) -> bool:
    """Work off one batch of an account's queue, and what the clock brings; whether there was anything."""
    async with db.transaction(account_id, now=now, actor=EVALUATOR) as tx:
        claimed = await changes.claim(tx, CHANGES_A_BATCH)
        begun = await walks.claim(tx, WALKS_A_BATCH)
        due = await match_states.due(tx, now, DUE_A_BATCH)
        if not claimed and not begun and not due:
            return False
        found, fresh = await _listen(tx, claimed)
        left = await walking.follow(tx, [*begun, *fresh], found, NEIGHBOURS_A_BATCH)
        await walks.keep(tx, left)
        clock = Cause({"kind": "CLOCK"}, now, 0, tx.catalogue.version)
        for listener_id, record_id in due:
            listening.offer(found, listener_id, record_id, clock)
        await _examine(db, tx, found)
        await hand.lose_and_regain(tx, claimed)
    return True


async def run_all(db: Database, *, now: datetime) -> int:
    """Work until every account's queue is empty; the number of batches."""
    batches = 0
    for account_id in await waiting(db, now):
        while await run_once(db, account_id, now=now):
            batches += 1
    return batches


async def waiting(db: Database, now: datetime) -> list[int]:
    """The accounts that have anything to evaluate."""
    return await walks.waiting(db, now)


async def _listen(tx: Transaction, claimed: Sequence[QueuedChange]) -> tuple[Candidates, list[WalkRow]]:
    keys = sorted({key for change in claimed for key in listening.keys(change, tx.catalogue)})
    if not keys:
        return {}, []
    heard = await listeners.listening(tx, keys)
    matters = await segments.mattering(tx, claimed, heard)
    return listening.candidates(claimed, heard, tx.catalogue, matters)


async def _examine(db: Database, tx: Transaction, found: Candidates) -> None:
    """Examine every candidate of every listener in one pass, and write what comes of it."""
    following = await segments.prepare(tx, {key: found[key] for key in found if key in tx.catalogue.segments})
    enrolling = await workflows.prepare(
        tx, {key: found[key] for key in found if key not in tx.catalogue.segments}
    )
    of_segments, of_workflows = following.asked(), enrolling.asked()
    if not of_segments and not of_workflows:
        return
    # Who is in them now is read meanwhile: nobody else changes that.
    reading = asyncio.create_task(segments.members(tx, following))
    try:
        # One snapshot, begun after the changes were claimed and the segments held: it has all of them, nothing half,
        # and is newer than anybody's who held those segments before. Read bit by bit, a record could seem to meet a
        # filter that it met at no time.
        async with db.snapshot(tx.account_id) as reader:
            answers = await filters.foreseen(reader, tx.catalogue, [*of_segments, *of_workflows], now=tx.now)
    finally:
        # Whatever happened: the transaction runs one statement at a time.
        await asyncio.wait([reading])
    await segments.settle(tx, following, answers[: len(of_segments)], reading.result())
    await workflows.settle(tx, enrolling, answers[len(of_segments) :])
