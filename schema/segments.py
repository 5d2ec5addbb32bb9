"""Segments: sets of records that follow a filter, are chosen by hand, or were filtered once."""

from datetime import datetime
from enum import Enum
from typing import Annotated

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import segments as reads
from resolvers.context import Context
from resolvers.records import Found, Listed
from schema.access import Requires
from schema.context import Info
from schema.documentation import enum
from schema.errors import UserError, user_error
from schema.filters import OrderBy, Where, asked
from schema.nodes import Node, PageInfo, page_info
from schema.records import Record
from schema.scalars import JSON
from storage.memberships import Line
from storage.segments import SegmentDetails
from storage.selection.pages import EdgeRow


class SegmentKind(Enum):
    """What decides who is in a segment."""

    ACTIVE = "ACTIVE"
    STATIC = "STATIC"
    SNAPSHOT = "SNAPSHOT"


enum(
    SegmentKind,
    "SegmentKind",
    "What decides who is in a segment.",
    {
        "ACTIVE": "Its filter, at any time: who meets it joins, who meets it no longer leaves.",
        "STATIC": "People and workflows, who add records and remove them.",
        "SNAPSHOT": "Its filter, once, when it was made; afterwards it is like a static one.",
    },
)


@strawberry.type
class SegmentMember:
    """A record in a segment."""

    edge: strawberry.Private[EdgeRow]
    listed: strawberry.Private[Listed]
    segment_id: strawberry.Private[int]
    cursor: str = strawberry.field(description="Where it stands in this list.")

    @strawberry.field
    def node(self) -> Record:
        """The record."""
        return Record.of(Found(self.edge.node, self.listed.of))

    @strawberry.field
    async def joined_at(self, info: Info) -> datetime | None:
        """Since when it is in the segment; null where it has left just now."""
        return await reads.joined_at(info.context, self.segment_id, self.edge.node.id)


@strawberry.type
class SegmentMemberConnection:
    """A page of a segment's members."""

    listed: strawberry.Private[Listed]
    segment_id: strawberry.Private[int]

    @strawberry.field
    def edges(self) -> list[SegmentMember]:
        """The members with their cursors."""
        return [
            SegmentMember(edge=edge, listed=self.listed, segment_id=self.segment_id, cursor=edge.cursor)
            for edge in self.listed.page.edges
        ]

    @strawberry.field
    def nodes(self) -> list[Record]:
        """The members."""
        return Record.all_of(self.listed)

    @strawberry.field
    def page_info(self) -> PageInfo:
        """Where the page stands."""
        page = self.listed.page
        return page_info(page.edges, page.has_next, page.has_previous)


@strawberry.type
class SegmentChange:
    """A record joined a segment or left it."""

    line: strawberry.Private[Line]
    cursor: str = strawberry.field(description="Where it stands in this history.")

    @strawberry.field
    def at(self) -> datetime:
        """When."""
        return self.line.at

    @strawberry.field
    def joined(self) -> bool:
        """Whether it joined; if not, it left."""
        return self.line.joined

    @strawberry.field
    def record_id(self) -> strawberry.ID:
        """The record."""
        return strawberry.ID(ids.encode("record", self.line.record_id))

    @strawberry.field
    def cause(self) -> JSON:
        """What made it: the kind of change, the record that changed, and who changed it."""
        return cause(self.line.cause)


@strawberry.type
class SegmentHistoryConnection:
    """A page of joins and leaves, newest first."""

    edges: list[SegmentChange] = strawberry.field(description="The joins and leaves.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.type
class SegmentUse:
    """Something whose definition names a segment."""

    kind: str = strawberry.field(description="A segment, a workflow, a sync or a report.")
    id: strawberry.ID = strawberry.field(description="Which one.")
    name: str = strawberry.field(description="What people call it.")


@strawberry.type
class Segment(Node):
    """A set of records of one object type."""

    row: strawberry.Private[SegmentDetails]
    name: str = strawberry.field(description="What people call it; unique in the account.")
    object_type: str = strawberry.field(description="The internal name of the object type of its members.")
    kind: SegmentKind = strawberry.field(description="What decides who is in it.")
    where: JSON | None = strawberry.field(description="Its filter; null where members are chosen by hand.")
    version: int = strawberry.field(
        description="Counts its edits; whoever updates names the one he has read."
    )
    size: int = strawberry.field(description="How many members it has.")
    filling: bool = strawberry.field(
        description="Whether its members are still being looked for among all records, after it was made or edited."
    )
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last edited.")

    @strawberry.field
    async def members(
        self,
        info: Info,
        where: Where = None,
        order_by: OrderBy = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
    ) -> SegmentMemberConnection:
        """Its members: records like any others, which can be filtered and ordered."""
        page = asked(where, order_by, first, after, last, before)
        return SegmentMemberConnection(
            listed=await reads.members(info.context, self.row, page), segment_id=self.row.id
        )

    @strawberry.field
    async def history(
        self,
        info: Info,
        record: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only joins and leaves of this record.")
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> SegmentHistoryConnection:
        """Who joined and left, and why; newest first."""
        page = await reads.history(info.context, self.row, record, first, after)
        edges = [SegmentChange(line=line, cursor=reads.history_cursor(line)) for line in page.rows]
        return SegmentHistoryConnection(
            edges=edges, page_info=page_info(edges, page.has_next, page.has_previous)
        )

    @strawberry.field
    def problems(self, info: Info) -> list[UserError]:
        """What its filter names and is not there any more. Members stay as they are until that is mended."""
        return [user_error(problem, "where") for problem in reads.problems(info.context, self.row)]

    @strawberry.field
    async def uses(self, info: Info) -> list[SegmentUse]:
        """Who names it; while anybody does, it is not deleted."""
        found = await reads.uses(info.context, self.row)
        return [SegmentUse(kind=one.kind, id=strawberry.ID(one.id), name=one.name) for one in found]

    @classmethod
    def of(cls, context: Context, row: SegmentDetails) -> "Segment":
        """The segment as clients see it."""
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("segment", row.id)),
            name=row.name,
            object_type=reads.of(context, row).name,
            kind=SegmentKind(row.kind),
            where=None if row.definition is None else JSON(row.definition),
            version=row.version,
            size=row.members,
            filling=row.filling,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


@strawberry.type
class SegmentEdge:
    """A segment on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: Segment = strawberry.field(description="The segment.")


@strawberry.type
class SegmentConnection:
    """A page of segments, in the order in which they were made."""

    edges: list[SegmentEdge] = strawberry.field(description="The segments with their cursors.")
    nodes: list[Segment] = strawberry.field(description="The segments.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.type
class SegmentQuery:
    """Reads of segments."""

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def segments(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> SegmentConnection:
        """All segments."""
        page = await reads.listing(info.context, first, after)
        nodes = [Segment.of(info.context, row) for row in page.rows]
        edges = [SegmentEdge(cursor=str(node.id), node=node) for node in nodes]
        return SegmentConnection(
            edges=edges, nodes=nodes, page_info=page_info(edges, page.has_next, page.has_previous)
        )

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def segment(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Segment | None:
        """One segment."""
        row = await reads.by_id(info.context, ids.decode_at("segment", id, "id"))
        return None if row is None else Segment.of(info.context, row)


def cause(told: dict[str, object]) -> JSON:
    """Why a record joined or left, with ids as clients see them."""
    record = told.get("record")
    shown = dict(told)
    if isinstance(record, int):
        shown["record"] = ids.encode("record", record)
    if isinstance(told.get("user"), int):
        shown["user"] = ids.encode("user", int(str(told["user"])))
    return JSON(shown)
