"""The loop of one sync: what is due is done in steps, each at most one transaction before and one after each call."""

from dataclasses import dataclass
from datetime import datetime

from engine.sync import applying, batches, deleting, passes, resting, retrying, rounds, settling
from engine.sync.turns import Overtaken, Turn
from storage.sync import leases
from storage.sync.leases import RunRow, Work

AGAIN, SEND, PASS, CHANGES, DELETE = "AGAIN", "SEND", "PASS", "CHANGES", "DELETE"


@dataclass(slots=True)
class Memory:
    """What a runner remembers between steps; nothing is lost with it."""

    last: str = DELETE


async def step(turn: Turn, memory: Memory, now: datetime) -> datetime | None:
    """Do one thing that is due. When the next is: `now` where something was done; None: nothing is, or it is off.

    Raises `Overtaken`, what the connector raises, and the database's troubles.
    """
    async with turn.db.read(turn.account_id) as reader:
        found = await leases.look(reader, turn.sync_id)
    if found is None:
        raise Overtaken
    row, work = found
    if row.revision != turn.revision:
        raise Overtaken
    runs = row.enabled and not resting.stands(row.held, now) and row.phase != "CONFIGURED"
    if work.creating and (runs or work.plans):
        # Nothing else happens before it is known what was created: what comes in could be that.
        return await settling.settle(turn, now)
    if work.plans and await applying.step(turn, now):
        return now
    if not runs:
        return resting.until(row.held) if row.enabled else None
    if work.again and await retrying.step(turn.db, turn.account_id, turn.sync_id, now=now):
        return now
    due, later = _due(turn, row, work, now)
    if not due:
        return later
    # Each kind of work in its turn, so that none holds up another.
    order = (AGAIN, SEND, CHANGES, PASS, DELETE)
    start = order.index(memory.last) + 1
    chosen = next(kind for kind in order[start:] + order[:start] if kind in due)
    memory.last = chosen
    await _do(turn, row, chosen, now)
    return now


def _due(turn: Turn, row: RunRow, work: Work, now: datetime) -> tuple[set[str], datetime | None]:
    """What is due, and when the first of the rest is."""
    stage = row.cursors.get("stage")
    reading = row.phase == passes.INITIAL and stage in (None, passes.FULL, passes.MISSING)
    times: dict[str, datetime | None] = {AGAIN: work.theirs}
    # Before all of theirs is known, nothing of ours is sent: it might be there already.
    times[SEND] = None if reading else work.ours
    if stage in (passes.RECORDS, passes.SEND):
        # A page of records is worked off before the next one is looked at; done as soon as nothing is due.
        times[PASS] = None if work.ours is not None and work.ours <= now else now
    elif stage is not None or row.phase == passes.INITIAL or row.swept_at is None:
        times[PASS] = now
    else:
        times[PASS] = row.swept_at + passes.sweep(turn.rules)
        if not turn.rules.capabilities.changes:
            times[PASS] = min(times[PASS] or now, row.next_at or now)
    if row.phase == passes.LIVE and turn.rules.capabilities.changes and "changes" in row.cursors:
        times[CHANGES] = row.next_at or now
    due = {kind for kind, at in times.items() if at is not None and at <= now}
    if work.deleting and not due and stage is None:
        due.add(DELETE)
    rest = [at for at in times.values() if at is not None and at > now]
    return due, min(rest, default=None)


async def _do(turn: Turn, row: RunRow, kind: str, now: datetime) -> None:
    match kind:
        case "AGAIN":
            await passes.again(turn, now)
        case "SEND":
            await batches.send(turn, now)
        case "CHANGES":
            await passes.changes(turn, row, now)
        case "DELETE":
            await deleting.delete(turn, now)
        case _:
            await _pass(turn, row, now)


async def _pass(turn: Turn, row: RunRow, now: datetime) -> None:
    match row.cursors.get("stage"):
        case passes.FULL if rounds.helps(turn, row):
            await rounds.full(turn, row, now)
        case passes.FULL:
            await passes.full(turn, row, now)
        case passes.MISSING:
            await passes.missing(turn, now)
        case passes.RECORDS:
            await passes.ours(turn, now)
        case passes.SEND:
            await passes.finish(turn, now)
        case _:
            async with turn.hold(now) as (tx, held):
                if held.cursors.get("stage") is None:
                    passes.begin(held, _why(turn, held, now))
                    await leases.write(tx, held)


def _why(turn: Turn, row: RunRow, now: datetime) -> str:
    if row.phase == passes.INITIAL:
        return passes.FIRST
    swept = row.swept_at is not None and now < row.swept_at + passes.sweep(turn.rules)
    return passes.POLL if swept and not turn.rules.capabilities.changes else passes.SWEEP


async def until_rest(turn: Turn, memory: Memory, now: datetime, limit: int = 100_000) -> datetime | None:
    """Step until nothing is due; when the next thing is."""
    for _ in range(limit):
        at = await step(turn, memory, now)
        if at is None or at > now:
            return at
    raise RuntimeError("this sync does not come to rest")
