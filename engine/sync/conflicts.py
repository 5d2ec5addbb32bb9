"""The conflict inbox: fields that both sides changed, and what a person has decided about them.

A decision is about the values that the person saw. The runner carries it out where both sides still hold these; else
the conflict stands anew, with the present ones, and is told again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine import ids, records
from engine.batches import Mode, Outcome, failed
from engine.problems import Problem
from engine.records.problems import RecordArchived
from engine.sync.merge import Merged
from engine.sync.rules import Side
from storage import records as stored_records
from storage.catalogue import ObjectTypeRow
from storage.changes import Event, EventKind
from storage.database import Queryable, Transaction
from storage.sync import conflicts as stored_conflicts
from storage.sync import dirty, holding
from storage.sync import inbox as stored
from storage.sync.conflicts import ConflictRow
from storage.sync.inbox import InboxRow
from storage.sync.links import IN_SYNC

NEWEST = 2**63 - 1


class ConflictSettled(Problem):
    """The conflict "{conflict}" is not open any more."""


class ConflictDecidedTwice(Problem):
    """The conflict "{conflict}" is decided twice in this request."""


@dataclass(frozen=True, slots=True)
class OpenConflict:
    """A field about which a person is asked; values in our terms. `resolved`: decided, and not carried out yet."""

    id: int
    sync_id: int
    link_id: int
    mapping_id: int
    ours: Any
    theirs: Any
    agreed: Any
    at: datetime
    resolved: Side | None = None


@dataclass(frozen=True, slots=True)
class Resolution:
    """What a person has decided: a side's value wins, or (`winner` None) both get `value`."""

    conflict_id: int
    winner: Side | None
    value: Any = None


async def inbox(
    reader: Queryable, sync_ids: Sequence[int], *, before: int = NEWEST, first: int = 50
) -> list[OpenConflict]:
    """Up to `first` conflicts of these syncs with ids below `before`, newest first."""
    return [_open(row) for row in await stored.page(reader, sync_ids, before=before, limit=first)]


async def of_links(reader: Queryable, link_ids: Sequence[int]) -> list[list[OpenConflict]]:
    """The conflicts of each of these links, in the order asked."""
    return [[_open(row) for row in rows] for rows in await stored.of_links(reader, link_ids)]


def _open(row: InboxRow) -> OpenConflict:
    held = row.held
    return OpenConflict(
        row.id,
        row.sync_id,
        row.link_id,
        row.mapping_id,
        held.get("ours"),
        held.get("theirs"),
        held.get("agreed"),
        row.at,
        None if row.winner is None else Side(row.winner),
    )


async def resolve(tx: Transaction, resolutions: Sequence[Resolution]) -> list[Outcome[OpenConflict]]:
    """Decide conflicts, in the order asked; the runner carries it out.

    Where either side has changed by then, nothing of it is: the conflict stands anew, with the present values.
    Problems: `ConflictSettled`, `ConflictDecidedTwice`, `RecordArchived`, and those of a value that the property does
    not take.
    """
    asked = [one.conflict_id for one in resolutions]
    found = await stored.by_ids(tx, asked)
    held = await holding.hold(tx, [row.sync_id for row in found.values()])
    types = {number: tx.catalogue.object_types[sync.object_type_id] for number, sync in held.items()}
    # As they stand now that no runner changes them.
    found = await stored.by_ids(tx, asked)
    wrong = await _wrong(tx, asked, found)
    await _give(tx, types, resolutions, found, wrong)
    chosen = {}
    for one, problem in zip(resolutions, wrong, strict=True):
        if problem is None:
            row = found[one.conflict_id]
            row.winner = (one.winner or Side.OURS).value
            chosen[row.id] = row
    await stored.decide(tx, {row.id: (str(row.winner), row.held) for row in chosen.values()})
    for row in chosen.values():
        _tell(tx, row)
    await dirty.add_to_many(
        tx,
        (
            (row.sync_id, Side.THEIRS.value, row.external_id, tx.now, 0)
            for row in chosen.values()
            if row.external_id is not None
        ),
    )
    return [
        failed([problem]) if problem is not None else Outcome(_open(found[one.conflict_id]))
        for one, problem in zip(resolutions, wrong, strict=True)
    ]


async def _wrong(tx: Transaction, asked: Sequence[int], found: dict[int, InboxRow]) -> list[Problem | None]:
    """Why each of these conflicts cannot be decided, in the order asked; None where it can."""
    numbers = sorted({row.record_id for row in found.values() if row.record_id is not None})
    rows = await stored_records.rows(tx, numbers)
    archived = {row.id for row in rows if row is not None and row.archived_at is not None}
    # Left behind by versions that forgot conflicts of what failed besides: both sides agree by now.
    over = {row.id for row in found.values() if row.state == IN_SYNC}
    await stored_conflicts.remove(tx, sorted(over))
    wrong: list[Problem | None] = []
    for n, number in enumerate(asked):
        told, row = ids.encode("conflict", number), found.get(number)
        if row is None or row.record_id is None or number in over:
            wrong.append(ConflictSettled(conflict=told))
        elif row.record_id in archived:
            wrong.append(RecordArchived(record=ids.encode("record", row.record_id)))
        else:
            wrong.append(ConflictDecidedTwice(conflict=told) if number in asked[:n] else None)
    return wrong


def resolved(open_: Iterable[ConflictRow], merged: Merged) -> dict[int, str]:
    """What people have decided, {mapping: winning side}, of what both sides still hold as they saw it. Pure.

    `merged`: without any of it.
    """
    present = {one.mapping_id: (one.ours, one.theirs) for one in merged.conflicts}
    return {
        one.mapping_id: one.winner
        for one in open_
        if one.winner is not None
        and present.get(one.mapping_id) == (one.held.get("ours"), one.held.get("theirs"))
    }


async def _give(
    tx: Transaction,
    types: dict[int, ObjectTypeRow],
    resolutions: Sequence[Resolution],
    found: dict[int, InboxRow],
    wrong: list[Problem | None],
) -> None:
    """Write the values that a person has given to our records, from where they go to the other side.

    What our side held when it was decided is that value then.
    """
    given = [
        (n, found[one.conflict_id], one.value)
        for n, one in enumerate(resolutions)
        if one.winner is None and wrong[n] is None
    ]
    changes = [
        (row.record_id, {_property(types[row.sync_id], row.property_id): value})
        for _, row, value in given
        if row.record_id is not None
    ]
    if not changes:
        return
    outcomes = await records.update(tx, changes, Mode.PER_ITEM)
    for (n, row, _), (_, change), outcome in zip(given, changes, outcomes, strict=True):
        if outcome.value is None:
            wrong[n] = outcome.problem
        else:
            (name,) = change
            row.held = row.held | {"ours": outcome.value.properties.get(name)}


def _property(of: ObjectTypeRow, property_id: int) -> str:
    return next(name for name, one in of.properties.items() if one.id == property_id)


def _tell(tx: Transaction, row: InboxRow) -> None:
    tx.happened(
        Event(
            EventKind.SYNC_CONFLICT_RESOLVED,
            None,
            row.record_id,
            row.sync_id,
            {"link": row.link_id, "mapping": row.mapping_id, "winner": row.winner},
        )
    )
