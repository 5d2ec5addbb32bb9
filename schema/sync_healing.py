"""Records that are not in sync are put right: conflicts decided, failures retried, deleted ones brought back."""

from typing import Any

import strawberry

from engine import ids
from engine.access import Scope
from engine.batches import Outcome
from engine.sync.categories import Category
from engine.sync.rules import Side
from resolvers import sync_healing as work
from resolvers import sync_records as reads
from resolvers.sync_healing import Swept
from schema.access import Requires
from schema.context import Info
from schema.errors import UserError, told, user_error
from schema.scalars import JSON
from schema.sync_records import SyncConflict, SyncRecord
from schema.syncs import Sync


@strawberry.input(one_of=True)
class ConflictChoiceInput:
    """Who wins, or what both are to hold. Exactly one field is given."""

    winner: Side | None = strawberry.field(
        default=strawberry.UNSET, description="The side whose value both are to hold."
    )
    value: JSON | None = strawberry.field(
        default=strawberry.UNSET, description="The value that both are to hold, as the property takes it."
    )


@strawberry.input
class ResolveConflictInput:
    """Conflicts to decide."""

    conflict_ids: list[strawberry.ID] = strawberry.field(
        description="The conflicts, at most 1,000; all are decided alike."
    )
    choice: ConflictChoiceInput = strawberry.field(description="What is decided.")


@strawberry.type
class ResolveConflictResult:
    """What became of one conflict."""

    conflict_id: strawberry.ID = strawberry.field(description="The conflict as it was named.")
    conflict: SyncConflict | None = strawberry.field(
        description="The conflict with what was decided; null where nothing was done."
    )
    user_errors: list[UserError] = strawberry.field(description="What was wrong with it.")


@strawberry.type
class ResolveConflictPayload:
    """What became of conflicts that were decided."""

    results: list[ResolveConflictResult] = strawberry.field(
        description="One for each conflict, in the same order."
    )
    user_errors: list[UserError]


@strawberry.input
class RetryOfSyncInput:
    """Failures of a sync."""

    id: strawberry.ID = strawberry.field(description="The sync.")
    categories: list[Category] | None = strawberry.field(
        default=None, description="Only failures with these causes; null: all but those deleted on one side."
    )
    after: strawberry.ID | None = strawberry.field(
        default=None, description="Only those behind this one: `next` of the last answer."
    )


@strawberry.input(one_of=True)
class RetrySyncFailuresInput:
    """Failures to try again: some, or those of a sync. Exactly one field is given."""

    records: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="Ids of sync records, at most 1,000."
    )
    sync: RetryOfSyncInput | None = strawberry.field(
        default=strawberry.UNSET, description="Failures of a sync: all, or those with some causes."
    )


@strawberry.type
class RetrySyncFailuresPayload:
    """What became of failures that were to be tried again."""

    count: int = strawberry.field(description="How many are tried again, as soon as can be.")
    next: strawberry.ID | None = strawberry.field(
        description="There are more than one request takes up: pass it as `after` to go on. Null: that was all."
    )
    user_errors: list[UserError]


@strawberry.input
class ResyncOfSyncInput:
    """What was deleted on one side of a sync."""

    id: strawberry.ID = strawberry.field(description="The sync.")
    side: Side = strawberry.field(description="The side on which it was deleted, and is brought back.")
    after: strawberry.ID | None = strawberry.field(
        default=None, description="Only those behind this one: `next` of the last answer."
    )


@strawberry.input(one_of=True)
class ResyncDeletedInput:
    """What was deleted on one side and is to come back: some, or all of a side. Exactly one field is given."""

    records: list[strawberry.ID] | None = strawberry.field(
        default=strawberry.UNSET, description="Ids of sync records, at most 1,000."
    )
    sync: ResyncOfSyncInput | None = strawberry.field(
        default=strawberry.UNSET, description="All that was deleted on one side of a sync."
    )


@strawberry.type
class ResyncDeletedResult:
    """What became of one that was to come back."""

    sync_record_id: strawberry.ID = strawberry.field(description="The sync record as it was named.")
    sync_record: SyncRecord | None = strawberry.field(
        description="The sync record as it is now; null where nothing was done."
    )
    user_errors: list[UserError] = strawberry.field(description="What was wrong with it.")


@strawberry.type
class ResyncDeletedPayload:
    """What became of those that were to come back."""

    count: int = strawberry.field(
        description="How many come back: those of ours are there, those of theirs follow as soon as can be."
    )
    refused: int = strawberry.field(description="How many cannot; each says why at its sync record.")
    next: strawberry.ID | None = strawberry.field(
        description="There are more than one request takes up: pass it as `after` to go on. Null: that was all."
    )
    results: list[ResyncDeletedResult] = strawberry.field(
        description="Where they were named: one for each, in the same order."
    )
    user_errors: list[UserError]


@strawberry.input
class ConfirmSyncDeletesInput:
    """Deletions that wait for a person."""

    id: strawberry.ID = strawberry.field(description="The sync.")
    confirm: bool = strawberry.field(
        description="Whether they are carried out; else the other halves stay, and show as RECORD_DELETED."
    )


@strawberry.type
class ConfirmSyncDeletesPayload:
    """A sync whose deletions were decided about."""

    sync: Sync | None = strawberry.field(description="The sync as it is now; null where nothing was done.")
    count: int = strawberry.field(description="How many deletions it was about.")
    user_errors: list[UserError]


@strawberry.type
class SyncHealingMutation:
    """Records that are not in sync are put right."""

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def resolve_conflict(self, info: Info, input: ResolveConflictInput) -> ResolveConflictPayload:
        """Decide conflicts: a side wins, or both get a value. Where either side has changed since they were told,
        nothing is written and they are asked anew.
        """
        idents = [str(one) for one in input.conflict_ids]
        winner = input.choice.winner or None
        value = None if input.choice.value is strawberry.UNSET else input.choice.value
        outcomes, errors = await told(work.resolve(info.context, idents, winner, value))
        results = [
            ResolveConflictResult(
                conflict_id=strawberry.ID(one),
                conflict=None if outcome.value is None else SyncConflict.of(outcome.value),
                user_errors=_errors(outcome, "conflictIds", n),
            )
            for n, (one, outcome) in enumerate(zip(idents, outcomes or (), strict=False))
        ]
        return ResolveConflictPayload(
            results=results, user_errors=errors or [error for one in results for error in one.user_errors]
        )

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def retry_sync_failures(
        self, info: Info, input: RetrySyncFailuresInput
    ) -> RetrySyncFailuresPayload:
        """Try failures again: one, some, those with a cause, or all of a sync."""
        if input.sync:
            asked = input.sync
            found, errors = await told(work.retry_all(info.context, asked.id, asked.categories, asked.after))
        else:
            found, errors = await told(work.retry(info.context, [str(one) for one in input.records or ()]))
        swept = found or Swept(0)
        return RetrySyncFailuresPayload(count=swept.count, next=_next(swept), user_errors=errors)

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def resync_deleted(self, info: Info, input: ResyncDeletedInput) -> ResyncDeletedPayload:
        """Bring back what was deleted on one side, on that side: one by one, or all."""
        if input.sync:
            asked = input.sync
            found, errors = await told(work.resync_all(info.context, asked.id, asked.side, asked.after))
            swept = found or Swept(0)
            return ResyncDeletedPayload(
                count=swept.count, refused=swept.refused, next=_next(swept), results=[], user_errors=errors
            )
        idents = [str(one) for one in input.records or ()]
        outcomes, errors = await told(work.resync_some(info.context, idents))
        results = [
            await _resynced(info, n, one, outcome)
            for n, (one, outcome) in enumerate(zip(idents, outcomes or (), strict=False))
        ]
        refused = [error for one in results for error in one.user_errors]
        done = sum(one.sync_record is not None for one in results)
        return ResyncDeletedPayload(
            count=done, refused=len(results) - done, next=None, results=results, user_errors=errors or refused
        )

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def confirm_sync_deletes(
        self, info: Info, input: ConfirmSyncDeletesInput
    ) -> ConfirmSyncDeletesPayload:
        """Let deletions that the brake holds be carried out, or keep what they would have deleted; the sync goes on."""
        count, errors = await told(work.settle_deletes(info.context, input.id, input.confirm))
        sync = None if count is None else await Sync.found(info.context, ids.decode("sync", input.id))
        return ConfirmSyncDeletesPayload(sync=sync, count=count or 0, user_errors=errors)


async def _resynced(info: Info, n: int, ident: str, outcome: Outcome[int]) -> ResyncDeletedResult:
    link = None if outcome.value is None else await reads.by_id(info.context, outcome.value)
    return ResyncDeletedResult(
        sync_record_id=strawberry.ID(ident),
        sync_record=None if link is None else SyncRecord.of(link),
        user_errors=_errors(outcome, "records", n),
    )


def _errors(outcome: Outcome[Any], name: str, n: int) -> list[UserError]:
    return [user_error(problem, "input", name, n) for problem in outcome.problems]


def _next(swept: Swept) -> strawberry.ID | None:
    return None if swept.next is None else strawberry.ID(swept.next)
