"""Filling: all records of a type are examined under a new filter, part by part, over any crash."""

from datetime import datetime

from engine.segments import bound, moves
from engine.segments.bound import Bound
from storage import backfills, match_states, memberships, walks
from storage.database import Actor, Database, Transaction
from storage.filters import facts
from storage.match_states import FillRow
from storage.memberships import Move

RECORDS_A_BATCH = 2_000
LARGEST = 2**63 - 1

EVALUATOR = Actor("EVALUATOR")


async def run_once(db: Database, account_id: int, *, now: datetime) -> bool:
    """One part of one segment's filling; whether there was any that can go on.

    The place it has reached commits together with the members up to it. Changes made meanwhile are the
    evaluator's: who comes second holds the segment later, and sees what the first has seen.
    """
    async with db.transaction(account_id, now=now, actor=EVALUATOR) as tx:
        broken = set[int]()
        while (held := await match_states.claim_fill(tx, broken)) is not None:
            segment = (await bound.load(tx, tx.catalogue, [held.segment_id])).get(held.segment_id)
            if segment is None or segment.filter is None:
                # It waits until what it names is there again.
                broken.add(held.segment_id)
                continue
            await _part(tx, held, segment)
            return True
    return False


async def run_all(db: Database, *, now: datetime) -> int:
    """Work until no account has a segment left that can be filled; the number of parts."""
    parts = 0
    for account_id in await walks.waiting(db, now):
        while await run_once(db, account_id, now=now):
            parts += 1
    return parts


async def _part(tx: Transaction, fill: FillRow, segment: Bound) -> None:
    assert segment.filter is not None
    held = await memberships.hold(tx, [segment.id])
    page = await backfills.record_page(tx, segment.object_type_id, fill.after_id, RECORDS_A_BATCH)
    full = len(page) == RECORDS_A_BATCH
    # Whoever was a member and is no living record stands between two that are, or behind the last.
    last = page[-1] if full else LARGEST
    # Asked of SQL: a part is large, and nobody waits.
    met = await facts.met(tx, segment.filter, segment.object_type_id, page, now=tx.now)
    members = await memberships.between(tx, segment.id, fill.after_id, last)
    cause = {"kind": "FILTER_SET"}
    moving = [Move(segment.id, record_id, True, cause) for record_id in sorted(met - members)]
    moving += [Move(segment.id, record_id, False, cause) for record_id in sorted(members - met)]
    await moves.carry_out(tx, held, moving)
    if full:
        await match_states.move_fill(tx, segment.id, last)
    else:
        await match_states.end_fill(tx, segment.id)
