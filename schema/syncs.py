"""Syncs: records of an object type that are kept equal to items of another app; their rules, and how they stand."""

from datetime import datetime
from typing import Annotated

import strawberry

from engine import ids
from engine.access import Scope
from engine.sync.rules import Direction, Matcher, Options, Policy
from engine.sync.standing import progress
from resolvers import syncs as reads
from resolvers.context import Context
from resolvers.syncs import Mapped, RoleSeen, Seen
from schema.access import Requires
from schema.apps import Field as RemoteField
from schema.apps import Object as RemoteObject
from schema.apps import Role as RemoteRole
from schema.connections import Connection
from schema.context import Info
from schema.errors import UserError, user_error
from schema.labels import AssociationType
from schema.nodes import Node, PageInfo, page_info
from schema.properties import Property
from schema.scalars import JSON
from schema.sync_parts import (
    RemoteCondition,
    SyncCounts,
    SyncHold,
    SyncMapping,
    SyncMatcher,
    SyncOptions,
    SyncProgress,
    SyncRole,
)
from schema.sync_words import SyncPhase


@strawberry.type
class SyncRules:
    """What is kept in sync, and how."""

    seen: strawberry.Private[Seen]
    object_type: str = strawberry.field(description="The internal name of the object type of the records.")
    remote_object: str = strawberry.field(description="The name of the object of the other app.")
    direction: Direction = strawberry.field(description="Which way changes go.")
    policy: Policy = strawberry.field(
        description="Who wins where both sides have changed a field since they last agreed."
    )
    filter_ours: JSON | None = strawberry.field(
        description="What a record must be like before it is first synced, in the form of FilterInput; null: anything."
    )
    filter_theirs: list[RemoteCondition] = strawberry.field(
        description="What an item must be like before it is first synced: all of these; none: anything."
    )

    @strawberry.field
    def remote(self) -> RemoteObject | None:
        """The object as the app describes it; null: it is not there any more."""
        return None if self.seen.remote is None else RemoteObject.of(self.seen.remote)

    @strawberry.field
    def mappings(self, info: Info) -> list[SyncMapping]:
        """Which property holds the same as which field."""
        return [mapping(info.context, one) for one in self.seen.mappings]

    @strawberry.field
    def roles(self, info: Info) -> list[SyncRole]:
        """Which associations of ours say the same as which roles of theirs."""
        return [_role(info.context, one) for one in self.seen.roles]

    @strawberry.field
    def matchers(self) -> list[SyncMatcher]:
        """By what records and items that do not know each other are found to be the same, in order of trust."""
        return [_matcher(one) for one in self.seen.matchers]

    @strawberry.field
    def options(self) -> SyncOptions:
        """What else is chosen."""
        return _options(self.seen.options)

    @strawberry.field
    def problems(self) -> list[UserError]:
        """What these rules name and is not there any more, or does not fit. A sync with any does not run."""
        return [user_error(problem) for problem in self.seen.problems]

    @classmethod
    def told(cls, seen: Seen) -> "SyncRules":
        """The rules as clients see them."""
        return cls(
            seen=seen,
            object_type=seen.object_type.name,
            remote_object=seen.remote_object,
            direction=seen.direction,
            policy=seen.policy,
            filter_ours=None if seen.filter_ours is None else JSON(seen.filter_ours),
            filter_theirs=[
                RemoteCondition(field=one.field, test=one.test, values=list(one.values))
                for one in seen.filter_theirs
            ],
        )


@strawberry.type
class Sync(Node):
    """Records of an object type that are kept equal to items of an object of a connection."""

    seen: strawberry.Private[Seen]
    object_type: str = strawberry.field(description="The internal name of the object type of the records.")
    remote_object: str = strawberry.field(description="The name of the object of the other app.")
    direction: Direction = strawberry.field(description="Which way changes go.")
    policy: Policy = strawberry.field(
        description="Who wins where both sides have changed a field since they last agreed."
    )
    phase: SyncPhase = strawberry.field(description="How far it is.")
    enabled: bool = strawberry.field(description="Whether it is on.")
    revision: int = strawberry.field(
        description="Counts the changes of its rules; whoever updates names the one that he has read."
    )
    held: SyncHold | None = strawberry.field(description="Why it has stopped by itself; null: it has not.")
    next_at: datetime | None = strawberry.field(
        description="When something is to be done next at the latest; null: it is off."
    )
    read_at: datetime | None = strawberry.field(description="When the other app was last asked for changes.")
    swept_at: datetime | None = strawberry.field(description="When everything was last read.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it was last changed or switched.")

    @strawberry.field
    async def connection(self, info: Info) -> Connection:
        """The connection to the other app."""
        return await Connection.found(info.context, self.seen.connection_id)

    @strawberry.field
    def rules(self) -> SyncRules:
        """What is kept in sync, and how: mappings, roles, filters, options."""
        return SyncRules.told(self.seen)

    @strawberry.field
    def mappings(self, info: Info) -> list[SyncMapping]:
        """Which property holds the same as which field."""
        return [mapping(info.context, one) for one in self.seen.mappings]

    @strawberry.field
    def progress(self, info: Info) -> SyncProgress | None:
        """How far the initial sync is, or was; null: it was never started."""
        return SyncProgress.of(progress(self.seen.progress, info.context.now))

    @strawberry.field
    async def counts(self, info: Info) -> SyncCounts:
        """Numbers of its records and items by status and cause. Counted when asked for: leave them out where they do
        not matter, and watch `syncStatus` instead of asking again and again.
        """
        return SyncCounts.of(await reads.standing(info.context, self.seen.id))

    @strawberry.field
    def problems(self) -> list[UserError]:
        """What its rules name and is not there any more, or does not fit. A sync with any does not run."""
        return [user_error(problem) for problem in self.seen.problems]

    @classmethod
    def of(cls, seen: Seen) -> "Sync":
        """The sync as clients see it."""
        row = seen.row
        assert row is not None  # it is none that is only proposed
        return cls(
            seen=seen,
            id=strawberry.ID(ids.encode("sync", row.id)),
            object_type=seen.object_type.name,
            remote_object=seen.remote_object,
            direction=seen.direction,
            policy=seen.policy,
            phase=SyncPhase(row.phase),
            enabled=row.enabled,
            revision=row.revision,
            held=SyncHold.of(row.held),
            next_at=row.next_at,
            read_at=row.read_at,
            swept_at=row.swept_at,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    @classmethod
    async def found(cls, context: Context, number: int) -> "Sync | None":
        """The sync with this number; None where it is gone."""
        seen = await reads.by_id(context, number)
        return None if seen is None else cls.of(seen)

    def mapping(self, context: Context, number: int) -> SyncMapping | None:
        """The mapping with this number."""
        return next((mapping(context, one) for one in self.seen.mappings if one.id == number), None)


def mapping(context: Context, one: Mapped) -> SyncMapping:
    """A mapping as clients see it."""
    prop = one.property
    of = None if prop is None else Property.of(prop, context.catalogue.object_types[prop.object_type_id].name)
    remote = None if one.remote_field is None else RemoteField.of(one.remote_field)
    return SyncMapping.made(of, one.field, remote, one, one.id)


def _role(context: Context, one: RoleSeen) -> SyncRole:
    row = one.association_type
    return SyncRole(
        association_type=None if row is None else AssociationType.of(row, context.catalogue),
        role=one.role,
        remote_role=None if one.remote_role is None else RemoteRole.of(one.remote_role),
        direction=one.direction,
        other_sync_id=None
        if one.other_sync_id is None
        else strawberry.ID(ids.encode("sync", one.other_sync_id)),
    )


def _matcher(one: Matcher) -> SyncMatcher:
    return SyncMatcher(property=one.property.name, field=one.field.name)


def _options(chosen: Options) -> SyncOptions:
    return SyncOptions(
        without_email=chosen.without_email,
        pause_outside_filter=chosen.pause_outside_filter,
        deletes=chosen.deletes,
        delete_share=chosen.delete_share,
        all_companies=chosen.all_companies,
        pace_seconds=None if chosen.pace is None else chosen.pace.total_seconds(),
        sweep_seconds=None if chosen.sweep is None else chosen.sweep.total_seconds(),
    )


@strawberry.type
class SyncEdge:
    """A sync on a page."""

    cursor: str = strawberry.field(description="Where it stands in this list.")
    node: Sync = strawberry.field(description="The sync.")


@strawberry.type
class SyncConnection:
    """A page of syncs, in the order in which they were made."""

    edges: list[SyncEdge] = strawberry.field(description="The syncs with their cursors.")
    nodes: list[Sync] = strawberry.field(description="The syncs.")
    page_info: PageInfo = strawberry.field(description="Where the page stands.")


@strawberry.type
class SyncQuery:
    """Reads of syncs."""

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def syncs(
        self,
        info: Info,
        object_type: Annotated[
            str | None, strawberry.argument(description="Only of this object type; null: of any.")
        ] = None,
        connection: Annotated[
            strawberry.ID | None, strawberry.argument(description="Only of this connection; null: of any.")
        ] = None,
        first: int | None = None,
        after: str | None = None,
    ) -> SyncConnection:
        """All syncs."""
        page = await reads.listing(info.context, object_type, connection, first, after)
        nodes = [Sync.of(seen) for seen in page.rows]
        edges = [SyncEdge(cursor=str(node.id), node=node) for node in nodes]
        return SyncConnection(
            edges=edges, nodes=nodes, page_info=page_info(edges, page.has_next, page.has_previous)
        )

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def sync(
        self, info: Info, id: Annotated[strawberry.ID, strawberry.argument(description="Its id.")]
    ) -> Sync | None:
        """One sync."""
        return await Sync.found(info.context, ids.decode_at("sync", id, "id"))

    @strawberry.field(extensions=[Requires(Scope.AUTOMATION_READ)])
    async def propose_sync(
        self,
        info: Info,
        connection: Annotated[strawberry.ID, strawberry.argument(description="The connection.")],
        object_type: Annotated[
            str, strawberry.argument(description="The internal name of the object type of the records.")
        ],
        remote_object: Annotated[
            str | None,
            strawberry.argument(
                description="The object of the app; null: the one that is like the object type."
            ),
        ] = None,
        direction: Annotated[
            Direction | None,
            strawberry.argument(
                description="Which way changes are to go; null: both, where the app can be written."
            ),
        ] = None,
    ) -> SyncRules:
        """The rules that a sync would have if nothing else were said, to review before it is made."""
        return SyncRules.told(
            await reads.proposal(info.context, connection, object_type, remote_object, direction)
        )
