"""Records and items of syncs, one by one: how each stands, why, what can be done, and what was tried."""

from datetime import datetime
from typing import Annotated

import strawberry

from engine import ids
from engine.access import Scope
from engine.sync.categories import Again, Category
from engine.sync.conflicts import OpenConflict
from engine.sync.health import LinkRow, advice
from engine.sync.rules import Side
from resolvers import sync_records as reads
from resolvers.records import record as record_of
from resolvers.sync_records import Page
from schema.access import Requires
from schema.context import Info
from schema.nodes import Node, PageInfo, page_info
from schema.records import Record
from schema.scalars import JSON
from schema.sync_attempts import SyncAttempt, SyncAttemptConnection, SyncAttemptEdge, json, known
from schema.sync_parts import SyncMapping
from schema.sync_words import SyncState
from schema.syncs import Sync


@strawberry.type
class SyncConflict:
    """A field that both sides have changed, and about which a person is asked. Values as our side has them."""

    row: strawberry.Private[OpenConflict]
    id: strawberry.ID = strawberry.field(description="The conflict's id.")
    at: datetime = strawberry.field(description="When it was found.")
    ours: JSON | None = strawberry.field(description="What our side holds; null: nothing.")
    theirs: JSON | None = strawberry.field(description="What the other app holds; null: nothing.")
    agreed: JSON | None = strawberry.field(description="What both held when they last agreed; null: nothing.")
    resolved: Side | None = strawberry.field(
        description="Who wins, where that was decided and is not carried out yet."
    )

    @strawberry.field
    async def sync(self, info: Info) -> Sync | None:
        """The sync."""
        return await Sync.found(info.context, self.row.sync_id)

    @strawberry.field
    async def mapping(self, info: Info) -> SyncMapping | None:
        """The property and the field that it is about."""
        sync = await Sync.found(info.context, self.row.sync_id)
        return None if sync is None else sync.mapping(info.context, self.row.mapping_id)

    @strawberry.field
    async def sync_record(self, info: Info) -> "SyncRecord | None":
        """The record and the item."""
        link = await reads.by_id(info.context, self.row.link_id)
        return None if link is None else SyncRecord.of(link)

    @classmethod
    def of(cls, row: OpenConflict) -> "SyncConflict":
        """The conflict as clients see it."""
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("conflict", row.id)),
            at=row.at,
            ours=json(row.ours),
            theirs=json(row.theirs),
            agreed=json(row.agreed),
            resolved=row.resolved,
        )


@strawberry.type
class SyncConflictEdge:
    """A conflict on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: SyncConflict = strawberry.field(description="The conflict.")


@strawberry.type
class SyncConflictConnection:
    """A page of open conflicts, newest first."""

    edges: list[SyncConflictEdge] = strawberry.field(description="The conflicts with their cursors.")
    nodes: list[SyncConflict] = strawberry.field(description="The conflicts.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def of(cls, page: Page[OpenConflict]) -> "SyncConflictConnection":
        """The page as clients see it."""
        nodes = [SyncConflict.of(row) for row in page.rows]
        edges = [SyncConflictEdge(cursor=node.id, node=node) for node in nodes]
        return cls(edges=edges, nodes=nodes, page_info=page_info(edges, page.has_next, page.has_previous))


@strawberry.type
class SyncCandidate:
    """One of several that match."""

    number: strawberry.Private[int | None]
    external_id: str | None = strawberry.field(
        description="An item's id in the other app; null: it is a record."
    )

    @strawberry.field
    async def record(self, info: Info) -> Record | None:
        """A record of ours; null: it is an item of the other app."""
        return await record_by_number(info, self.number)


@strawberry.type
class SyncRecord(Node):
    """A record of ours, an item of the other app, or both as one, and how they stand with their sync."""

    row: strawberry.Private[LinkRow]
    sync_id: strawberry.ID = strawberry.field(description="The sync.")
    external_id: str | None = strawberry.field(
        description="The item's id in the other app; null: there is none yet."
    )
    url: str | None = strawberry.field(description="Where a person can look at the item.")
    state: SyncState = strawberry.field(description="How it stands.")
    category: Category | None = strawberry.field(description="Why it failed, waits or is left out.")
    retry_class: Again | None = strawberry.field(description="What that means for trying again.")
    tip: str | None = strawberry.field(description="What can be done about it.")
    message: str | None = strawberry.field(description="What was said about it.")
    failed_side: Side | None = strawberry.field(description="Where it was to be written when it failed.")
    deleted_side: Side | None = strawberry.field(
        description="Which half was deleted; null: neither. `resyncDeleted` brings it back."
    )
    attempts_made: int = strawberry.field(description="How many times it has failed in a row.")
    failed_at: datetime | None = strawberry.field(description="When it last failed.")
    synced_at: datetime | None = strawberry.field(description="When both sides last came to hold the same.")
    created_at: datetime = strawberry.field(description="Since when it is known to the sync.")
    updated_at: datetime = strawberry.field(description="When how it stands last changed.")

    @strawberry.field
    async def sync(self, info: Info) -> Sync | None:
        """The sync."""
        return await Sync.found(info.context, self.row.sync_id)

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    async def record(self, info: Info) -> Record | None:
        """The record; null: there is none on our side."""
        return await record_by_number(info, self.row.record_id)

    @strawberry.field(extensions=[Requires(Scope.RECORDS_READ)])
    def candidates(self) -> list[SyncCandidate]:
        """The records or items that match, where several do: then nothing is guessed."""
        records, items = reads.candidates(self.row)
        return [
            *(SyncCandidate(number=number, external_id=None) for number in records),
            *(SyncCandidate(number=None, external_id=one) for one in items),
        ]

    @strawberry.field
    async def conflicts(self, info: Info) -> list[SyncConflict]:
        """The fields about which a person is asked."""
        return [SyncConflict.of(row) for row in await reads.conflicts_of(info.context, self.row.id)]

    @strawberry.field
    async def attempts(
        self, info: Info, first: int | None = None, after: str | None = None
    ) -> SyncAttemptConnection:
        """What was tried with it, newest first."""
        page = await reads.attempts(info.context, self.row.id, first, after)
        nodes = [SyncAttempt.of(row) for row in page.rows]
        edges = [SyncAttemptEdge(cursor=node.id, node=node) for node in nodes]
        return SyncAttemptConnection(
            edges=edges, nodes=nodes, page_info=page_info(edges, page.has_next, page.has_previous)
        )

    @classmethod
    def of(cls, row: LinkRow) -> "SyncRecord":
        """The record of a sync as clients see it."""
        what = advice(row.category)
        assert row.created_at is not None  # it was read, not made just now
        assert row.updated_at is not None
        return cls(
            row=row,
            id=strawberry.ID(ids.encode("link", row.id)),
            sync_id=strawberry.ID(ids.encode("sync", row.sync_id)),
            external_id=row.external_id,
            url=row.url,
            state=SyncState(row.state),
            category=known(row.category),
            retry_class=None if what is None else what.again,
            tip=None if what is None else what.tip,
            message=row.message,
            failed_side=None if row.failed_side is None else Side(row.failed_side),
            deleted_side=None if row.deleted is None else Side(row.deleted),
            attempts_made=row.attempts,
            failed_at=row.failed_at,
            synced_at=row.synced_at,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )


@strawberry.type
class SyncRecordEdge:
    """A record of a sync on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: SyncRecord = strawberry.field(description="The record of a sync.")


@strawberry.type
class SyncRecordConnection:
    """A page of records of syncs, newest first."""

    edges: list[SyncRecordEdge] = strawberry.field(description="The records of syncs with their cursors.")
    nodes: list[SyncRecord] = strawberry.field(description="The records of syncs.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")

    @classmethod
    def of(cls, page: Page[LinkRow]) -> "SyncRecordConnection":
        """The page as clients see it."""
        nodes = [SyncRecord.of(row) for row in page.rows]
        edges = [SyncRecordEdge(cursor=node.id, node=node) for node in nodes]
        return cls(edges=edges, nodes=nodes, page_info=page_info(edges, page.has_next, page.has_previous))


async def record_by_number(info: Info, number: int | None) -> Record | None:
    """The record with this number, if any."""
    if number is None:
        return None
    found = await record_of(info.context, None, ids.encode("record", number), None)
    return None if found is None else Record.of(found)


OfSync = Annotated[strawberry.ID | None, strawberry.argument(description="Only of this sync; null: of all.")]
OfType = Annotated[
    str | None, strawberry.argument(description="Only of syncs of this object type; null: of any.")
]


@strawberry.type
class SyncRecordQuery:
    """Reads of records of syncs."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def sync_records(
        self,
        info: Info,
        sync: OfSync = None,
        object_type: OfType = None,
        state: Annotated[
            SyncState | None, strawberry.argument(description="Only those that stand so; null: all.")
        ] = None,
        category: Annotated[
            Category | None, strawberry.argument(description="Only those with this cause; null: any.")
        ] = None,
        side: Annotated[
            Side | None,
            strawberry.argument(description="Only those that were to be written here; null: any."),
        ] = None,
        record: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only this record; null: any.")
        ] = None,
        since: Annotated[
            datetime | None,
            strawberry.argument(description="Only those whose standing changed then or later."),
        ] = None,
        until: Annotated[
            datetime | None, strawberry.argument(description="Only those whose standing changed before.")
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> SyncRecordConnection:
        """Records and items of syncs: how each stands and why, newest first."""
        asked = reads.Asked(
            sync,
            object_type,
            record,
            None if state is None else (state.value,),
            category,
            None if side is None else side.value,
            since,
            until,
        )
        return SyncRecordConnection.of(await reads.page(info.context, asked, first, after))

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def sync_conflicts(
        self,
        info: Info,
        sync: OfSync = None,
        object_type: OfType = None,
        first: int | None = None,
        after: str | None = None,
    ) -> SyncConflictConnection:
        """The conflict inbox: fields that both sides have changed, newest first."""
        return SyncConflictConnection.of(await reads.inbox(info.context, sync, object_type, first, after))
