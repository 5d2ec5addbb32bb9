"""Joins and leaves as they happen, and those that happened meanwhile."""

from collections.abc import AsyncGenerator
from datetime import datetime
from enum import Enum
from typing import Annotated, cast

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import events
from resolvers import segments as reads
from resolvers.streams import EventStream
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.enrollments import record_told_of
from schema.records import Record
from schema.scalars import JSON
from schema.segments import Segment, cause
from schema.streams import CURSOR, After
from storage.changes import EventKind, LoggedEvent


class SegmentEventKind(Enum):
    """Who comes, or goes."""

    SEGMENT_JOINED = "SEGMENT_JOINED"
    SEGMENT_LEFT = "SEGMENT_LEFT"


enum(
    SegmentEventKind,
    "SegmentEventKind",
    "Who comes, or goes.",
    {"SEGMENT_JOINED": "A record joined a segment.", "SEGMENT_LEFT": "A record left a segment."},
)


@strawberry.type
class SegmentEvent:
    """A record joined a segment or left it."""

    event: strawberry.Private[LoggedEvent]
    cursor: str = strawberry.field(description=CURSOR)
    at: datetime = strawberry.field(description="When it happened.")
    joined: bool = strawberry.field(description="Whether the record joined; if not, it left.")
    segment_id: strawberry.ID = strawberry.field(description="The segment.")

    @strawberry.field
    async def segment(self, info: Info) -> Segment | None:
        """The segment as it is now; null where it was deleted since."""
        assert self.event.subject_id is not None  # such events always have one
        row = await reads.by_id(info.context, self.event.subject_id)
        return None if row is None else Segment.of(info.context, row)

    @strawberry.field
    def record(self, info: Info) -> Record:
        """The record as it is now; where it was merged away, its survivor."""
        assert self.event.record_id is not None  # such events always have one
        return record_told_of(info.context, self.event.record_id)

    @strawberry.field
    def cause(self) -> JSON:
        """What made it: the kind of change, the record that changed, and who changed it."""
        return cause(self.event.payload["cause"])

    @classmethod
    def of(cls, event: LoggedEvent, cursor: str) -> "SegmentEvent":
        """The event as clients see it."""
        assert event.subject_id is not None  # such events always have one
        return cls(
            event=event,
            cursor=cursor,
            at=event.at,
            joined=event.kind is EventKind.SEGMENT_JOINED,
            segment_id=strawberry.ID(ids.encode("segment", event.subject_id)),
        )


@strawberry.type
class SegmentEventSubscription:
    """Streams of joins and leaves."""

    @strawberry.subscription(extensions=[Requires(Scope.RECORDS_READ)])
    async def segment_events(
        self,
        info: Info,
        segment: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this segment; null: of all.")
        ] = None,
        record: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this record; null: of all.")
        ] = None,
        kinds: Annotated[
            list[SegmentEventKind] | None,
            strawberry.argument(description="Only events of these kinds; null: of both."),
        ] = None,
        after: After = None,
    ) -> AsyncGenerator[SegmentEvent, None]:
        """Who joins segments and leaves them, in the order in which it was committed."""
        chosen = None if kinds is None else [kind.value for kind in kinds]
        interest = events.of_segments(segment, record, chosen)
        stream = EventStream(info.context, interest, after, SegmentEvent.of)
        return cast("AsyncGenerator[SegmentEvent, None]", stream)
