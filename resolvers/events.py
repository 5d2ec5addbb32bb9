"""What streams of events are about: each subscription's arguments as an interest in the log."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from engine import ids
from engine.interests import Interest
from engine.problems import Problem
from engine.sync import standing
from resolvers import listings
from resolvers.context import Context
from resolvers.listings import Asked
from resolvers.records import ObjectTypeNeeded
from storage.changes import EventKind

# What happens to enrollments.
ENROLLMENTS = frozenset(
    {
        EventKind.ENROLLED,
        EventKind.STEP_DONE,
        EventKind.STEP_SKIPPED,
        EventKind.STEP_FAILED,
        EventKind.STEP_RETRIED,
        EventKind.ENROLLMENT_COMPLETED,
        EventKind.ENROLLMENT_FAILED,
        EventKind.UNENROLLED,
        EventKind.ENROLLMENT_UNDONE,
        EventKind.OUTBOX_DELIVERED,
        EventKind.OUTBOX_FAILED,
    }
)

# Who comes and goes.
SEGMENTS = frozenset({EventKind.SEGMENT_JOINED, EventKind.SEGMENT_LEFT})

# How far files have been read.
IMPORTS = frozenset(
    {
        EventKind.IMPORT_STARTED,
        EventKind.IMPORT_PROGRESS,
        EventKind.IMPORT_FINISHED,
        EventKind.IMPORT_FAILED,
        EventKind.IMPORT_CHECKING,
        EventKind.IMPORT_CHECKED,
        EventKind.IMPORT_PAUSED,
        EventKind.IMPORT_RESUMED,
        EventKind.IMPORT_CANCELLED,
        EventKind.IMPORT_UNDOING,
        EventKind.IMPORT_UNDONE,
    }
)

# What becomes of syncs, and of records in them.
SYNCS = standing.KINDS

# What becomes of records.
CHANGES = frozenset(
    {
        EventKind.RECORD_CREATED,
        EventKind.RECORD_UPDATED,
        EventKind.RECORD_ARCHIVED,
        EventKind.RECORD_RESTORED,
        EventKind.RECORD_MERGED,
        EventKind.ASSOCIATION_ADDED,
        EventKind.ASSOCIATION_REMOVED,
        EventKind.LABEL_ADDED,
        EventKind.LABEL_REMOVED,
        EventKind.EVENT_OCCURRED,
    }
)


class NoKinds(Problem):
    """Name at least one kind of event, or leave "kinds" out to hear of all."""


def of_enrollments(
    workflow: str | None, record: str | None = None, kinds: Iterable[str] | None = None
) -> Interest:
    """Interest in enrollments, of a workflow, of a record, or of all; raises `MalformedId`."""
    return Interest(
        _kinds(ENROLLMENTS, kinds), _number("workflow", workflow), record_id=_number("record", record)
    )


def of_segments(
    segment: str | None, record: str | None = None, kinds: Iterable[str] | None = None
) -> Interest:
    """Interest in who joins and leaves a segment, or any; raises `MalformedId`."""
    return Interest(_kinds(SEGMENTS, kinds), _number("segment", segment), record_id=_number("record", record))


def of_imports(run: str | None, kinds: Iterable[str] | None = None) -> Interest:
    """Interest in an import, or in all; raises `MalformedId`."""
    return Interest(_kinds(IMPORTS, kinds), _number("import", run))


def of_syncs(sync: str | None, record: str | None = None, kinds: Iterable[str] | None = None) -> Interest:
    """Interest in a sync, in what syncs do with a record, or in all; raises `MalformedId`."""
    return Interest(_kinds(SYNCS, kinds), _number("sync", sync), record_id=_number("record", record))


def of_changes(
    context: Context,
    object_type: str | None,
    record: str | None,
    where: Mapping[str, Any] | None,
    kinds: Iterable[str] | None,
) -> Interest:
    """Interest in what becomes of records; raises `MalformedId`, `UnknownObjectType` and what is wrong with `where`."""
    of = None if object_type is None else listings.object_type(context.catalogue, object_type)
    if where is not None and of is None:
        raise ObjectTypeNeeded(path=("objectType",))
    definition = None
    if of is not None and where is not None:
        listings.condition(context.catalogue, of, Asked(where))
        definition = orjson.dumps(where, option=orjson.OPT_SORT_KEYS)
    return Interest(
        _kinds(CHANGES, kinds),
        record_id=_number("record", record),
        object_type_id=None if of is None else of.id,
        where=definition,
    )


def _kinds(every: frozenset[EventKind], chosen: Iterable[str] | None) -> frozenset[EventKind]:
    if chosen is None:
        return every
    found = every & {EventKind(one) for one in chosen}
    if not found:
        raise NoKinds(path=("kinds",))
    return found


def _number(kind: str, ident: str | None) -> int | None:
    return None if ident is None else ids.decode_at(kind, ident, kind)
