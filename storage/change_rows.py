"""Rows of the queue and the log: several changes, or events, that are alike share one, and are taken apart again."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import orjson

from storage.arrays import numbers, texts
from storage.notes import (
    AssociationChanges,
    AssociationEvents,
    Change,
    ChangeKind,
    EnrollmentEvents,
    Event,
    EventKind,
    LoggedEvent,
    QueuedChange,
    RecordChanges,
    RecordsCreated,
)

# So many fit a row that PostgreSQL keeps in one piece, uncompressed.
PACKED = 64

# In what a row says of values before, values after stand under this name, which no property has.
AFTER = ""

# In a row of the log that tells of records made together, what they hold stands under this name, which no payload has:
# {property: [value of each, null where it has none]}. So names are written once, and PostgreSQL reads a fifth.
HELD = ""

# Bytes of such a payload and its records, as PostgreSQL keeps them: a row of more than 2,032 would be compressed.
ROOM = 1_800
# What it takes beyond its text: a record's number; a value's place, and what the shortest of numbers is longer there.
_OF_RECORD, _OF_VALUE = 8, 10

# A row of the queue: object type, kind, properties, before, records, types, others, depth; arrays in PostgreSQL's
# words.
_QueueRow: TypeAlias = tuple[int, str, str, dict[str, Any], str, str, str, int]

# A row of the log: number of its last event in this transaction, kind, object type, records, to, subject, payload.
_LogRow: TypeAlias = tuple[int, str, int | None, str, str, int | None, Any]


def queued(noted: Iterable[Change | AssociationChanges | RecordChanges]) -> Iterator[_QueueRow]:
    """Changes as rows; those that follow each other and differ in the record alone share them."""
    alike: list[int] = []
    last: Change | None = None
    for one in noted:
        if isinstance(one, Change) and last is not None and len(alike) < PACKED and _alike(one, last):
            alike.append(one.record_id)
            continue
        if last is not None:
            yield _queue_row(last, alike)
        last = None
        if isinstance(one, Change):
            last, alike = one, [one.record_id] * max(len(one.type_ids), 1)
            continue
        if isinstance(one, RecordChanges):
            names = texts(one.properties)
            for records in _parts(one.record_ids):
                yield one.object_type_id, one.kind, names, {}, numbers(records), "{}", "{}", 0
            continue
        for records, others in zip(_parts(one.record_ids), _parts(one.other_ids), strict=True):
            yield (
                one.object_type_id,
                one.kind,
                "{}",
                {},
                numbers(records),
                f"{{{one.type_id}}}",
                numbers(others),
                one.depth,
            )
    if last is not None:
        yield _queue_row(last, alike)


def _alike(one: Change, other: Change) -> bool:
    return (
        one.kind == other.kind
        and one.object_type_id == other.object_type_id
        and one.properties == other.properties
        and not (one.before or other.before or one.type_ids or other.type_ids or one.after or other.after)
    )


def _queue_row(change: Change, record_ids: Sequence[int]) -> _QueueRow:
    return (
        change.object_type_id,
        change.kind,
        texts(change.properties),
        {**change.before, AFTER: change.after} if change.after else change.before,
        numbers(record_ids),
        numbers(change.type_ids),
        numbers(change.other_ids),
        0,
    )


def logged(
    noted: Iterable[Event | AssociationEvents | EnrollmentEvents | RecordsCreated],
) -> Iterator[_LogRow]:
    """Events as rows; those that follow each other and differ in the record alone share them."""
    n = 0
    alike: list[int] = []
    last: Event | None = None
    for one in noted:
        if isinstance(one, Event) and last is not None and len(alike) < PACKED and _same(one, last):
            alike.append(one.record_id or 0)
            continue
        if last is not None:
            n += len(alike)
            yield _log_row(n, last, alike)
        last = None
        if isinstance(one, Event) and one.record_id is not None:
            last, alike = one, [one.record_id]
            continue
        if isinstance(one, Event):
            n += 1
            yield n, one.kind, one.object_type_id, "{NULL}", "{}", one.subject_id, one.payload
            continue
        if isinstance(one, RecordsCreated):
            for records, told in _made(one):
                n += len(records)
                yield n, EventKind.RECORD_CREATED, one.object_type_id, numbers(records), "{}", None, told
            continue
        subject = one.workflow_id if isinstance(one, EnrollmentEvents) else None
        ends = one.enrollment_ids if isinstance(one, EnrollmentEvents) else one.to_ids
        for records, others in zip(_parts(one.record_ids), _parts(ends), strict=True):
            n += len(records)
            yield n, one.kind, one.object_type_id, numbers(records), numbers(others), subject, one.payload
    if last is not None:
        yield _log_row(n + len(alike), last, alike)


def _made(made: RecordsCreated) -> Iterator[tuple[Sequence[int], Any]]:
    """Records made together, as many at a time as fit a row, with what it tells of them."""
    start, fit, many = 0, PACKED, len(made.record_ids)
    while start < many:
        properties = made.properties[start : start + fit]
        n = len(properties)
        if n == 1:
            # As anybody else's: whoever waits for a single record has nothing to take apart.
            told: Any = {"changed": {name: [None, value] for name, value in properties[0].items()}}
            fit = 2
        else:
            names = dict.fromkeys(itertools.chain.from_iterable(properties))
            text = orjson.dumps({HELD: {name: [one.get(name) for one in properties] for name in names}})
            size = len(text) + n * (_OF_RECORD + _OF_VALUE * len(names))
            # So many are likely to fit, the next time, too.
            fit = min(max(int(n * ROOM * 0.95 / size), 1), PACKED)
            if size > ROOM:
                continue
            told = orjson.Fragment(text)
        yield made.record_ids[start : start + n], told
        start += n


def _same(one: Event, other: Event) -> bool:
    return (
        one.kind == other.kind
        and one.subject_id == other.subject_id
        and one.object_type_id == other.object_type_id
        and one.record_id is not None
        and one.payload == other.payload
    )


def _log_row(n: int, event: Event, record_ids: Sequence[int]) -> _LogRow:
    return n, event.kind, event.object_type_id, numbers(record_ids), "{}", event.subject_id, event.payload


def changes(row: Any) -> Iterator[QueuedChange]:
    """The changes that a row of the queue tells of."""
    records, types, others = row["record_ids"], row["type_ids"], row["other_ids"]
    before = row["before"]
    after = before.pop(AFTER, {})
    told: Iterable[tuple[int, tuple[int, ...], tuple[int, ...]]]
    if not types:
        told = ((record_id, (), ()) for record_id in records)
    elif row["kind"] == ChangeKind.OCCURRED:
        # Each event is a change of its own, whatever else occurred to its record.
        told = ((record_id, (types[0],), (others[n],)) for n, record_id in enumerate(records))
    else:
        ends: dict[int, tuple[list[int], list[int]]] = {}
        for n, record_id in enumerate(records):
            mine = ends.setdefault(record_id, ([], []))
            mine[0].append(types[0] if len(types) == 1 else types[n])
            mine[1].append(others[n])
        told = ((record_id, tuple(mine[0]), tuple(mine[1])) for record_id, mine in ends.items())
    for record_id, type_ids, other_ids in told:
        yield QueuedChange(
            record_id=record_id,
            object_type_id=row["object_type_id"],
            kind=ChangeKind(row["kind"]),
            properties=tuple(row["properties"]),
            before=before,
            after=after,
            type_ids=type_ids,
            other_ids=other_ids,
            at=row["at"],
            source=row["source"],
            source_id=row["source_id"],
            depth=row["depth"],
            version=row["version"],
        )


def together(one: QueuedChange, other: QueuedChange) -> QueuedChange:
    return replace(one, type_ids=one.type_ids + other.type_ids, other_ids=one.other_ids + other.other_ids)


def events(row: Any) -> Iterator[LoggedEvent]:
    """The events that a row of the log tells of."""
    records, others, payload, subject = row["record_ids"], row["to_ids"], row["payload"], row["subject_id"]
    first = row["seq"] - len(records) + 1
    # The other end of an association; of what belongs to a workflow, the enrollment.
    end = "to_id" if subject is None else "enrollment"
    held = payload.get(HELD)
    kind, at = EventKind(row["kind"]), row["at"]
    for n, record_id in enumerate(records):
        told = payload if held is None else _changed(held, n)
        if others:
            told = {end: others[n], **payload}
        yield LoggedEvent(
            kind=kind,
            object_type_id=row["object_type_id"],
            record_id=record_id,
            subject_id=subject,
            payload=told,
            seq=first + n,
            at=at,
            source=row["source"],
            source_id=row["source_id"],
            user_id=row["user_id"],
        )


def _changed(held: Mapping[str, Sequence[Any]], n: int) -> dict[str, Any]:
    """What is told of the `n`th of records that were made together."""
    values = ((name, each[n]) for name, each in held.items())
    return {"changed": {name: [None, value] for name, value in values if value is not None}}


def _parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """The numbers, as many at a time as fit a row."""
    return (numbers[start : start + PACKED] for start in range(0, len(numbers), PACKED))
