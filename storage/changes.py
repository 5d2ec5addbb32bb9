"""The change log: append in a transaction; claim what is to be evaluated; read what is settled."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from storage.statements import Statement

if TYPE_CHECKING:
    from storage.database import Queryable, Transaction


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
    ENROLLED = "ENROLLED"
    STEP_DONE = "STEP_DONE"
    STEP_SKIPPED = "STEP_SKIPPED"
    STEP_FAILED = "STEP_FAILED"
    ENROLLMENT_COMPLETED = "ENROLLMENT_COMPLETED"
    ENROLLMENT_FAILED = "ENROLLMENT_FAILED"
    UNENROLLED = "UNENROLLED"
    WORKFLOW_CREATED = "WORKFLOW_CREATED"
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
class LoggedEvent(Event):
    """An event as it stands in the log. `seq` rises in commit order within the account."""

    seq: int = 0
    at: datetime = field(kw_only=True)
    source: str = ""
    source_id: str | None = None
    user_id: int | None = None


# An array for each row comes as PostgreSQL's text of it: unnest takes arrays of arrays apart to the elements, and
# reading them out of JSON row by row takes twice as long as the whole statement now does.
QUEUE = Statement(
    "changes.queue",
    """
    INSERT INTO change_queue (account_id, id, record_id, object_type_id, kind, properties, before,
                              type_ids, other_ids, at, source, source_id, depth, version)
    SELECT $1, c.id, c.record_id, c.object_type_id, c.kind, c.properties::text[], c.before,
           c.type_ids::bigint[], c.other_ids::bigint[], $10, $11, $12, $13, $14
      FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::text[], $7::jsonb[], $8::text[], $9::text[])
           AS c(id, record_id, object_type_id, kind, properties, before, type_ids, other_ids)
    """,
)

# The last statement before the commit. The counter's row lock makes numbers rise in commit order; held
# any longer than this, it would make an account's writers wait for each other's work.
LOG = Statement(
    "changes.log",
    """
    WITH taken AS (
        UPDATE account_seq AS s SET seq = s.seq + cardinality($2::text[]) WHERE s.account_id = $1
        RETURNING s.seq - cardinality($2::text[]) AS before
    )
    INSERT INTO event_log (account_id, seq, at, kind, object_type_id, record_id, subject_id, payload,
                           source, source_id, user_id)
    SELECT $1, taken.before + e.n, $7, e.kind, e.object_type_id, e.record_id, e.subject_id, e.payload,
           $8, $9, $10
      FROM taken,
           unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::jsonb[])
           WITH ORDINALITY AS e(kind, object_type_id, record_id, subject_id, payload, n)
    """,
)

# Claiming deletes: a cursor on ids would pass over rows that commit late. What others hold is skipped.
CLAIM = Statement(
    "changes.claim",
    """
    WITH claimed AS (
        SELECT q.id FROM change_queue AS q
         WHERE q.account_id = $1
         ORDER BY q.id LIMIT $2
           FOR UPDATE SKIP LOCKED
    )
    DELETE FROM change_queue AS q USING claimed
     WHERE q.account_id = $1 AND q.id = claimed.id
    RETURNING q.id, q.record_id, q.object_type_id, q.kind, q.properties, q.before, q.type_ids, q.other_ids,
              q.at, q.source, q.source_id, q.depth, q.version
    """,
)

WAITING = Statement(
    "changes.waiting",
    "SELECT DISTINCT q.account_id FROM change_queue AS q LIMIT $1",
    spanning="finds the accounts that have work; each is then worked off in transactions of its own",
)

READ = Statement(
    "changes.read",
    """
    SELECT e.seq, e.at, e.kind, e.object_type_id, e.record_id, e.subject_id, e.payload, e.source, e.source_id,
           e.user_id
      FROM event_log AS e
     WHERE e.account_id = $1 AND e.seq > $2
     ORDER BY e.seq LIMIT $3
    """,
)

LAST = Statement("changes.last", "SELECT s.seq FROM account_seq AS s WHERE s.account_id = $1")


async def append(tx: "Transaction") -> None:
    """Write what the transaction noted: changes to the queue, then events to the log. Nothing may follow."""
    actor = tx.actor
    if tx.changes:
        ids = await tx.new_ids(len(tx.changes))
        await tx.execute(
            QUEUE,
            ids,
            [c.record_id for c in tx.changes],
            [c.object_type_id for c in tx.changes],
            [c.kind for c in tx.changes],
            [_array(c.properties) for c in tx.changes],
            [c.before for c in tx.changes],
            [_array(c.type_ids) for c in tx.changes],
            [_array(c.other_ids) for c in tx.changes],
            tx.now,
            actor.source,
            actor.source_id,
            actor.depth,
            tx.catalogue.version,
        )
    if tx.events:
        await tx.execute(
            LOG,
            [e.kind for e in tx.events],
            [e.object_type_id for e in tx.events],
            [e.record_id for e in tx.events],
            [e.subject_id for e in tx.events],
            [e.payload for e in tx.events],
            tx.now,
            actor.source,
            actor.source_id,
            actor.user_id,
        )


async def claim(tx: "Transaction", limit: int) -> list[QueuedChange]:
    """Take up to `limit` changes off the queue, oldest first; they are gone if the transaction commits."""
    rows = await tx.fetch(CLAIM, limit)
    return [
        QueuedChange(
            record_id=row["record_id"],
            object_type_id=row["object_type_id"],
            kind=ChangeKind(row["kind"]),
            properties=tuple(row["properties"]),
            before=row["before"],
            type_ids=tuple(row["type_ids"]),
            other_ids=tuple(row["other_ids"]),
            at=row["at"],
            source=row["source"],
            source_id=row["source_id"],
            depth=row["depth"],
            version=row["version"],
        )
        for row in sorted(rows, key=lambda row: row["id"])
    ]


async def read(reader: "Queryable", after: int, limit: int) -> list[LoggedEvent]:
    """Up to `limit` events behind number `after`, in order."""
    return [
        LoggedEvent(
            kind=EventKind(row["kind"]),
            object_type_id=row["object_type_id"],
            record_id=row["record_id"],
            subject_id=row["subject_id"],
            payload=row["payload"],
            seq=row["seq"],
            at=row["at"],
            source=row["source"],
            source_id=row["source_id"],
            user_id=row["user_id"],
        )
        for row in await reader.fetch(READ, after, limit)
    ]


async def last(reader: "Queryable") -> int:
    """The number of the newest event."""
    return int(await reader.fetchval(LAST) or 0)


def _array(parts: Iterable[str | int]) -> str:
    """An array as PostgreSQL writes it down."""
    quoted = (str(part).replace("\\", "\\\\").replace('"', '\\"') for part in parts)
    return "{" + ",".join(f'"{part}"' for part in quoted) + "}"
