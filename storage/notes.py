"""What a transaction notes for those who evaluate and those who watch, and what they are told."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


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
    # An event occurred to the record: its type stands as the type, the event as the other end; one change an event.
    OCCURRED = "OCCURRED"
    # Events came to the record with one that was merged into it; their type stands as the type. Nothing occurred.
    EVENTS_MOVED = "EVENTS_MOVED"


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
    # An event of some type (the subject) occurred to a record.
    EVENT_OCCURRED = "EVENT_OCCURRED"
    ENROLLED = "ENROLLED"
    STEP_DONE = "STEP_DONE"
    STEP_SKIPPED = "STEP_SKIPPED"
    STEP_FAILED = "STEP_FAILED"
    STEP_RETRIED = "STEP_RETRIED"
    ENROLLMENT_COMPLETED = "ENROLLMENT_COMPLETED"
    ENROLLMENT_FAILED = "ENROLLMENT_FAILED"
    UNENROLLED = "UNENROLLED"
    # Somebody has undone what an enrollment had changed.
    ENROLLMENT_UNDONE = "ENROLLMENT_UNDONE"
    # A mail or a call of a webhook came to its end; the workflow that asked for it is the subject.
    OUTBOX_DELIVERED = "OUTBOX_DELIVERED"
    OUTBOX_FAILED = "OUTBOX_FAILED"
    SEGMENT_JOINED = "SEGMENT_JOINED"
    SEGMENT_LEFT = "SEGMENT_LEFT"
    SEGMENT_CREATED = "SEGMENT_CREATED"
    SEGMENT_UPDATED = "SEGMENT_UPDATED"
    SEGMENT_DELETED = "SEGMENT_DELETED"
    # A file is read (the subject): a check began and is done; the run began, so many of its rows are in, it came to its
    # end, it broke off; people stopped it for a while or for good, and let it be taken back.
    IMPORT_CHECKING = "IMPORT_CHECKING"
    IMPORT_CHECKED = "IMPORT_CHECKED"
    IMPORT_STARTED = "IMPORT_STARTED"
    IMPORT_PROGRESS = "IMPORT_PROGRESS"
    IMPORT_FINISHED = "IMPORT_FINISHED"
    IMPORT_FAILED = "IMPORT_FAILED"
    IMPORT_PAUSED = "IMPORT_PAUSED"
    IMPORT_RESUMED = "IMPORT_RESUMED"
    IMPORT_CANCELLED = "IMPORT_CANCELLED"
    IMPORT_UNDOING = "IMPORT_UNDOING"
    IMPORT_UNDONE = "IMPORT_UNDONE"
    # Data sync (the subject): its life, how far it is, and what became of a record.
    SYNC_CREATED = "SYNC_CREATED"
    SYNC_UPDATED = "SYNC_UPDATED"
    SYNC_DELETED = "SYNC_DELETED"
    SYNC_TURNED_ON = "SYNC_TURNED_ON"
    SYNC_TURNED_OFF = "SYNC_TURNED_OFF"
    SYNC_STARTED = "SYNC_STARTED"
    SYNC_PROGRESS = "SYNC_PROGRESS"
    SYNC_LIVE = "SYNC_LIVE"
    # It stopped by itself, or waits; it goes on.
    SYNC_HELD = "SYNC_HELD"
    SYNC_RESUMED = "SYNC_RESUMED"
    SYNC_PLANNED = "SYNC_PLANNED"
    RECORD_SYNCED = "RECORD_SYNCED"
    RECORD_SYNC_FAILED = "RECORD_SYNC_FAILED"
    RECORD_SYNC_EXCLUDED = "RECORD_SYNC_EXCLUDED"
    SYNC_CONFLICTED = "SYNC_CONFLICTED"
    SYNC_CONFLICT_RESOLVED = "SYNC_CONFLICT_RESOLVED"
    WORKFLOW_CREATED = "WORKFLOW_CREATED"
    WORKFLOW_UPDATED = "WORKFLOW_UPDATED"
    WORKFLOW_PUBLISHED = "WORKFLOW_PUBLISHED"
    WORKFLOW_TURNED_ON = "WORKFLOW_TURNED_ON"
    WORKFLOW_TURNED_OFF = "WORKFLOW_TURNED_OFF"
    WORKFLOW_DELETED = "WORKFLOW_DELETED"
    REPORT_CREATED = "REPORT_CREATED"
    REPORT_UPDATED = "REPORT_UPDATED"
    REPORT_DELETED = "REPORT_DELETED"


# Changes and events are made by the thousand, and never changed: freezing them costs four times as much as making them.
@dataclass(slots=True)
class Change:
    """A change of one record, for the evaluators.

    `properties` and `before` name what changed and what it was; `type_ids[i]` with `other_ids[i]` is an
    association type (standing at the record) that came or went, and its other end. `after` is what those properties
    became of which `Catalogue.watched` wants to know it.
    """

    record_id: int
    object_type_id: int
    kind: ChangeKind
    properties: tuple[str, ...] = ()
    before: dict[str, Any] = field(default_factory=dict)
    type_ids: tuple[int, ...] = ()
    other_ids: tuple[int, ...] = ()
    after: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AssociationChanges:
    """Changes (`ChangeKind.ASSOCIATED` or `DISSOCIATED`) under one association type, noted together.

    `record_ids[i]`, at which the type stands, with `other_ids[i]`; a record may come several times. Joins and
    leaves of one segment are noted likewise: it is the type, and the other end. So are events of one type. `depth`:
    how many workflow steps led to them, where those are more than led to the transaction.
    """

    kind: ChangeKind
    object_type_id: int
    type_id: int
    record_ids: Sequence[int]
    other_ids: Sequence[int]
    depth: int = 0


@dataclass(frozen=True, slots=True)
class RecordChanges:
    """Changes that differ in the record alone, noted together; what was before is nothing."""

    kind: ChangeKind
    object_type_id: int
    properties: tuple[str, ...]
    record_ids: Sequence[int]


@dataclass(slots=True)
class QueuedChange(Change):
    """A change as it was claimed from the queue, with who made it and when."""

    at: datetime = field(kw_only=True)
    source: str = ""
    source_id: str | None = None
    depth: int = 0
    # The version of the account's definitions under which it was made.
    version: int = 0


@dataclass(slots=True)
class Event:
    """Something that watchers see. `subject_id` is the workflow, segment, sync, import or report, if any."""

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
class EnrollmentEvents:
    """Events of a workflow's enrollments that differ in the enrollment and its record alone.

    `payload` is told of each, with its `enrollment`.
    """

    kind: EventKind
    object_type_id: int
    workflow_id: int
    record_ids: Sequence[int]
    enrollment_ids: Sequence[int]
    payload: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RecordsCreated:
    """Events of records that were made together: each with its values, which may be JSON that is written already."""

    object_type_id: int
    record_ids: Sequence[int]
    properties: Sequence[Mapping[str, Any]]


@dataclass(slots=True)
class LoggedEvent(Event):
    """An event as it stands in the log. `seq` rises in commit order within the account."""

    seq: int = 0
    at: datetime = field(kw_only=True)
    source: str = ""
    source_id: str | None = None
    user_id: int | None = None
