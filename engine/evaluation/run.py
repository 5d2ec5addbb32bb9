"""The evaluator: takes changes off the queue and, in the same transaction, lets workflows and segments follow them.

Whatever happens to the process, a change is either still queued, or everything that follows from it stands, or what
could not be done of it is put aside with the reason (see `trouble`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from engine import filters
from engine.evaluation import listening, trouble, walking
from engine.evaluation.listening import Candidates, Cause
from engine.evaluation.trouble import Careful, Item, Kind, Look, Work
from engine.segments import follow as segments
from engine.segments import hand
from engine.sync import follow as syncs
from engine.workflows import awaiting, leaving
from engine.workflows import enrolling as workflows
from storage import changes, listeners, match_states, troubles, walks
from storage.changes import QueuedChange
from storage.database import Actor, Database, Transaction
from storage.walks import WalkRow

CHANGES_A_BATCH = 1_000
WALKS_A_BATCH = 200
# How many associated records one transaction may look at; a hub takes as many transactions as it needs.
NEIGHBOURS_A_BATCH = 2_000
# How many pairs of a listener and a record whose time has come.
DUE_A_BATCH = 2_000

# How many of those put aside are tried again at once.
RETRIED_A_BATCH = 100
# A listener that fails for so many records, each alone, is not tried for the others of the batch.
HOPELESS = 10

EVALUATOR = Actor("EVALUATOR")


async def run_once(db: Database, account_id: int, *, now: datetime) -> bool:
    """Work off one batch of an account's queue, and what the clock brings; whether there was anything.

    What breaks a batch is sought out and put aside. Raises what is the database's trouble alone.
    """
    try:
        return await _batch(db, account_id, now)
    except Exception as error:
        if trouble.passing(error):
            raise
    return await _carefully(db, account_id, _claim, now)


async def retry_once(db: Database, account_id: int, *, now: datetime) -> bool:
    """Try again some of what was put aside, where it is time; whether there was anything."""
    return await _carefully(db, account_id, _claim_again, now)


async def run_all(db: Database, *, now: datetime) -> int:
    """Work until every account's queue is empty; the number of batches."""
    batches = 0
    for account_id in await waiting(db, now):
        while await run_once(db, account_id, now=now) or await retry_once(db, account_id, now=now):
            batches += 1
    return batches


async def waiting(db: Database, now: datetime) -> list[int]:
    """The accounts that have anything to evaluate."""
    return await walks.waiting(db, now)


async def _batch(db: Database, account_id: int, now: datetime) -> bool:
    async with db.transaction(account_id, now=now, actor=EVALUATOR) as tx:
        claimed = await changes.claim(tx, CHANGES_A_BATCH)
        begun = await walks.claim(tx, WALKS_A_BATCH)
        due = await match_states.due(tx, now, DUE_A_BATCH)
        if not claimed and not begun and not due:
            return False
        found, fresh = await _listen(tx, claimed)
        left = await walking.follow(tx, [*begun, *fresh], found, NEIGHBOURS_A_BATCH)
        await walks.keep(tx, left)
        for listener_id, record_id, at in due:
            listening.offer(found, listener_id, record_id, _clock(tx, at))
        await _examine(db, tx, found)
        await _pass_on(db, tx, claimed)
    return True


def _clock(tx: Transaction, due: datetime) -> Cause:
    return Cause({"kind": "CLOCK"}, tx.now, 0, tx.catalogue.version, due=due)


async def _pass_on(db: Database, tx: Transaction, claimed: Sequence[QueuedChange]) -> None:
    """What changes do to members by hand, to enrollments and to what is kept in sync, whoever listens."""
    await hand.lose_and_regain(tx, claimed)
    await leaving.gone(tx, claimed)
    await awaiting.call(db, tx, claimed)
    await syncs.follow(tx, claimed)


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
    if not (of_segments or of_workflows or enrolling.idle):
        return
    # Who is in them now is read meanwhile: nobody else changes that.
    reading = asyncio.create_task(segments.members(tx, following))
    try:
        # One snapshot, begun after the changes were claimed and the segments held: it has all of them, nothing half,
        # and is newer than anybody's who held those segments before. Read bit by bit, a record could seem to meet a
        # filter that it met at no time.
        async with db.remembered_snapshot(tx.account_id) as reader:
            answers = await filters.foreseen(reader, tx.catalogue, [*of_segments, *of_workflows], now=tx.now)
            # The transaction runs one statement at a time.
            await asyncio.wait([reading])
            decided = await workflows.decide(reader, tx, enrolling, answers[len(of_segments) :])
    finally:
        # Whatever happened, it is not left running; an error here is told below.
        await asyncio.wait([reading])
        reading.exception()
    await segments.settle(tx, following, answers[: len(of_segments)], reading.result())
    await workflows.settle(tx, decided)


async def _carefully(
    db: Database, account_id: int, claim: Callable[[Transaction], Awaitable[Work]], now: datetime
) -> bool:
    """What `_batch` does, each part of it as whole as it can be done; the rest is put aside."""
    async with db.transaction(account_id, now=now, actor=EVALUATOR) as tx:
        work = await claim(tx)
        if not work:
            return False
        careful = Careful(tx)
        found: Candidates = {}
        heard = await _hear(careful, work, found)
        await _walk(careful, work, found)
        for look in work.looks:
            listening.offer(found, look.work.listener_id, look.work.record_id, look.work.cause)
        await _look(db, careful, work, found)
        await _do_by_hand(db, careful, [*heard, *work.by_hand])
        await careful.keep()
    careful.tell()
    return True


async def _claim(tx: Transaction) -> Work:
    claimed = await changes.claim(tx, CHANGES_A_BATCH)
    begun = await walks.claim(tx, WALKS_A_BATCH)
    due = [
        Look(listener_id, record_id, _clock(tx, at))
        for listener_id, record_id, at in await match_states.due(tx, tx.now, DUE_A_BATCH)
    ]
    return Work([Item(one) for one in claimed], [Item(one) for one in begun], [Item(one) for one in due])


async def _claim_again(tx: Transaction) -> Work:
    return trouble.work(await troubles.claim(tx, tx.now, RETRIED_A_BATCH))


async def _hear(careful: Careful, work: Work, found: Candidates) -> list[Item[QueuedChange]]:
    """Find who listens to the changes, and the walks that begin; those changes of which that could be found."""
    heard: list[Item[QueuedChange]] = []

    async def listen(items: Sequence[Item[QueuedChange]]) -> None:
        near, fresh = await _listen(careful.tx, [item.work for item in items])
        trouble.merge(found, near)
        work.walks.extend(Item(walk) for walk in fresh)
        heard.extend(items)

    await careful.each(work.changes, listen, careful.putting(Kind.CHANGE))
    return heard


async def _walk(careful: Careful, work: Work, found: Candidates) -> None:
    async def follow(items: Sequence[Item[WalkRow]]) -> None:
        reached: Candidates = {}
        begun = [item.work for item in items]
        await walks.keep(careful.tx, await walking.follow(careful.tx, begun, reached, NEIGHBOURS_A_BATCH))
        trouble.merge(found, reached)

    await careful.each(work.walks, follow, careful.putting(Kind.WALK))


async def _look(db: Database, careful: Careful, work: Work, found: Candidates) -> None:
    """Examine by listeners, and where one fails alone, by its records; who waits for no other listener's trouble."""
    tried = {(item.work.listener_id, item.work.record_id): item for item in work.looks}

    async def by_listener(listener_ids: Sequence[int]) -> None:
        await _examine(db, careful.tx, {one: found[one] for one in listener_ids})

    async def alone(listener_id: int, _error: Exception) -> None:
        causes = found[listener_id]

        async def by_record(record_ids: Sequence[int]) -> None:
            await _examine(db, careful.tx, {listener_id: {one: causes[one] for one in record_ids}})

        async def put(record_id: int, error: Exception) -> None:
            item = tried.get((listener_id, record_id), Item(Look(listener_id, record_id, causes[record_id])))
            await careful.put(Kind.LOOK, item, error)

        await careful.each(sorted(causes), by_record, put, patience=HOPELESS)

    # In the order of ids, as segments are held.
    await careful.each(sorted(found), by_listener, alone)


async def _do_by_hand(db: Database, careful: Careful, items: Sequence[Item[QueuedChange]]) -> None:
    async def pass_on(some: Sequence[Item[QueuedChange]]) -> None:
        await _pass_on(db, careful.tx, [item.work for item in some])

    await careful.each(items, pass_on, careful.putting(Kind.BY_HAND))
