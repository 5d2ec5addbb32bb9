"""What becomes of records, as it is committed: values, associations, labels, events, merges."""

from collections.abc import AsyncGenerator
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, cast

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import association_history, events
from resolvers.streams import EventStream
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.edge_labels import EdgeLabel
from schema.enrollments import record_told_of
from schema.filters import FilterInput, filter_definition
from schema.records import Record
from schema.scalars import JSON
from schema.streams import CURSOR, After
from storage.changes import LoggedEvent


class ChangeEventKind(Enum):
    """What became of a record."""

    RECORD_CREATED = "RECORD_CREATED"
    RECORD_UPDATED = "RECORD_UPDATED"
    RECORD_ARCHIVED = "RECORD_ARCHIVED"
    RECORD_RESTORED = "RECORD_RESTORED"
    RECORD_MERGED = "RECORD_MERGED"
    ASSOCIATION_ADDED = "ASSOCIATION_ADDED"
    ASSOCIATION_REMOVED = "ASSOCIATION_REMOVED"
    LABEL_ADDED = "LABEL_ADDED"
    LABEL_REMOVED = "LABEL_REMOVED"
    EVENT_OCCURRED = "EVENT_OCCURRED"


enum(
    ChangeEventKind,
    "ChangeEventKind",
    "What became of a record.",
    {
        "RECORD_CREATED": "It was made.",
        "RECORD_UPDATED": "Some of its properties changed.",
        "RECORD_ARCHIVED": "It was put away.",
        "RECORD_RESTORED": "It was brought back.",
        "RECORD_MERGED": "Two records became one; told of each of them.",
        "ASSOCIATION_ADDED": "It was associated with another record.",
        "ASSOCIATION_REMOVED": "It is no longer associated with another record.",
        "LABEL_ADDED": "An association of it got a label.",
        "LABEL_REMOVED": "An association of it lost a label.",
        "EVENT_OCCURRED": "Something occurred to it: a page was viewed, a form submitted …",
    },
)


@strawberry.type
class PropertyDelta:
    """A property that changed."""

    property: str = strawberry.field(description="Its internal name.")
    old: JSON | None = strawberry.field(description="The value before; null: there was none.")
    new: JSON | None = strawberry.field(description="The value after; null: there is none.")


@strawberry.type
class OccurredEvent:
    """An event that occurred to a record."""

    id: strawberry.ID = strawberry.field(description="The event's id.")
    type: str = strawberry.field(description="The internal name of its type.")
    occurred_at: datetime = strawberry.field(description="When it occurred; it may have been told later.")


@strawberry.type
class ChangeEvent:
    """Something that became of a record."""

    event: strawberry.Private[LoggedEvent]
    cursor: str = strawberry.field(description=CURSOR)
    at: datetime = strawberry.field(description="When it happened.")
    kind: ChangeEventKind = strawberry.field(description="What happened.")
    record_id: strawberry.ID = strawberry.field(description="The record that it is told of.")
    source: str = strawberry.field(description="What kind of thing did it: API, IMPORT, WORKFLOW, MERGE …")
    source_id: str | None = strawberry.field(description="Which of its kind.")

    @strawberry.field
    def object_type(self, info: Info) -> str:
        """The internal name of the record's object type."""
        return info.context.catalogue.object_types[self.event.object_type_id or 0].name

    @strawberry.field
    def record(self, info: Info) -> Record:
        """The record as it is now; where it was merged away, its survivor."""
        assert self.event.record_id is not None  # such events always have one
        return record_told_of(info.context, self.event.record_id)

    @strawberry.field
    def user_id(self) -> strawberry.ID | None:
        """The user on whose behalf it was done."""
        number = self.event.user_id
        return None if number is None else strawberry.ID(ids.encode("user", number))

    @strawberry.field
    def properties(self) -> list[PropertyDelta]:
        """Which properties changed, from what to what; of a new record, all that it has."""
        changed: dict[str, list[Any]] = self.event.payload.get("changed", {})
        return [PropertyDelta(property=name, old=old, new=new) for name, (old, new) in changed.items()]

    @strawberry.field
    def other_id(self) -> strawberry.ID | None:
        """The other end of the association; null where it is about none."""
        number = self.event.payload.get("to_id")
        return None if number is None else strawberry.ID(ids.encode("record", number))

    @strawberry.field
    def other(self, info: Info) -> Record | None:
        """The other end of the association, as it is now; where it was merged away, its survivor."""
        number = self.event.payload.get("to_id")
        return None if number is None else record_told_of(info.context, number)

    @strawberry.field
    async def label(self, info: Info) -> EdgeLabel | None:
        """The label that came or went, as it stands at `record`; null where it is about none."""
        number = self.event.payload.get("type_id")
        if number is None:
            return None
        rows = await association_history.labels_of(info.context, (number,))
        return EdgeLabel(row=rows[0]) if rows else None

    @strawberry.field
    def survivor_id(self) -> strawberry.ID | None:
        """Of a merge: the record that is left."""
        number = self.event.payload.get("survivor_id")
        return None if number is None else strawberry.ID(ids.encode("record", number))

    @strawberry.field
    def merged_id(self) -> strawberry.ID | None:
        """Of a merge: the record that became part of the other."""
        number = self.event.payload.get("merged_id")
        return None if number is None else strawberry.ID(ids.encode("record", number))

    @strawberry.field
    def occurred(self) -> OccurredEvent | None:
        """The event that occurred; null where it is about none."""
        told = self.event.payload
        if "occurred_at" not in told:
            return None
        return OccurredEvent(
            id=strawberry.ID(told["event"]),
            type=told["type"],
            occurred_at=datetime.fromisoformat(told["occurred_at"]),
        )

    @classmethod
    def of(cls, event: LoggedEvent, cursor: str) -> "ChangeEvent":
        """The event as clients see it."""
        assert event.record_id is not None  # such events always have one
        return cls(
            event=event,
            cursor=cursor,
            at=event.at,
            kind=ChangeEventKind(event.kind.value),
            record_id=strawberry.ID(ids.encode("record", event.record_id)),
            source=event.source,
            source_id=event.source_id,
        )


@strawberry.type
class ChangeSubscription:
    """The stream of changes."""

    @strawberry.subscription(extensions=[Requires(Scope.RECORDS_READ)])
    async def changes(
        self,
        info: Info,
        object_type: Annotated[
            str | None,
            strawberry.argument(description="Only of records of this object type (its internal name)."),
        ] = None,
        record: Annotated[
            strawberry.ID | None,
            strawberry.argument(description="Only of this record, and of associations with it."),
        ] = None,
        where: Annotated[
            FilterInput | None,
            strawberry.argument(
                description="Only of records that meet this as they are when they are told of; needs `objectType`. "
                "Who was put away, or merged away, meets nothing."
            ),
        ] = None,
        kinds: Annotated[
            list[ChangeEventKind] | None,
            strawberry.argument(description="Only events of these kinds; null: of all."),
        ] = None,
        after: After = None,
    ) -> AsyncGenerator[ChangeEvent, None]:
        """What becomes of records, in the order in which it was committed.

        An association is told once. It is told from the end that was asked for, from either where both were.
        """
        chosen = None if kinds is None else [kind.value for kind in kinds]
        interest = events.of_changes(info.context, object_type, record, filter_definition(where), chosen)
        stream = EventStream(info.context, interest, after, ChangeEvent.of)
        return cast("AsyncGenerator[ChangeEvent, None]", stream)
