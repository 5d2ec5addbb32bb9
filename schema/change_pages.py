"""The log of changes in pages, for those who come by now and then; and the records that it speaks of, by their ids."""

from typing import Annotated

import strawberry

from engine.access import Scope
from resolvers import events, records
from resolvers.listings import page_size
from resolvers.streams import EventStream
from schema.access import Requires
from schema.changes import ChangeEvent, ChangeEventKind
from schema.context import Info
from schema.records import Record


@strawberry.type
class ChangePage:
    """Some of what became of records, in the order in which it was committed."""

    nodes: list[ChangeEvent] = strawberry.field(description="The events, each once.")
    cursor: str = strawberry.field(
        description="Pass it as `after`, here or to a subscription, to go on behind this page; it is good though the "
        "page may be empty."
    )
    has_next_page: bool = strawberry.field(description="Whether there is more behind the page by now.")


@strawberry.type
class ChangePageQuery:
    """Reads of the log."""

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def changes(
        self,
        info: Info,
        object_type: Annotated[
            str | None,
            strawberry.argument(description="Only of records of this object type (its internal name)."),
        ] = None,
        kinds: Annotated[
            list[ChangeEventKind] | None,
            strawberry.argument(description="Only events of these kinds; null: of all."),
        ] = None,
        first: int | None = None,
        after: Annotated[
            str | None,
            strawberry.argument(
                description="The cursor of the last event you have. Null: an empty page with the cursor of now."
            ),
        ] = None,
    ) -> ChangePage:
        """What became of records behind a cursor, without waiting for more: the subscription of this name, in pages."""
        chosen = None if kinds is None else [kind.value for kind in kinds]
        interest = events.of_changes(info.context, object_type, None, None, chosen)
        page = await EventStream(info.context, interest, after, ChangeEvent.of).page(page_size(first))
        return ChangePage(nodes=page.events, cursor=page.cursor, has_next_page=page.more)

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def records_by_id(
        self,
        info: Info,
        ids: Annotated[
            list[strawberry.ID],
            strawberry.argument(
                description="Ids of records of any object types, at most as many as a batch holds."
            ),
        ],
    ) -> list[Record | None]:
        """Records by their ids, in the order asked, also those that were put away; merged ones are their survivors."""
        found = await records.by_ids(info.context, ids)
        return [None if each is None else Record.of(each) for each in found]
