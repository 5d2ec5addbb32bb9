"""What happens to syncs and their records: live, and resumed by cursor without a gap or a repetition."""

from collections.abc import AsyncGenerator
from datetime import datetime
from enum import Enum
from typing import Annotated, cast

import strawberry

from engine import ids
from engine.access import Scope
from engine.sync.categories import TIPS, Category
from resolvers import events
from resolvers.streams import EventStream
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.enrollments import record_of
from schema.records import Record
from schema.scalars import JSON
from schema.streams import CURSOR, After, shown
from schema.syncs import Sync
from storage.changes import LoggedEvent


class SyncEventKind(Enum):
    """What happened to a sync, or to a record in it."""

    SYNC_CREATED = "SYNC_CREATED"
    SYNC_UPDATED = "SYNC_UPDATED"
    SYNC_DELETED = "SYNC_DELETED"
    SYNC_TURNED_ON = "SYNC_TURNED_ON"
    SYNC_TURNED_OFF = "SYNC_TURNED_OFF"
    SYNC_STARTED = "SYNC_STARTED"
    SYNC_PROGRESS = "SYNC_PROGRESS"
    SYNC_LIVE = "SYNC_LIVE"
    SYNC_HELD = "SYNC_HELD"
    SYNC_RESUMED = "SYNC_RESUMED"
    SYNC_PLANNED = "SYNC_PLANNED"
    RECORD_SYNCED = "RECORD_SYNCED"
    RECORD_SYNC_FAILED = "RECORD_SYNC_FAILED"
    RECORD_SYNC_EXCLUDED = "RECORD_SYNC_EXCLUDED"
    SYNC_CONFLICTED = "SYNC_CONFLICTED"
    SYNC_CONFLICT_RESOLVED = "SYNC_CONFLICT_RESOLVED"


enum(
    SyncEventKind,
    "SyncEventKind",
    "What happened to a sync, or to a record in it.",
    {
        "SYNC_CREATED": "It was made.",
        "SYNC_UPDATED": "Its rules were changed.",
        "SYNC_DELETED": "It was deleted; no record was.",
        "SYNC_TURNED_ON": "It was turned on.",
        "SYNC_TURNED_OFF": "It was turned off.",
        "SYNC_STARTED": "Its initial sync began.",
        "SYNC_PROGRESS": "A page of the initial sync is in, or found to go out.",
        "SYNC_LIVE": "Its initial sync is over; changes are followed from now on.",
        "SYNC_HELD": "It has stopped by itself, or waits; the details say why.",
        "SYNC_RESUMED": "It goes on.",
        "SYNC_PLANNED": "A preview is ready, was applied, or could not be made.",
        "RECORD_SYNCED": "A record and an item hold the same.",
        "RECORD_SYNC_FAILED": "A record could not be brought into sync.",
        "RECORD_SYNC_EXCLUDED": "A record or an item was left out.",
        "SYNC_CONFLICTED": "Both sides have changed a field, and a person is asked.",
        "SYNC_CONFLICT_RESOLVED": "A person has decided.",
    },
)


@strawberry.type
class SyncEvent:
    """Something that happened to a sync, or to a record in it."""

    event: strawberry.Private[LoggedEvent]
    cursor: str = strawberry.field(description=CURSOR)
    at: datetime = strawberry.field(description="When it happened.")
    kind: SyncEventKind = strawberry.field(description="What happened.")
    sync_id: strawberry.ID = strawberry.field(description="The sync.")
    category: Category | None = strawberry.field(
        description="Why, where something failed, waits or is left out."
    )
    tip: str | None = strawberry.field(description="What can be done about it.")
    message: str | None = strawberry.field(description="What was said about it.")

    @strawberry.field
    async def sync(self, info: Info) -> Sync | None:
        """The sync as it is now; null where it was deleted since."""
        assert self.event.subject_id is not None  # such events always have one
        return await Sync.found(info.context, self.event.subject_id)

    @strawberry.field
    async def record(self, info: Info) -> Record | None:
        """The record as it is now; where it was merged away, its survivor; null where there is none on our side."""
        return None if self.event.record_id is None else await record_of(info.context, self.event.record_id)

    @strawberry.field
    def details(self) -> JSON:
        """What is particular to the kind: which side was written, how far the initial sync is …"""
        return JSON(shown(self.event.payload))

    @classmethod
    def of(cls, event: LoggedEvent, cursor: str) -> "SyncEvent":
        """The event as clients see it."""
        assert event.subject_id is not None  # such events always have one
        category = Category.__members__.get(event.payload.get("category") or "")
        return cls(
            event=event,
            cursor=cursor,
            at=event.at,
            kind=SyncEventKind(event.kind.value),
            sync_id=strawberry.ID(ids.encode("sync", event.subject_id)),
            category=category,
            tip=None if category is None else TIPS[category],
            message=event.payload.get("message"),
        )


@strawberry.type
class SyncEventSubscription:
    """Streams of what happens to syncs."""

    @strawberry.subscription(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def sync_events(
        self,
        info: Info,
        sync: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this sync; null: of all.")
        ] = None,
        record: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this record; null: of all.")
        ] = None,
        kinds: Annotated[
            list[SyncEventKind] | None,
            strawberry.argument(description="Only events of these kinds; null: of all."),
        ] = None,
        after: After = None,
    ) -> AsyncGenerator[SyncEvent, None]:
        """What happens to syncs and their records, in the order in which it was committed."""
        chosen = None if kinds is None else [kind.value for kind in kinds]
        interest = events.of_syncs(sync, record, chosen)
        stream = EventStream(info.context, interest, after, SyncEvent.of)
        return cast("AsyncGenerator[SyncEvent, None]", stream)
