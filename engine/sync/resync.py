"""What was deleted on one side comes back there; and deletions that the brake has held are confirmed or refused."""

from collections.abc import Sequence
from dataclasses import dataclass

from engine import ids, records
from engine.batches import Mode, Outcome
from engine.problems import NotFound, Problem
from engine.records import problems as of_records
from engine.sync.categories import Category
from engine.sync.rules import Direction, Side
from storage import records as stored
from storage.changes import Event, EventKind
from storage.database import Transaction
from storage.records import RecordRow
from storage.sync import attempts, dirty, holding, links, retries
from storage.sync.attempts import Attempt
from storage.sync.holding import HeldSync
from storage.sync.links import PENDING, LinkRow

BATCH = 500
# Why a sync waits for a person: see `deleting`.
HELD = "DELETES_HELD"
KEPT = "It was deleted on one side; somebody has decided to keep it on the other."


class LinkNotDeleted(Problem):
    """The record was not deleted on either side: there is nothing to resync."""


class ResyncAgainstDirection(Problem):
    """It was deleted on the side {side}, on which this sync writes nothing."""


class NoDeletesHeld(Problem):
    """No deletions of this sync wait for a decision."""


@dataclass(frozen=True, slots=True)
class Resynced:
    """How many come back, how many cannot, and the last one that was looked at; None: there are no more."""

    count: int
    refused: int
    last: int | None


async def resync(tx: Transaction, link_ids: Sequence[int]) -> list[Outcome[int]]:
    """Bring back what was deleted of each of these links, on the side where it is missing; the link's id.

    Ours: the archived record is restored, or made anew where it was merged away. Theirs: it is created under a new key
    by the runner. In the order asked. Problems: `NotFound`, `LinkNotDeleted`, `ResyncAgainstDirection`, and those of
    restoring records.
    """
    found = await links.read(tx, list(dict.fromkeys(link_ids)))
    syncs = await holding.hold(tx, [row.sync_id for row in found.values()])
    # As they stand now that nobody else changes them.
    found = await links.read(tx, list(found))
    refused = await _carry_out(tx, found, syncs)
    outcomes: list[Outcome[int]] = []
    for link_id in link_ids:
        problem = refused.get(link_id)
        if link_id not in found:
            problem = NotFound(kind="link", name=ids.encode("link", link_id))
        outcomes.append(Outcome(None, problem) if problem is not None else Outcome(link_id))
    return outcomes


async def resync_all(tx: Transaction, sync_id: int, side: Side, *, after: int = 0) -> Resynced:
    """Bring back on `side` up to `BATCH` of what was deleted there, behind the link `after`.

    Raises `NotFound` and `ResyncAgainstDirection`.
    """
    syncs = await holding.hold(tx, [sync_id])
    if sync_id not in syncs:
        raise NotFound(kind="sync", name=ids.encode("sync", sync_id), path=("id",))
    if not _goes(syncs[sync_id], side):
        raise ResyncAgainstDirection(side=side.value, path=("side",))
    gone = [Category.RECORD_DELETED.value]
    failures = await retries.failed(tx, sync_id, categories=gone, without=None, after=after, limit=BATCH)
    found = await links.read(tx, [one.id for one in failures])
    meant = {number: row for number, row in found.items() if row.deleted == side}
    refused = await _carry_out(tx, meant, syncs)
    last = failures[-1].id if len(failures) == BATCH else None
    return Resynced(len(meant) - len(refused), len(refused), last)


async def _carry_out(
    tx: Transaction, found: dict[int, LinkRow], syncs: dict[int, HeldSync]
) -> dict[int, Problem]:
    """Bring back what can be of these links; the problems of the others."""
    wrong: dict[int, Problem] = {}
    for row in found.values():
        if row.deleted is None:
            wrong[row.id] = LinkNotDeleted()
        elif row.sync_id in syncs and not _goes(syncs[row.sync_id], Side(row.deleted)):
            wrong[row.id] = ResyncAgainstDirection(side=row.deleted)
    able = [row for row in found.values() if row.id not in wrong]
    held = [row.record_id for row in able if row.record_id is not None]
    rows = {one.id: one for one in await stored.rows(tx, held) if one is not None}
    ours = [row for row in able if row.deleted == Side.OURS]
    theirs = [row for row in able if row.deleted == Side.THEIRS]
    wrong |= await _ours(tx, ours, rows)
    wrong |= _theirs(theirs, rows)
    back = [row for row in able if row.id not in wrong]
    by_sync: dict[int, list[tuple[LinkRow, Side]]] = {}
    for row in back:
        by_sync.setdefault(row.sync_id, []).append((row, Side.OURS if row in ours else Side.THEIRS))
        _pend(row)
    await links.update(tx, back)
    await dirty.add_to_many(tx, [(row.sync_id, *_place(row), tx.now, 0) for row in back])
    tx.news = True
    for sync_id, several in by_sync.items():
        told = [
            Attempt(row.id, "RESOLVED", side.value, Category.RECORD_DELETED.value, "It is to come back.")
            for row, side in several
        ]
        await attempts.add(tx, sync_id, told)
    return wrong


async def _ours(tx: Transaction, gone: Sequence[LinkRow], rows: dict[int, RecordRow]) -> dict[int, Problem]:
    """Restore records that are archived; the others are made anew from their items, or found by them."""
    wrong: dict[int, Problem] = {}
    there = {
        row.id: rows[row.record_id] for row in gone if row.record_id is not None and row.record_id in rows
    }
    archived = [row for row in gone if row.id in there and there[row.id].merged_into_id is None]
    outcomes = await records.restore(tx, [there[row.id].id for row in archived], Mode.PER_ITEM)
    for row, outcome in zip(archived, outcomes, strict=True):
        if outcome.problem is not None:
            wrong[row.id] = outcome.problem
    for row in gone:
        # The item counts as one that was never linked: whoever it is matched with, or made, takes all of it.
        if row not in archived:
            row.record_id, row.base_ours, row.base_theirs, row.base_roles = None, None, None, {}
    return wrong


def _theirs(gone: Sequence[LinkRow], rows: dict[int, RecordRow]) -> dict[int, Problem]:
    """The records count as ones that were never linked: they are found over there, or created under a new key."""
    wrong: dict[int, Problem] = {}
    for row in gone:
        record = rows.get(row.record_id or 0)
        if record is None:
            wrong[row.id] = LinkNotDeleted()
        elif record.archived_at is not None:
            wrong[row.id] = of_records.archived(record)
        else:
            row.external_id, row.base_ours, row.base_theirs, row.base_roles = None, None, None, {}
            row.url = None
    return wrong


def _pend(row: LinkRow) -> None:
    """Nothing is known of it but that it is to be looked at."""
    row.state, row.deleted, row.deleting = PENDING, None, False
    row.category, row.message, row.failed_side, row.details = None, None, None, None
    # No version is known of what comes: the item is looked at whatever it has.
    row.version, row.modified_at, row.create_key, row.planned = None, None, None, None
    row.attempts = 0


def _place(row: LinkRow) -> tuple[str, str]:
    """What is looked at: the item, where there is one."""
    if row.external_id is not None:
        return Side.THEIRS.value, row.external_id
    return Side.OURS.value, str(row.record_id)


def _goes(sync: HeldSync, side: Side) -> bool:
    """Whether anything may be written on this side."""
    return sync.direction != (Direction.OUT if side is Side.OURS else Direction.IN)


async def settle_deletes(tx: Transaction, sync_id: int, *, confirm: bool) -> int:
    """Let deletions that the brake holds be carried out, or keep their other halves; how many there are.

    What is kept shows as RECORD_DELETED, and is not asked about again. Raises `NotFound` and `NoDeletesHeld`.
    """
    sync = (await holding.hold(tx, [sync_id])).get(sync_id)
    if sync is None:
        raise NotFound(kind="sync", name=ids.encode("sync", sync_id), path=("id",))
    if sync.held is None or sync.held.get("category") != HELD:
        raise NoDeletesHeld(path=("id",))
    if confirm:
        count, _ = await links.to_delete(tx, sync_id)
        await holding.confirm_deletes(tx, sync_id, count)
    else:
        count = await holding.keep_deletes(tx, sync_id, KEPT)
    told = {"deletes": count, "confirmed": confirm}
    tx.happened(Event(EventKind.SYNC_RESUMED, sync.object_type_id, None, sync_id, told))
    return count
