"""What records say of events. Apart, since events speak of records in turn."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import event_types as reads
from schema.access import Requires
from schema.context import Info
from schema.nodes import Node

if TYPE_CHECKING:
    from schema.event_types import RecordEventConnection


@strawberry.type
class Occurred(Node):
    """A record, as far as events are concerned."""

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def events(
        self,
        info: Info,
        type: Annotated[
            str | None, strawberry.argument(description="Only events of this type (its internal name).")
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> Annotated["RecordEventConnection", strawberry.lazy("schema.event_types")]:
        """What occurred to it, newest first."""
        from schema.event_types import RecordEventConnection

        page = await reads.of_record(info.context, ids.decode("record", self.id), type, first, after)
        return RecordEventConnection.of(info.context, page)
