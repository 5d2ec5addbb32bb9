"""Records, and what hangs on them. Types here are closed: what they hold can be compiled, or says that it cannot."""

from datetime import datetime
from typing import Annotated, cast

import strawberry

from engine import ids
from engine.display import display_name
from resolvers import association_history
from resolvers import records as reads
from resolvers.records import Found, Listed
from schema.association_history import AssociationChangeConnection
from schema.context import Info
from schema.edge_labels import EdgeLabel
from schema.enrolled import Enrolled
from schema.filters import OrderBy, Where, asked
from schema.history import PropertyChange, PropertyChangeConnection, PropertyChangeEdge
from schema.linked import Linked
from schema.memberships import InSegments
from schema.nodes import PageInfo, page_info
from schema.occurred import Occurred
from schema.scalars import JSON
from storage.selection.pages import EdgeRow

Names = Annotated[
    list[str] | None,
    strawberry.argument(
        description="Internal names; null: all that have a value. Named ones without a value are null."
    ),
]
To = Annotated[
    str,
    strawberry.argument(
        description='The object type of the other records: its internal name, such as "deals".'
    ),
]
LabelNames = Annotated[
    list[str] | None,
    strawberry.argument(
        description="Internal names of labels, as they stand at this record: any one of them. Null: any "
        "association, labelled or not; an empty list: those without a label."
    ),
]
AsOf = Annotated[
    datetime | None,
    strawberry.argument(
        description="The associations and labels that stood at this moment. The other records, and what `where` and "
        "`orderBy` look at, are as they are now; who was archived or merged away since then is there."
    ),
]


@strawberry.type
class Record(Enrolled, InSegments, Linked, Occurred):
    """A record of some object type: a contact, a company, a deal, or one of a kind of the account's own."""

    found: strawberry.Private[Found]
    object_type: str = strawberry.field(description="The internal name of its object type.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(
        description="When a property last changed, or it was put away or brought back."
    )
    archived_at: datetime | None = strawberry.field(
        description="When it was put away; null while it is there."
    )
    last_association_change_at: datetime | None = strawberry.field(
        description="When an association or a label of it last changed; null: never."
    )

    @strawberry.field
    def display_name(self) -> str:
        """What people call it; its id, where nothing names it."""
        return display_name(self.found.of, self.found.row.id, self.found.row.properties)

    @strawberry.field
    def properties(self, names: Names = None) -> JSON:
        """Its values by property name."""
        return JSON(reads.properties(self.found, names))

    @strawberry.field
    def property(
        self, name: Annotated[str, strawberry.argument(description="The property's internal name.")]
    ) -> JSON | None:
        """One value; null where there is none."""
        return cast("JSON | None", reads.properties(self.found, [name])[name])

    @strawberry.field
    async def associations(
        self,
        info: Info,
        to: To,
        labels: LabelNames = None,
        where: Where = None,
        order_by: OrderBy = None,
        first: int | None = None,
        after: str | None = None,
        last: int | None = None,
        before: str | None = None,
        as_of: AsOf = None,
    ) -> "AssociationConnection":
        """The records of one object type that are associated with it, with the labels that they hold."""
        page = asked(where, order_by, first, after, last, before)
        return AssociationConnection(
            listed=await reads.associated(info.context, self.found, to, labels, page, as_of)
        )

    @strawberry.field
    async def association_count(self, info: Info, to: To, labels: LabelNames = None) -> int | None:
        """How many records are associated with it, each counted once; null: there never was one."""
        return await reads.association_count(info.context, self.found, to, labels)

    @strawberry.field
    async def history(
        self,
        info: Info,
        property: Annotated[
            str | None, strawberry.argument(description="Only changes of this property (its internal name).")
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> PropertyChangeConnection:
        """Every change of its properties, newest first."""
        page = await reads.history(info.context, self.found, property, first, after)
        edges = [
            PropertyChangeEdge(cursor=reads.history_cursor(row), node=PropertyChange(row=row, name=property))
            for row in page.changes
        ]
        return PropertyChangeConnection(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=page_info(edges, page.has_next, page.has_previous),
        )

    @strawberry.field
    async def association_history(
        self,
        info: Info,
        to: Annotated[
            str | None, strawberry.argument(description="Only associations with records of this object type.")
        ] = None,
        with_: Annotated[
            strawberry.ID | None,
            strawberry.argument(name="with", description="Only associations with this record."),
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> AssociationChangeConnection:
        """Every association and label that came or went, newest first."""
        return AssociationChangeConnection.of(
            await association_history.page(info.context, self.found, to, with_, first, after)
        )

    @classmethod
    def of(cls, found: Found) -> "Record":
        """The record as clients see it."""
        row = found.row
        return cls(
            found=found,
            id=strawberry.ID(ids.encode("record", row.id)),
            object_type=found.of.name,
            created_at=row.created_at,
            updated_at=row.updated_at,
            archived_at=row.archived_at,
            last_association_change_at=row.last_association_change_at,
        )

    @classmethod
    def all_of(cls, listed: Listed) -> "list[Record]":
        """The records of a page."""
        return [cls.of(Found(edge.node, listed.of)) for edge in listed.page.edges]


@strawberry.type
class RecordEdge:
    """A record on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: Record = strawberry.field(description="The record.")


@strawberry.type
class RecordConnection:
    """A page of records."""

    listed: strawberry.Private[Listed]

    @strawberry.field
    def edges(self) -> list[RecordEdge]:
        """The records with their cursors."""
        return [
            RecordEdge(cursor=edge.cursor, node=Record.of(Found(edge.node, self.listed.of)))
            for edge in self.listed.page.edges
        ]

    @strawberry.field
    def nodes(self) -> list[Record]:
        """The records."""
        return Record.all_of(self.listed)

    @strawberry.field
    def page_info(self) -> PageInfo:
        """Where the page stands."""
        page = self.listed.page
        return page_info(page.edges, page.has_next, page.has_previous)

    @strawberry.field
    async def total_count(self, info: Info) -> int:
        """How many there are on all pages. Counted only when asked for: leave it out where it does not matter."""
        return await reads.total(info.context, self.listed)


@strawberry.type
class AssociationEdge:
    """An association, seen from one of its records."""

    edge: strawberry.Private[EdgeRow]
    listed: strawberry.Private[Listed]
    cursor: str = strawberry.field(description="Where it stands in this list.")

    @strawberry.field
    async def labels(self, info: Info) -> list[EdgeLabel]:
        """The labels that it holds; empty: it is a plain association."""
        rows = await association_history.labels_of(info.context, self.edge.type_ids)
        return [EdgeLabel(row=row) for row in rows]

    @strawberry.field
    def node(self) -> Record:
        """The other record."""
        return Record.of(Found(self.edge.node, self.listed.of))

    @strawberry.field
    def created_at(self) -> datetime:
        """When it was made."""
        return cast("datetime", self.edge.associated_at)

    @strawberry.field
    def source(self) -> str:
        """What kind of thing made it: API, IMPORT, WORKFLOW, MERGE …"""
        return cast("str", self.edge.association_source)


@strawberry.type
class AssociationConnection:
    """A page of associated records."""

    listed: strawberry.Private[Listed]

    @strawberry.field
    def edges(self) -> list[AssociationEdge]:
        """The associations."""
        return [
            AssociationEdge(edge=edge, listed=self.listed, cursor=edge.cursor)
            for edge in self.listed.page.edges
        ]

    @strawberry.field
    def nodes(self) -> list[Record]:
        """The other records."""
        return Record.all_of(self.listed)

    @strawberry.field
    def page_info(self) -> PageInfo:
        """Where the page stands."""
        page = self.listed.page
        return page_info(page.edges, page.has_next, page.has_previous)

    @strawberry.field
    async def total_count(self, info: Info) -> int:
        """How many there are on all pages. Counted only when asked for: leave it out where it does not matter."""
        return await reads.total(info.context, self.listed)
