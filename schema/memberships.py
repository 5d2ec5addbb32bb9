"""What records say of segments. Apart, since segments speak of records in turn."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import segments as reads
from schema.access import Requires
from schema.context import Info
from schema.nodes import Node, PageInfo, page_info

if TYPE_CHECKING:
    from schema.segments import Segment


@strawberry.type
class Membership:
    """That a record is in a segment."""

    segment: Annotated["Segment", strawberry.lazy("schema.segments")] = strawberry.field(
        description="The segment."
    )
    cursor: str = strawberry.field(description="Where it stands in this list.")
    joined_at: datetime = strawberry.field(description="Since when the record is in it.")


@strawberry.type
class MembershipConnection:
    """A page of the segments that a record is in, in the order in which they were made."""

    edges: list[Membership] = strawberry.field(description="The segments with the times of joining.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.type
class InSegments(Node):
    """A record, as far as segments are concerned."""

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def segments(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> MembershipConnection:
        """The segments that it is in."""
        from schema.segments import Segment

        page = await reads.of_record(info.context, ids.decode("record", self.id), first, after)
        edges = []
        for row in page.rows:
            found = await reads.by_id(info.context, row.segment_id)
            if found is not None:
                cursor = ids.encode("segment", row.segment_id)
                edges.append(
                    Membership(
                        segment=Segment.of(info.context, found), cursor=cursor, joined_at=row.joined_at
                    )
                )
        return MembershipConnection(edges=edges, page_info=page_info(edges, page.has_next, page.has_previous))
