"""Syncs are made, changed, started, switched and deleted."""

import strawberry

from engine import ids
from engine.access import Scope
from engine.sync.review import Difference
from resolvers import sync_changes as work
from resolvers.syncs import Seen
from schema.access import Requires
from schema.context import Info
from schema.errors import UserError, told
from schema.scalars import JSON
from schema.sync_inputs import SyncRulesInput, added, document
from schema.syncs import Sync, SyncRules


@strawberry.input
class CreateSyncInput(SyncRulesInput):
    """A new sync. It is configured, and off: nothing is read or written before it is started or applied."""

    connection_id: strawberry.ID = strawberry.field(description="The connection to the other app.")
    object_type: str = strawberry.field(description='The object type of the records, such as "contacts".')
    remote_object: str | None = strawberry.field(
        default=None, description="The object of the app; null: the one that is like the object type."
    )


@strawberry.input
class UpdateSyncInput(SyncRulesInput):
    """What is to change of a sync's rules; what is left out stays."""

    id: strawberry.ID = strawberry.field(description="The sync.")
    revision: int = strawberry.field(description="The revision that you have read.")
    dry_run: bool = strawberry.field(
        default=False, description="Whether only what would change is told, and nothing is written."
    )


@strawberry.input
class StartSyncInput:
    """A sync to start."""

    id: strawberry.ID = strawberry.field(description="The sync.")


@strawberry.input
class SetSyncEnabledInput:
    """A sync to turn on or off."""

    id: strawberry.ID = strawberry.field(description="The sync.")
    enabled: bool = strawberry.field(description="Whether it is to be on.")


@strawberry.input
class DeleteSyncInput:
    """A sync to delete."""

    id: strawberry.ID = strawberry.field(description="The sync.")


@strawberry.type
class SyncPayload:
    """A sync after a change."""

    sync: Sync | None = strawberry.field(description="The sync as it is now.")
    user_errors: list[UserError]


@strawberry.type
class SyncRuleChange:
    """Something that changes of a sync's rules, or would."""

    what: str = strawberry.field(
        description="What it is: direction, policy, mapping, role, filter, matcher or option."
    )
    name: str = strawberry.field(description="Which one, as people read it.")
    did: str = strawberry.field(description="What becomes of it: ADDED, REMOVED or CHANGED.")
    before: JSON | None = strawberry.field(description="What was said; null: nothing.")
    after: JSON | None = strawberry.field(description="What is said then; null: nothing.")

    @classmethod
    def of(cls, one: Difference) -> "SyncRuleChange":
        """The change as clients see it."""
        return cls(
            what=one.what,
            name=one.name,
            did=one.did,
            before=None if one.before is None else JSON(one.before),
            after=None if one.after is None else JSON(one.after),
        )


@strawberry.type
class UpdateSyncPayload:
    """A sync whose rules were changed, or would be."""

    sync: Sync | None = strawberry.field(description="The sync as it is now; after a dry run, as it was.")
    rules: SyncRules | None = strawberry.field(
        description="The rules that it has now; after a dry run, those that it would have."
    )
    changes: list[SyncRuleChange] = strawberry.field(description="What changes, or would.")
    user_errors: list[UserError]


@strawberry.type
class DeleteSyncPayload:
    """What became of a sync to delete."""

    deleted_id: strawberry.ID | None = strawberry.field(
        description="The sync that is gone; null where nothing was done."
    )
    user_errors: list[UserError]


@strawberry.type
class SyncMutation:
    """Changes of syncs."""

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def create_sync(self, info: Info, input: CreateSyncInput) -> SyncPayload:
        """Say what is to be kept in sync. Nothing is read or written before it is started, or a preview applied."""
        made = work.create(
            info.context,
            input.connection_id,
            input.object_type,
            input.remote_object,
            document(input),
            added(input),
        )
        return _payload(*await told(made))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def update_sync(self, info: Info, input: UpdateSyncInput) -> UpdateSyncPayload:
        """Change a sync's rules, or see what that would change. Records that failed by the old ones are tried anew."""
        changed = work.update(
            info.context, input.id, input.revision, document(input), added(input), dry_run=input.dry_run
        )
        found, errors = await told(changed)
        if found is None:
            return UpdateSyncPayload(sync=None, rules=None, changes=[], user_errors=errors)
        return UpdateSyncPayload(
            sync=Sync.of(found.sync),
            rules=SyncRules.told(found.rules),
            changes=[SyncRuleChange.of(one) for one in found.changes],
            user_errors=errors,
        )

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def start_sync(self, info: Info, input: StartSyncInput) -> SyncPayload:
        """Turn a new sync on: everything is read and matched once, then changes are followed as they come."""
        return _payload(*await told(work.start(info.context, input.id)))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def set_sync_enabled(self, info: Info, input: SetSyncEnabledInput) -> SyncPayload:
        """Turn a sync off or on. Off, nothing is read or written, and links stay; on, it catches up with both sides."""
        return _payload(*await told(work.set_enabled(info.context, input.id, input.enabled)))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def delete_sync(self, info: Info, input: DeleteSyncInput) -> DeleteSyncPayload:
        """Delete a sync: its links are forgotten; no record and no item is touched."""
        number, errors = await told(work.delete(info.context, input.id))
        gone = None if number is None else strawberry.ID(ids.encode("sync", number))
        return DeleteSyncPayload(deleted_id=gone, user_errors=errors)


def _payload(seen: Seen | None, errors: list[UserError]) -> SyncPayload:
    return SyncPayload(sync=None if seen is None else Sync.of(seen), user_errors=errors)
