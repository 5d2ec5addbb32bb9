"""Event streams: what the change feed tells, as each subscription asked for it."""

import contextlib
from collections.abc import AsyncGenerator

from engine import feed, ids
from engine.feed import Interest
from resolvers.context import Context
from storage.changes import EventKind, LoggedEvent

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
    }
)

# Who comes and goes.
SEGMENTS = frozenset({EventKind.SEGMENT_JOINED, EventKind.SEGMENT_LEFT})


async def stream(
    context: Context, interest: Interest, after: str | None
) -> AsyncGenerator[LoggedEvent, None]:
    """The events of `interest` behind a cursor, or from now on; each once, in commit order.

    Raises `InvalidCursor` and `CursorExpired`.
    """
    number = None if after is None else feed.decode(context.account_id, after)
    async with contextlib.aclosing(feed.follow(context.db, context.account_id, interest, number)) as batches:
        async for batch in batches:
            for event in batch:
                yield event


def of_enrollments(workflow: str | None) -> Interest:
    """Interest in a workflow's enrollments, or in those of all; raises `MalformedId`."""
    number = None if workflow is None else ids.decode_at("workflow", workflow, "workflow")
    return Interest(ENROLLMENTS, number)


def of_segments(segment: str | None) -> Interest:
    """Interest in who joins and leaves a segment, or any; raises `MalformedId`."""
    number = None if segment is None else ids.decode_at("segment", segment, "segment")
    return Interest(SEGMENTS, number)


def cursor(context: Context, event: LoggedEvent) -> str:
    """The cursor of an event; a stream that is resumed behind it begins with the next one."""
    return feed.encode(context.account_id, event.seq)
