"""The history of a record's associations: what came and went, when, and who did it."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import strawberry

from engine import ids
from resolvers import association_history, loaders
from resolvers import records as reads
from resolvers.association_history import Page, labels_of
from schema.context import Info
from schema.edge_labels import EdgeLabel
from schema.nodes import PageInfo, page_info
from storage.association_history import AssociationChange as Row

if TYPE_CHECKING:
    from schema.records import Record


@strawberry.type
class AssociationChange:
    """An association, or a label on one, that came or went."""

    row: strawberry.Private[Row]
    at: datetime = strawberry.field(description="When it did.")
    added: bool = strawberry.field(description="Whether it came; else it went.")
    source: str = strawberry.field(description="What kind of thing did it: API, IMPORT, WORKFLOW, MERGE …")
    source_id: str | None = strawberry.field(description="Which of its kind.")

    @strawberry.field
    def user_id(self) -> strawberry.ID | None:
        """The user on whose behalf it was done."""
        return None if self.row.user_id is None else strawberry.ID(ids.encode("user", self.row.user_id))

    @strawberry.field
    async def label(self, info: Info) -> EdgeLabel | None:
        """The label, standing at the record whose history this is; null: the association itself."""
        found = await labels_of(info.context, [self.row.place.type_id])
        return EdgeLabel(row=found[0]) if found else None

    @strawberry.field
    def record_id(self) -> strawberry.ID:
        """The other record, as it was then: where it was merged away since, its own id."""
        return strawberry.ID(ids.encode("record", self.row.place.other_id))

    @strawberry.field
    async def record(self, info: Info) -> Annotated["Record", strawberry.lazy("schema.records")] | None:
        """The other record as it is now; where it was merged away, its survivor."""
        from schema.records import Record

        row = await loaders.record(info.context).load(self.row.place.other_id)
        return None if row is None else Record.of(reads.found(info.context, row))


@strawberry.type
class AssociationChangeEdge:
    """A change in a history."""

    cursor: str = strawberry.field(description="Where it stands in this history.")
    node: AssociationChange = strawberry.field(description="The change.")


@strawberry.type
class AssociationChangeConnection:
    """A page of a history, newest first."""

    edges: list[AssociationChangeEdge] = strawberry.field(description="The changes with their cursors.")
    nodes: list[AssociationChange] = strawberry.field(description="The changes.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def of(cls, page: Page) -> "AssociationChangeConnection":
        """The page as clients see it."""
        edges = [
            AssociationChangeEdge(
                cursor=association_history.cursor(row),
                node=AssociationChange(
                    row=row,
                    at=row.place.at,
                    added=row.place.added,
                    source=row.source,
                    source_id=row.source_id,
                ),
            )
            for row in page.changes
        ]
        return cls(
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=page_info(edges, page.has_next, page.has_previous),
        )
