"""Imports as they go on: how many rows of a file are in, how many failed, and how fast it goes."""

from collections.abc import AsyncGenerator
from datetime import datetime
from enum import Enum
from typing import Annotated, Any, cast

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import events
from resolvers.streams import EventStream
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.streams import CURSOR, After
from storage.changes import EventKind, LoggedEvent


class ImportEventKind(Enum):
    """What an import came to."""

    IMPORT_STARTED = "IMPORT_STARTED"
    IMPORT_PROGRESS = "IMPORT_PROGRESS"
    IMPORT_FINISHED = "IMPORT_FINISHED"
    IMPORT_FAILED = "IMPORT_FAILED"
    IMPORT_CHECKING = "IMPORT_CHECKING"
    IMPORT_CHECKED = "IMPORT_CHECKED"
    IMPORT_PAUSED = "IMPORT_PAUSED"
    IMPORT_RESUMED = "IMPORT_RESUMED"
    IMPORT_CANCELLED = "IMPORT_CANCELLED"
    IMPORT_UNDOING = "IMPORT_UNDOING"
    IMPORT_UNDONE = "IMPORT_UNDONE"


enum(
    ImportEventKind,
    "ImportEventKind",
    "What an import came to.",
    {
        "IMPORT_STARTED": "It began.",
        "IMPORT_PROGRESS": "A batch of rows is in; told with the batch itself.",
        "IMPORT_FINISHED": "The whole file was read; rows that failed are counted.",
        "IMPORT_FAILED": "It broke off. What was in by then stays.",
        "IMPORT_CHECKING": "A check of the file began.",
        "IMPORT_CHECKED": "The check is done; nothing has been imported.",
        "IMPORT_PAUSED": "Somebody stopped it for a while.",
        "IMPORT_RESUMED": "It goes on.",
        "IMPORT_CANCELLED": "Somebody ended it. What was in by then stays.",
        "IMPORT_UNDOING": "Somebody lets it be taken back.",
        "IMPORT_UNDONE": "It has been taken back, as far as later changes allow.",
    },
)


@strawberry.type
class ImportEvent:
    """How far an import has got. All figures count from its beginning."""

    told: strawberry.Private[dict[str, Any]]
    cursor: str = strawberry.field(description=CURSOR)
    at: datetime = strawberry.field(description="When it was so.")
    kind: ImportEventKind = strawberry.field(description="What it came to.")
    import_id: strawberry.ID = strawberry.field(description="The import.")
    name: str = strawberry.field(description="The name of its file.")
    rows: int = strawberry.field(description="How many rows were read, those that failed included.")
    created: int = strawberry.field(description="How many records or associations were made.")
    updated: int = strawberry.field(description="How many were changed.")
    unchanged: int = strawberry.field(description="How many were so already.")
    failed: int = strawberry.field(description="How many rows failed.")
    share: float = strawberry.field(description="The share of the file that is done: 0 to 1.")

    @strawberry.field
    def total(self) -> int | None:
        """How many rows the file has; null until it was read to its end."""
        return self.rows if self.kind is ImportEventKind.IMPORT_FINISHED else None

    @strawberry.field
    def rate(self) -> float | None:
        """Rows a second since it began; null before there is any time to speak of."""
        rate: float | None = self.told["rate"]
        return rate

    @strawberry.field
    def reason(self) -> str | None:
        """Why it broke off, where the file is to blame."""
        reason: str | None = self.told.get("reason")
        return reason

    @classmethod
    def of(cls, event: LoggedEvent, cursor: str) -> "ImportEvent":
        """The event as clients see it."""
        assert event.subject_id is not None  # such events always have one
        told = event.payload
        return cls(
            told=told,
            cursor=cursor,
            at=event.at,
            kind=ImportEventKind(EventKind(event.kind).value),
            import_id=strawberry.ID(ids.encode("import", event.subject_id)),
            name=told["name"],
            rows=told["read"],
            created=told["created"],
            updated=told["updated"],
            unchanged=told["unchanged"],
            failed=told["failed"],
            share=told["share"],
        )


@strawberry.type
class ImportEventSubscription:
    """The stream of imports."""

    @strawberry.subscription(extensions=[Requires(Scope.RECORDS_READ)])
    async def import_events(
        self,
        info: Info,
        import_: Annotated[
            strawberry.ID | None,
            strawberry.argument(name="import", description="Only of this import; null: of all."),
        ] = None,
        kinds: Annotated[
            list[ImportEventKind] | None,
            strawberry.argument(description="Only events of these kinds; null: of all."),
        ] = None,
        after: After = None,
    ) -> AsyncGenerator[ImportEvent, None]:
        """How imports go on, batch by batch, in the order in which it was committed."""
        chosen = None if kinds is None else [kind.value for kind in kinds]
        stream = EventStream(info.context, events.of_imports(import_, chosen), after, ImportEvent.of)
        return cast("AsyncGenerator[ImportEvent, None]", stream)
