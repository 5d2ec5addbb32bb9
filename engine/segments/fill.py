"""Filling: all records of a type are examined under new filters, part by part, over any crash."""

from collections.abc import Sequence
from datetime import datetime

from engine import filters
from engine.segments import bound, moves
from engine.segments.bound import Bound
from storage import backfills, match_states, memberships, walks
from storage.database import Actor, Database, Transaction
from storage.filters import facts
from storage.filters.tree import Filter
from storage.memberships import Move

# A part: so many records, under so many filters. While it is worked on, the segments' members are held: some tenths
# of a second.
RECORDS_A_BATCH = 10_000
SEGMENTS_A_BATCH = 4
LARGEST = 2**63 - 1

EVALUATOR = Actor("EVALUATOR")


async def run_once(db: Database, account_id: int, *, now: datetime) -> bool:
    """One part of the filling of some segments; whether there was any that can go on.

    The place it has reached commits together with the members up to it. Changes made meanwhile are the
    evaluator's: who comes second holds the segment later, and sees what the first has seen.
    """
    async with db.transaction(account_id, now=now, actor=EVALUATOR) as tx:
        broken = set[int]()
        while held := await match_states.claim_fills(tx, broken, SEGMENTS_A_BATCH):
            known = await bound.load(tx, tx.catalogue, [one.segment_id for one in held])
            usable = [one for one in known.values() if one.filter is not None]
            if not usable:
                # They wait until what they name is there again.
                broken |= {one.segment_id for one in held}
                continue
            await _part(db, tx, held[0].after_id, usable)
            return True
    return False


async def run_all(db: Database, *, now: datetime) -> int:
    """Work until no account has a segment left that can be filled; the number of parts."""
    parts = 0
    for account_id in await walks.waiting(db, now):
        while await run_once(db, account_id, now=now):
            parts += 1
    return parts


async def _part(db: Database, tx: Transaction, after: int, segments: Sequence[Bound]) -> None:
    ids = [segment.id for segment in segments]
    held = await memberships.hold(tx, ids)
    object_type_id = segments[0].object_type_id
    page = await backfills.record_page(tx, object_type_id, after, RECORDS_A_BATCH)
    full = len(page) == RECORDS_A_BATCH
    # Whoever was a member and is no living record stands between two that are, or behind the last.
    last = page[-1] if full else LARGEST
    members = await memberships.between(tx, ids, after, last)
    met = await _met(db, tx, segments, object_type_id, page)
    cause = {"kind": "FILTER_SET"}
    moving = [
        Move(one, record_id, joined, cause)
        for one in ids
        for joined, record_ids in ((True, met[one] - members[one]), (False, members[one] - met[one]))
        for record_id in sorted(record_ids)
    ]
    await moves.carry_out(tx, held, moving)
    if full:
        await match_states.move_fill(tx, ids, last)
    else:
        await match_states.end_fill(tx, ids)


async def _met(
    db: Database, tx: Transaction, segments: Sequence[Bound], object_type_id: int, page: Sequence[int]
) -> dict[int, set[int]]:
    """{segment: those of a part who meet its filter}; when others may, or they no longer, is noted."""
    still = [(one.id, one.filter) for one in segments if one.filter is not None and not one.moving]
    # Asked of SQL: a part is large, and nobody waits.
    found = await facts.met_each(tx, [filter_ for _, filter_ in still], object_type_id, page, now=tx.now)
    met = dict(zip((one for one, _ in still), found, strict=True))
    clocked = [(one.id, one.filter) for one in segments if one.filter is not None and one.moving]
    return met | await _met_now(db, tx, clocked, object_type_id, page)


async def _met_now(
    db: Database,
    tx: Transaction,
    segments: Sequence[tuple[int, Filter]],
    object_type_id: int,
    page: Sequence[int],
) -> dict[int, set[int]]:
    if not segments:
        return {}
    asked = [(filter_, page, object_type_id) for _, filter_ in segments]
    async with db.snapshot(tx.account_id) as reader:
        answers = await filters.foreseen(reader, tx.catalogue, asked, now=tx.now)
    met: dict[int, set[int]] = {}
    moments: dict[tuple[int, int], datetime | None] = {}
    for (segment_id, _), answer in zip(segments, answers, strict=True):
        met[segment_id] = {record_id for record_id, found in answer.items() if found.holds}
        moments |= {
            (segment_id, record_id): found.until
            for record_id, found in answer.items()
            if found.until is not None
        }
    await match_states.note(tx, moments)
    return met
