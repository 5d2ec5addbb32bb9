"""Archive and restore: records go out of sight with all they hold, and come back with what still fits."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from engine import associations
from engine.batches import Mode, Outcome, settle
from engine.problems import Problem
from engine.records import problems as told
from storage import records
from storage.changes import Change, ChangeKind, Event, EventKind
from storage.database import Transaction
from storage.records import RecordRow

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Restored:
    """A record that is back, and the associations that did not come back with it."""

    row: RecordRow
    refused: tuple[Problem, ...] = ()


async def archive(tx: Transaction, ids: Sequence[int], mode: Mode) -> list[Outcome[RecordRow]]:
    """Take records out of sight; they keep associations and unique values. Archiving twice changes nothing.

    Its active enrollments end when the change is evaluated.
    """
    locked = await records.lock(tx, ids)
    outcomes = settle([_found(locked, record_id) for record_id in ids], mode)
    going = _chosen(outcomes, archived=False)
    gone = {
        row.id: dataclasses.replace(
            row, archived_at=tx.now, updated_at=tx.now, updated_source=tx.actor.source
        )
        for row in going
    }
    if gone:
        await records.set_archived(tx, list(gone), tx.now)
        await associations.on_archive(tx, list(gone.values()))
        for row in gone.values():
            tx.changed(Change(row.id, row.object_type_id, ChangeKind.ARCHIVED))
            tx.happened(Event(EventKind.RECORD_ARCHIVED, row.object_type_id, row.id))
    return [_replaced(outcome, gone) for outcome in outcomes]


async def restore(tx: Transaction, ids: Sequence[int], mode: Mode) -> list[Outcome[Restored]]:
    """Bring archived records back, with the associations that still fit limits, primary and exclusivity.

    What does not fit is told with the record, and is no failure. A record that is not archived stays as it is;
    one that was merged away cannot come back.
    """
    await associations.before_restore(tx, ids)
    locked = await records.lock(tx, ids)
    outcomes = settle([_found(locked, record_id) for record_id in ids], mode)
    coming = _chosen(outcomes, archived=True)
    back = {
        row.id: dataclasses.replace(row, archived_at=None, updated_at=tx.now, updated_source=tx.actor.source)
        for row in coming
    }
    refused: dict[int, list[Problem]] = {}
    if back:
        await records.set_archived(tx, list(back), None)
        refused = await associations.on_restore(tx, list(back.values()))
        # What could not come back changed when their associations last changed.
        back = {row.id: row for row in await records.rows(tx, list(back)) if row is not None}
        for row in back.values():
            tx.changed(Change(row.id, row.object_type_id, ChangeKind.RESTORED))
            tx.happened(Event(EventKind.RECORD_RESTORED, row.object_type_id, row.id))
    return [
        Outcome(None, outcome.problem)
        if outcome.value is None
        else Outcome(Restored(outcome.value, tuple(refused.get(outcome.value.id, ()))))
        for outcome in (_replaced(outcome, back) for outcome in outcomes)
    ]


def _found(locked: dict[int, RecordRow], record_id: int) -> Outcome[RecordRow]:
    row = locked.get(record_id)
    if row is None:
        return Outcome(None, told.missing(record_id))
    if row.merged_into_id is not None:
        return Outcome(None, told.archived(row))
    return Outcome(row)


def _chosen(outcomes: Sequence[Outcome[RecordRow]], *, archived: bool) -> list[RecordRow]:
    """The records that are (or are not) archived, each once, in id order."""
    rows = {outcome.value.id: outcome.value for outcome in outcomes if outcome.value is not None}
    return [
        rows[record_id] for record_id in sorted(rows) if (rows[record_id].archived_at is not None) == archived
    ]


def _replaced(outcome: Outcome[RecordRow], news: dict[int, RecordRow]) -> Outcome[RecordRow]:
    """The outcome with the record as it is now."""
    return outcome if outcome.value is None else Outcome(news.get(outcome.value.id, outcome.value))
