"""The change log: append in a transaction; claim what is to be evaluated; read what is settled.

Batches change many records alike. So a row of either table tells of up to `PACKED` of them, and is taken apart when
it is read: nobody else sees rows.
"""

import enum
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from storage.statements import Statement

if TYPE_CHECKING:
    from storage.database import Queryable, Transaction

# So many fit a row that PostgreSQL keeps in one piece, uncompressed.
PACKED = 64


class ChangeKind(enum.StrEnum):
    """What can happen to a record that an evaluator may care about."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    ARCHIVED = "ARCHIVED"
    RESTORED = "RESTORED"
    MERGED = "MERGED"
    # Associations or labels of the record came or went; told once for each end.
    ASSOCIATED = "ASSOCIATED"
    DISSOCIATED = "DISSOCIATED"

    # The record joined or left a segment to which a listener refers; the segment stands as the type.
    SEGMENT_JOINED = "SEGMENT_JOINED"
    SEGMENT_LEFT = "SEGMENT_LEFT"

    # A workflow to which a listener refers enrolled the record, or came to an end with it; it stands as the type.
    ENROLLMENT_MOVED = "ENROLLMENT_MOVED"

class EventKind(enum.StrEnum):
    """What watchers are told."""

    RECORD_CREATED = "RECORD_CREATED"
    RECORD_UPDATED = "RECORD_UPDATED"
    RECORD_ARCHIVED = "RECORD_ARCHIVED"
    RECORD_RESTORED = "RECORD_RESTORED"
    RECORD_MERGED = "RECORD_MERGED"
    ASSOCIATION_ADDED = "ASSOCIATION_ADDED"
    ASSOCIATION_REMOVED = "ASSOCIATION_REMOVED"
    LABEL_ADDED = "LABEL_ADDED"
    LABEL_REMOVED = "LABEL_REMOVED"
    # Definitions: one label took another's place everywhere; a label was deleted.
    LABEL_REPLACED = "LABEL_REPLACED"
    LABEL_DELETED = "LABEL_DELETED"
    ENROLLED = "ENROLLED"
    STEP_DONE = "STEP_DONE"
    STEP_SKIPPED = "STEP_SKIPPED"
    STEP_FAILED = "STEP_FAILED"
    ENROLLMENT_COMPLETED = "ENROLLMENT_COMPLETED"
    ENROLLMENT_FAILED = "ENROLLMENT_FAILED"
    UNENROLLED = "UNENROLLED"
    WORKFLOW_CREATED = "WORKFLOW_CREATED"
    SEGMENT_JOINED = "SEGMENT_JOINED"
    SEGMENT_LEFT = "SEGMENT_LEFT"
    SEGMENT_CREATED = "SEGMENT_CREATED"
    SEGMENT_UPDATED = "SEGMENT_UPDATED"
    SEGMENT_DELETED = "SEGMENT_DELETED"
    WORKFLOW_UPDATED = "WORKFLOW_UPDATED"
    WORKFLOW_PUBLISHED = "WORKFLOW_PUBLISHED"
    WORKFLOW_TURNED_ON = "WORKFLOW_TURNED_ON"
    WORKFLOW_TURNED_OFF = "WORKFLOW_TURNED_OFF"


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one record, for the evaluators.

    `properties` and `before` name what changed and what it was; `type_ids[i]` with `other_ids[i]` is an
    association type (standing at the record) that came or went, and its other end.
    """

    record_id: int
    object_type_id: int
    kind: ChangeKind
    properties: tuple[str, ...] = ()
    before: dict[str, Any] = field(default_factory=dict)
    type_ids: tuple[int, ...] = ()
    other_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class AssociationChanges:
    """Changes (`ChangeKind.ASSOCIATED` or `DISSOCIATED`) under one association type, noted together.

    `record_ids[i]`, at which the type stands, with `other_ids[i]`; a record may come several times. Joins and
    leaves of one segment are noted likewise: it is the type, and the other end.
    """

    kind: ChangeKind
    object_type_id: int
    type_id: int
    record_ids: Sequence[int]
    other_ids: Sequence[int]


@dataclass(frozen=True, slots=True)
class QueuedChange(Change):
    """A change as it was claimed from the queue, with who made it and when."""

    at: datetime = field(kw_only=True)
    source: str = ""
    source_id: str | None = None
    depth: int = 0
    # The version of the account's definitions under which it was made.
    version: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that watchers see. `subject_id` is the workflow, segment, sync or import, if any."""

    kind: EventKind
    object_type_id: int | None = None
    record_id: int | None = None
    subject_id: int | None = None
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AssociationEvents:
    """Events that differ in their two ends alone; `payload` is told of each, with its `to_id`."""

    kind: EventKind
    object_type_id: int
    record_ids: Sequence[int]
    to_ids: Sequence[int]
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class LoggedEvent(Event):
    """An event as it stands in the log. `seq` rises in commit order within the account."""

    seq: int = 0
    at: datetime = field(kw_only=True)
    source: str = ""
    source_id: str | None = None
    user_id: int | None = None


# Everything that a transaction tells, in its last statement before the commit. The counter's row lock makes numbers
# rise in commit order; held any longer, it would make an account's writers wait for each other's work, so it is
# taken after the queue is written (its condition asks for that). An array for each row comes as PostgreSQL's text
# of it: unnest takes arrays of arrays apart to the elements, and reading them out of JSON takes twice as long.
APPEND = Statement(
    "changes.append",
    """
    WITH queued AS (
        INSERT INTO change_queue (account_id, id, object_type_id, kind, properties, before, record_ids,
                                  type_ids, other_ids, at, source, source_id, depth, version)
        SELECT $1, c.id, c.object_type_id, c.kind, c.properties::text[], c.before, c.record_ids::bigint[],
               c.type_ids::bigint[], c.other_ids::bigint[], $2, $3, $4, $5, $6
          FROM unnest($7::bigint[], $8::bigint[], $9::text[], $10::text[], $11::jsonb[], $12::text[], $13::text[],
                      $14::text[])
               AS c(id, object_type_id, kind, properties, before, record_ids, type_ids, other_ids)
        RETURNING 1
    ), taken AS (
        UPDATE account_seq AS s SET seq = s.seq + $15::bigint
         WHERE s.account_id = $1 AND $15::bigint > 0 AND (SELECT count(*) FROM queued) >= 0
        RETURNING s.seq - $15::bigint AS before
    )
    INSERT INTO event_log (account_id, seq, at, kind, object_type_id, record_ids, to_ids, subject_id, payload,
                           source, source_id, user_id)
    SELECT $1, taken.before + e.last, $2, e.kind, e.object_type_id, e.record_ids::bigint[], e.to_ids::bigint[],
           e.subject_id, e.payload, $3, $4, $16
      FROM taken,
           unnest($17::bigint[], $18::text[], $19::bigint[], $20::text[], $21::text[], $22::bigint[], $23::jsonb[])
           AS e(last, kind, object_type_id, record_ids, to_ids, subject_id, payload)
    """,
)

# Claiming deletes: a cursor on ids would pass over rows that commit late. What others hold is skipped. Rows are
# taken until there are enough changes; those locked beyond that are free again with the commit.
CLAIM = Statement(
    "changes.claim",
    """
    WITH locked AS (
        SELECT q.id, cardinality(q.record_ids) AS changes FROM change_queue AS q
         WHERE q.account_id = $1
         ORDER BY q.id LIMIT $2
           FOR UPDATE SKIP LOCKED
    ), claimed AS (
        SELECT l.id, sum(l.changes) OVER (ORDER BY l.id) - l.changes AS before FROM locked AS l
    )
    DELETE FROM change_queue AS q USING claimed
     WHERE q.account_id = $1 AND q.id = claimed.id AND claimed.before < $2
    RETURNING q.id, q.object_type_id, q.kind, q.properties, q.before, q.record_ids, q.type_ids, q.other_ids,
              q.at, q.source, q.source_id, q.depth, q.version
    """,
)

WAITING = Statement(
    "changes.waiting",
    "SELECT DISTINCT q.account_id FROM change_queue AS q LIMIT $1",
    spanning="finds the accounts that have work; each is then worked off in transactions of its own",
)

# Rows until there are enough events. The inner limit holds the reading to what can be needed.
READ = Statement(
    "changes.read",
    """
    SELECT f.seq, f.at, f.kind, f.object_type_id, f.record_ids, f.to_ids, f.subject_id, f.payload, f.source,
           f.source_id, f.user_id
      FROM (SELECT e.*, sum(least(cardinality(e.record_ids), e.seq - $2)) OVER (ORDER BY e.seq)
                        - least(cardinality(e.record_ids), e.seq - $2) AS before
              FROM event_log AS e
             WHERE e.account_id = $1 AND e.seq > $2
             ORDER BY e.seq LIMIT $3) AS f
     WHERE f.before < $3
     ORDER BY f.seq
    """,
)

LAST = Statement("changes.last", "SELECT s.seq FROM account_seq AS s WHERE s.account_id = $1")


async def append(tx: "Transaction") -> None:
    """Write what the transaction noted: changes to the queue, events to the log. Nothing may follow."""
    if not tx.changes and not tx.events:
        return
    changes, events = list(_queued(tx.changes)), list(_logged(tx.events))
    actor = tx.actor
    await tx.execute(
        APPEND,
        tx.now,
        actor.source,
        actor.source_id,
        actor.depth,
        tx.catalogue.version,
        await tx.new_ids(len(changes)) if changes else (),
        *(zip(*changes, strict=True) if changes else [()] * 7),
        events[-1][0] if events else 0,
        actor.user_id,
        *(zip(*events, strict=True) if events else [()] * 7),
    )


# A row of the queue: object type, kind, properties, before, records, types, others; arrays in PostgreSQL's words.
_QueueRow: TypeAlias = tuple[int, str, str, dict[str, Any], str, str, str]

# A row of the log: number of its last event in this transaction, kind, object type, records, to, subject, payload.
_LogRow: TypeAlias = tuple[int, str, int | None, str, str, int | None, dict[str, Any]]


def _queued(noted: Iterable[Change | AssociationChanges]) -> Iterator[_QueueRow]:
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
        for records, others in zip(_parts(one.record_ids), _parts(one.other_ids), strict=True):
            yield (
                one.object_type_id,
                one.kind,
                "{}",
                {},
                numbers(records),
                f"{{{one.type_id}}}",
                numbers(others),
            )
    if last is not None:
        yield _queue_row(last, alike)


def _alike(one: Change, other: Change) -> bool:
    return (
        one.kind == other.kind
        and one.object_type_id == other.object_type_id
        and one.properties == other.properties
        and not (one.before or other.before or one.type_ids or other.type_ids)
    )


def _queue_row(change: Change, record_ids: Sequence[int]) -> _QueueRow:
    return (
        change.object_type_id,
        change.kind,
        _texts(change.properties),
        change.before,
        numbers(record_ids),
        numbers(change.type_ids),
        numbers(change.other_ids),
    )


def _logged(noted: Iterable[Event | AssociationEvents]) -> Iterator[_LogRow]:
    n = 0
    for one in noted:
        if isinstance(one, Event):
            n += 1
            record = "NULL" if one.record_id is None else one.record_id
            yield n, one.kind, one.object_type_id, f"{{{record}}}", "{}", one.subject_id, one.payload
            continue
        for records, others in zip(_parts(one.record_ids), _parts(one.to_ids), strict=True):
            n += len(records)
            yield n, one.kind, one.object_type_id, numbers(records), numbers(others), None, one.payload


async def claim(tx: "Transaction", limit: int) -> list[QueuedChange]:
    """Take some `limit` changes off the queue, oldest first; they are gone if the transaction commits.

    A row that was begun is taken whole. What a transaction did to a record's associations is one change.
    """
    changes: dict[Any, QueuedChange] = {}
    for row in sorted(await tx.fetch(CLAIM, limit), key=lambda row: row["id"]):
        for change in _unpacked(row):
            # Only what the batch did to associations comes in several rows.
            plain = change.type_ids and not change.properties and not change.before
            made = (change.at, change.source, change.source_id, change.depth, change.version)
            key = (change.record_id, change.kind, made) if plain else len(changes)
            known = changes.get(key)
            changes[key] = change if known is None else _together(known, change)
    return list(changes.values())


def _unpacked(row: Any) -> Iterator[QueuedChange]:
    """The changes that a row of the queue tells of."""
    records, types, others = row["record_ids"], row["type_ids"], row["other_ids"]
    told: Iterable[tuple[int, tuple[int, ...], tuple[int, ...]]]
    if not types:
        told = ((record_id, (), ()) for record_id in records)
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
            before=row["before"],
            type_ids=type_ids,
            other_ids=other_ids,
            at=row["at"],
            source=row["source"],
            source_id=row["source_id"],
            depth=row["depth"],
            version=row["version"],
        )


def _together(one: QueuedChange, other: QueuedChange) -> QueuedChange:
    return replace(one, type_ids=one.type_ids + other.type_ids, other_ids=one.other_ids + other.other_ids)


async def read(reader: "Queryable", after: int, limit: int) -> list[LoggedEvent]:
    """Up to `limit` events behind number `after`, in order."""
    rows = await reader.fetch(READ, after, limit)
    return [event for row in rows for event in _events(row) if event.seq > after][:limit]


def _events(row: Any) -> Iterator[LoggedEvent]:
    """The events that a row of the log tells of."""
    records, others = row["record_ids"], row["to_ids"]
    first = row["seq"] - len(records) + 1
    for n, record_id in enumerate(records):
        yield LoggedEvent(
            kind=EventKind(row["kind"]),
            object_type_id=row["object_type_id"],
            record_id=record_id,
            subject_id=row["subject_id"],
            payload={"to_id": others[n], **row["payload"]} if others else row["payload"],
            seq=first + n,
            at=row["at"],
            source=row["source"],
            source_id=row["source_id"],
            user_id=row["user_id"],
        )


async def last(reader: "Queryable") -> int:
    """The number of the newest event."""
    return int(await reader.fetchval(LAST) or 0)


def _parts(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """The numbers, as many at a time as fit a row."""
    return (numbers[start : start + PACKED] for start in range(0, len(numbers), PACKED))


def numbers(parts: Iterable[int]) -> str:
    """An array of numbers as PostgreSQL writes it down."""
    return "{" + ",".join(map(str, parts)) + "}"


def _texts(parts: Iterable[str]) -> str:
    """An array of texts as PostgreSQL writes it down."""
    quoted = (part.replace("\\", "\\\\").replace('"', '\\"') for part in parts)
    return "{" + ",".join(f'"{part}"' for part in quoted) + "}"
