"""What records say of syncs. Apart, since records of syncs speak of records in turn."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from engine.access import Scope
from resolvers import sync_records as reads
from schema.access import Requires
from schema.context import Info
from schema.nodes import Node

if TYPE_CHECKING:
    from schema.sync_records import SyncRecord


@strawberry.type
class Linked(Node):
    """A record, as far as syncs are concerned."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def links(
        self, info: Info
    ) -> list[Annotated["SyncRecord", strawberry.lazy("schema.sync_records")]]:
        """What it is linked with in other apps, and how that stands; one for each sync at most."""
        from schema.sync_records import SyncRecord

        return [SyncRecord.of(row) for row in await reads.of_record(info.context, self.id)]
