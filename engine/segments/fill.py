"""Filling: all records of a type are examined under a new filter, part by part, over any crash."""

from collections.abc import Sequence
from datetime import datetime

from engine import filters
from engine.segments import bound, moves
from engine.segments.bound import Bound
from storage import backfills, match_states, memberships, walks
from storage.database import Actor, Database, Transaction
from storage.filters import facts
from storage.filters.tree import Filter
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
            await _part(db, tx, held, segment)
            return True
    return False


async def run_all(db: Database, *, now: datetime) -> int:
    """Work until no account has a segment left that can be filled; the number of parts."""
    parts = 0
    for account_id in await walks.waiting(db, now):
        while await run_once(db, account_id, now=now):
            parts += 1
    return parts


async def _part(db: Database, tx: Transaction, fill: FillRow, segment: Bound) -> None:
    assert segment.filter is not None
    held = await memberships.hold(tx, [segment.id])
    page = await backfills.record_page(tx, segment.object_type_id, fill.after_id, RECORDS_A_BATCH)
    full = len(page) == RECORDS_A_BATCH
    # Whoever was a member and is no living record stands between two that are, or behind the last.
    last = page[-1] if full else LARGEST
    members = await memberships.between(tx, segment.id, fill.after_id, last)
    met = await _met(db, tx, segment, segment.filter, page)
    cause = {"kind": "FILTER_SET"}
    moving = [Move(segment.id, record_id, True, cause) for record_id in sorted(met - members)]
    moving += [Move(segment.id, record_id, False, cause) for record_id in sorted(members - met)]
    await moves.carry_out(tx, held, moving)
    if full:
        await match_states.move_fill(tx, segment.id, last)
    else:
        await match_states.end_fill(tx, segment.id)


async def _met(
    db: Database, tx: Transaction, segment: Bound, filter_: Filter, page: Sequence[int]
) -> set[int]:
    """Those of a part who meet the filter; when others may, or they no longer, is noted."""
    if not segment.moving:
        # Asked of SQL: a part is large, and nobody waits.
        return await facts.met(tx, filter_, segment.object_type_id, page, now=tx.now)
    async with db.snapshot(tx.account_id) as reader:
        (answer,) = await filters.foreseen(
            reader, tx.catalogue, [(filter_, page, segment.object_type_id)], now=tx.now
        )
    await match_states.note(
        tx, {(segment.id, one): found.until for one, found in answer.items() if found.until is not None}
    )
    return {one for one, found in answer.items() if found.holds}
