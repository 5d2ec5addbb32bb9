"""Segments are made, edited, filled by hand, and deleted."""

import strawberry

from engine import ids
from engine.access import Scope
from engine.batches import Mode
from resolvers import segments as reads
from resolvers.batches import Batch
from schema.access import Requires
from schema.batches import done
from schema.context import Info
from schema.errors import UserError, told
from schema.filters import FilterInput, filter_definition
from schema.segments import Segment, SegmentKind
from storage.segments import SegmentDetails


@strawberry.input
class CreateSegmentInput:
    """A new segment."""

    name: str = strawberry.field(description="What people call it; unique in the account.")
    object_type: str = strawberry.field(description='The object type of its members, such as "contacts".')
    kind: SegmentKind = strawberry.field(default=SegmentKind.ACTIVE, description="What decides who is in it.")
    where: FilterInput | None = strawberry.field(
        default=None, description="Its filter; static segments have none."
    )


@strawberry.input
class UpdateSegmentInput:
    """What is to change of a segment; what is left out stays."""

    id: strawberry.ID = strawberry.field(description="The segment.")
    version: int = strawberry.field(description="The version that you have read.")
    name: str | None = strawberry.field(default=None, description="What people call it.")
    kind: SegmentKind | None = strawberry.field(
        default=None, description="STATIC lets an active segment keep the members that it has now."
    )
    where: FilterInput | None = strawberry.field(
        default=None, description="Its filter; old members that do not meet it leave."
    )


@strawberry.input
class DeleteSegmentInput:
    """A segment to delete."""

    id: strawberry.ID = strawberry.field(description="The segment.")


@strawberry.input
class SegmentRecordsInput:
    """Records of a static segment, at most 1,000."""

    segment_id: strawberry.ID = strawberry.field(description="The segment: a static one, or a snapshot.")
    record_ids: list[strawberry.ID] = strawberry.field(description="The records.")
    mode: Mode = strawberry.field(
        default=Mode.PER_ITEM, description="What one record's problem means for the others."
    )
    idempotency_key: str | None = strawberry.field(
        default=None,
        description="A text of your choice: the same key twice does the work once and answers the same.",
    )


@strawberry.input
class AddToSegmentInput(SegmentRecordsInput):
    """Records to add to a static segment, at most 1,000."""


@strawberry.input
class RemoveFromSegmentInput(SegmentRecordsInput):
    """Records to remove from a static segment, at most 1,000."""


@strawberry.type
class SegmentPayload:
    """A segment as it stands after a change."""

    segment: Segment | None = strawberry.field(description="The segment; null where nothing was done.")
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with the request; empty when all went well."
    )


@strawberry.type
class DeleteSegmentPayload:
    """What became of a segment to delete."""

    deleted_id: strawberry.ID | None = strawberry.field(
        description="The segment that is gone; null where nothing was done."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with the request; empty when all went well."
    )


@strawberry.type
class SegmentRecordResult:
    """What became of one record of a batch."""

    record_id: strawberry.ID = strawberry.field(description="The record as it was named.")
    changed: bool = strawberry.field(description="Whether it joined, or left.")
    user_errors: list[UserError] = strawberry.field(description="What was wrong with it.")


@strawberry.type
class SegmentRecordsPayload:
    """A segment after records were added or removed by hand."""

    segment: Segment | None = strawberry.field(description="The segment as it is now.")
    results: list[SegmentRecordResult] = strawberry.field(
        description="One for each record, in the same order."
    )
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong, with the request or with any of its records; empty when all went well."
    )


@strawberry.type
class SegmentMutation:
    """Changes of segments."""

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def create_segment(self, info: Info, input: CreateSegmentInput) -> SegmentPayload:
        """Make a segment. The members of an active one are looked for at once, while you go on."""
        where = filter_definition(input.where)
        work = reads.create(info.context, input.name, input.object_type, input.kind.value, where)
        return _payload(info, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def update_segment(self, info: Info, input: UpdateSegmentInput) -> SegmentPayload:
        """Edit a segment, or let an active one be static from now on."""
        kind = None if input.kind is None else input.kind.value
        where = filter_definition(input.where)
        work = reads.update(info.context, input.id, input.version, input.name, kind, where)
        return _payload(info, *await told(work))

    @strawberry.mutation(extensions=[Requires(Scope.AUTOMATION_WRITE)])
    async def delete_segment(self, info: Info, input: DeleteSegmentInput) -> DeleteSegmentPayload:
        """Delete a segment that nobody uses. What it knew of joins and leaves stays in histories."""
        row, errors = await told(reads.delete(info.context, input.id))
        gone = None if row is None else strawberry.ID(ids.encode("segment", row.id))
        return DeleteSegmentPayload(deleted_id=gone, user_errors=errors)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def add_to_segment(self, info: Info, input: AddToSegmentInput) -> SegmentRecordsPayload:
        """Add records to a static segment."""
        return await _by_hand(info, "addToSegment", input, joining=True)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def remove_from_segment(self, info: Info, input: RemoveFromSegmentInput) -> SegmentRecordsPayload:
        """Remove records from a static segment."""
        return await _by_hand(info, "removeFromSegment", input, joining=False)


def _payload(info: Info, row: SegmentDetails | None, errors: list[UserError]) -> SegmentPayload:
    return SegmentPayload(segment=None if row is None else Segment.of(info.context, row), user_errors=errors)


async def _by_hand(
    info: Info, operation: str, input: SegmentRecordsInput, *, joining: bool
) -> SegmentRecordsPayload:
    records = [str(one) for one in input.record_ids]
    batch = Batch(operation, records, input.mode, input.idempotency_key, about=str(input.segment_id))
    work = reads.by_hand(info.context, input.segment_id, batch, joining=joining)
    found = await done(work, len(records), "recordIds")
    row, errors = await told(reads.named(info.context, input.segment_id))
    return SegmentRecordsPayload(
        segment=None if row is None else Segment.of(info.context, row),
        results=[
            SegmentRecordResult(record_id=strawberry.ID(one), changed=bool(value), user_errors=own)
            for one, value, own in zip(records, found.values, found.errors, strict=bool(found.values))
        ],
        user_errors=found.user_errors or errors,
    )
