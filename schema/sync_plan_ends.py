"""What a preview says of associations: which come and go on either side, which wait, which are left."""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import strawberry

from engine import ids
from engine.sync.rules import Side
from resolvers.sync_plans import slice_of
from schema.context import Info
from schema.documentation import enum
from schema.labels import AssociationType
from schema.nodes import PageInfo, page_info
from schema.records import Record
from schema.sync_records import record_by_number


class PlanAssociationKind(Enum):
    """What would become of an association."""

    ADDED = "ADDED"
    REMOVED = "REMOVED"
    WAITING = "WAITING"
    LEFT = "LEFT"
    REFUSED = "REFUSED"


enum(
    PlanAssociationKind,
    "SyncPlanAssociationKind",
    "What would become of an association.",
    {
        "ADDED": "It would be made on this side.",
        "REMOVED": "It would be taken away on this side.",
        "WAITING": "Its other end is not in sync yet: it follows on this side once it is, and the sync is on.",
        "LEFT": "It stays on the other side alone, since its other end is not synced, or is gone.",
        "REFUSED": "It would be refused here, for the reason that the item's `problem` tells.",
    },
)


@strawberry.type
class SyncPlanAssociation:
    """An association that would come or go, or would not, and why."""

    told: strawberry.Private[Mapping[str, Any]]
    kind: PlanAssociationKind = strawberry.field(description="What would become of it.")
    side: Side = strawberry.field(description="On which side.")
    association_type: AssociationType | None = strawberry.field(
        description="Our association type, read at the item's record; null: it is not there any more."
    )
    label: str | None = strawberry.field(
        description="What people read on it with us; null for the plain association."
    )
    role: str | None = strawberry.field(
        description="The other app's role that says the same; null: our own rules bring it about, as with the first "
        "company, which is the primary one."
    )
    external_id: str | None = strawberry.field(
        description="The id of the other end in the other app; null: it has none, or there are several."
    )
    count: int = strawberry.field(
        description="How many: more than one only of those that are LEFT since no sync of this connection is there for "
        "their object type."
    )

    @strawberry.field
    async def record(self, info: Info) -> Record | None:
        """The other end with us, as it is now; null: there is none, or there are several."""
        return await record_by_number(info, self.told.get("record"))

    @strawberry.field
    async def at(self, info: Info) -> Record | None:
        """Our record at which it stands, where that is not the item's own: its primary company moves."""
        return await record_by_number(info, self.told.get("of"))

    @classmethod
    def of(cls, told: Mapping[str, Any], info: Info) -> "SyncPlanAssociation":
        """The association as clients see it."""
        catalogue = info.context.catalogue
        row = catalogue.association_types.get(told["type"])
        return cls(
            told=told,
            kind=PlanAssociationKind(told["did"]),
            side=Side(told["side"]),
            association_type=None if row is None else AssociationType.of(row, catalogue),
            label=None if row is None else row.label,
            role=told.get("role"),
            external_id=told.get("item"),
            count=told.get("count", 1),
        )


@strawberry.type
class SyncPlanAssociationEdge:
    """An association of a preview's item on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: SyncPlanAssociation = strawberry.field(description="The association.")


@strawberry.type
class SyncPlanAssociationConnection:
    """A page of what would become of an item's associations."""

    total_count: int = strawberry.field(description="How many there are on all pages.")
    edges: list[SyncPlanAssociationEdge] = strawberry.field(
        description="The associations with their cursors."
    )
    nodes: list[SyncPlanAssociation] = strawberry.field(description="The associations.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def of(
        cls, told: Sequence[Mapping[str, Any]], info: Info, first: int | None, after: str | None
    ) -> "SyncPlanAssociationConnection":
        """A page of them. Raises `InvalidPageSize` and `MalformedCursor`."""
        page, start = slice_of(told, first, after)
        edges = [
            SyncPlanAssociationEdge(
                cursor=ids.encode("plan item", start + n + 1), node=SyncPlanAssociation.of(one, info)
            )
            for n, one in enumerate(page.rows)
        ]
        return cls(
            total_count=len(told),
            edges=edges,
            nodes=[edge.node for edge in edges],
            page_info=page_info(edges, page.has_next, page.has_previous),
        )


@strawberry.type
class SyncPlanAssociationCount:
    """How many associations of a preview would become what."""

    kind: PlanAssociationKind = strawberry.field(description="What would become of them.")
    side: Side = strawberry.field(description="On which side.")
    count: int = strawberry.field(description="How many.")

    @classmethod
    def all(cls, counts: Mapping[str, int]) -> "list[SyncPlanAssociationCount]":
        """The counts of associations among those of a plan."""
        return [
            cls(kind=kind, side=side, count=n)
            for kind in PlanAssociationKind
            for side in Side
            if (n := counts.get(f"{kind.value} {side.value}"))
        ]
