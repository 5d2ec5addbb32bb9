"""Records are created, changed, put away, brought back and merged."""

from typing import Any

import strawberry

from engine.access import Scope
from engine.batches import Mode
from resolvers import record_mutations
from resolvers.batches import Batch, Told
from resolvers.record_mutations import Change, Link, New
from schema.access import Requires
from schema.batches import Done, as_user_error, done
from schema.context import Info
from schema.errors import UserError, told
from schema.records import Record
from schema.scalars import JSON

MODE = "What one record's problem means for the others."
KEY = "A text of your choice: the same key twice does the work once and answers the same."


@strawberry.input
class NewAssociationInput:
    """An association that a new record is to have."""

    to_id: strawberry.ID = strawberry.field(description="The other record.")
    labels: list[str] = strawberry.field(
        default_factory=list, description="Internal names of labels, standing at the new record."
    )


@strawberry.input
class NewRecordInput:
    """A record to create."""

    properties: JSON = strawberry.field(
        description='Values by property name, such as {"email": "ann@acme.example"}.'
    )
    associations: list[NewAssociationInput] = strawberry.field(
        default_factory=list, description="What it is to be associated with."
    )


@strawberry.input
class CreateRecordsInput:
    """Records to create, at most 1,000."""

    object_type: str = strawberry.field(
        description='The internal name of their object type, such as "contacts".'
    )
    records: list[NewRecordInput] = strawberry.field(description="The records.")
    mode: Mode = strawberry.field(default=Mode.PER_ITEM, description=MODE)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class RecordChangeInput:
    """Changes of one record."""

    id: strawberry.ID = strawberry.field(description="The record; one that was merged away is its survivor.")
    properties: JSON = strawberry.field(
        description="New values by property name; null clears one; the others stay."
    )


@strawberry.input
class UpdateRecordsInput:
    """Records to change, at most 1,000, of any object types."""

    records: list[RecordChangeInput] = strawberry.field(description="The records with their changes.")
    mode: Mode = strawberry.field(default=Mode.PER_ITEM, description=MODE)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class UpsertRecordInput:
    """A record to find and change, or to create."""

    properties: JSON = strawberry.field(description="Values by property name, the unique one among them.")


@strawberry.input
class UpsertRecordsInput:
    """Records to find by a unique property and change, or to create; at most 1,000."""

    object_type: str = strawberry.field(description="The internal name of their object type.")
    by: str = strawberry.field(description='The unique property that finds them, such as "email".')
    records: list[UpsertRecordInput] = strawberry.field(description="The records.")
    mode: Mode = strawberry.field(default=Mode.PER_ITEM, description=MODE)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class ArchiveRecordsInput:
    """Records to put away, at most 1,000."""

    ids: list[strawberry.ID] = strawberry.field(description="The records.")
    mode: Mode = strawberry.field(default=Mode.PER_ITEM, description=MODE)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class RestoreRecordsInput:
    """Archived records to bring back, at most 1,000."""

    ids: list[strawberry.ID] = strawberry.field(description="The records.")
    mode: Mode = strawberry.field(default=Mode.PER_ITEM, description=MODE)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class MergeRecordsInput:
    """Two records of one object type that are the same thing."""

    survivor_id: strawberry.ID = strawberry.field(description="The record that stays; its values win.")
    merged_id: strawberry.ID = strawberry.field(
        description="The record that goes; its id leads to the survivor then."
    )


@strawberry.type
class RecordResult:
    """What became of one record of a batch."""

    number: strawberry.Private[int | None]
    created: bool = strawberry.field(description="Whether it was made by this request.")
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with it; paths start at the input."
    )

    @strawberry.field
    async def record(self, info: Info) -> Record | None:
        """The record as it is now; null where nothing was done."""
        return await _record(info, self.number)


@strawberry.type
class RestoreResult:
    """What became of one record that was to come back."""

    number: strawberry.Private[int | None]
    user_errors: list[UserError] = strawberry.field(description="Why it did not come back.")
    refused: list[UserError] = strawberry.field(
        description="Associations and labels that did not come back with it, since they no longer fit."
    )

    @strawberry.field
    async def record(self, info: Info) -> Record | None:
        """The record as it is now; null where nothing was done."""
        return await _record(info, self.number)


@strawberry.type
class RecordsPayload:
    """What became of a batch of records."""

    results: list[RecordResult] = strawberry.field(description="One for each input, in the same order.")
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong, with the request or with any of its records; empty when all went well."
    )


@strawberry.type
class RestoreRecordsPayload:
    """What became of a batch of records that were to come back."""

    results: list[RestoreResult] = strawberry.field(description="One for each input, in the same order.")
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong, with the request or with any of its records; empty when all went well."
    )


@strawberry.type
class MergeRecordsPayload:
    """What became of two records."""

    number: strawberry.Private[int | None]
    refused: list[UserError] = strawberry.field(
        description="Associations and labels that did not move to the survivor, since they do not fit there."
    )
    user_errors: list[UserError]

    @strawberry.field
    async def record(self, info: Info) -> Record | None:
        """The survivor as it is now; null where nothing was done."""
        return await _record(info, self.number)


@strawberry.type
class RecordMutation:
    """Changes of records."""

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def create_records(self, info: Info, input: CreateRecordsInput) -> RecordsPayload:
        """Create records, with associations if they are to have some.

        An association that is refused is told with its record, which is created all the same (unless the mode
        is ATOMIC).
        """
        news = [
            New(
                record.properties, tuple(Link(link.to_id, tuple(link.labels)) for link in record.associations)
            )
            for record in input.records
        ]
        batch = Batch("createRecords", news, input.mode, input.idempotency_key, about=input.object_type)
        work = record_mutations.create(info.context, input.object_type, batch)
        return _payload(await done(work, len(news), "records"))

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def update_records(self, info: Info, input: UpdateRecordsInput) -> RecordsPayload:
        """Change values of records."""
        changes = [Change(record.id, record.properties) for record in input.records]
        batch = Batch("updateRecords", changes, input.mode, input.idempotency_key)
        return _payload(await done(record_mutations.update(info.context, batch), len(changes), "records"))

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def upsert_records(self, info: Info, input: UpsertRecordsInput) -> RecordsPayload:
        """Change the records that a unique property finds, and create the others."""
        values: list[Any] = [record.properties for record in input.records]
        about = [input.object_type, input.by]
        batch = Batch("upsertRecords", values, input.mode, input.idempotency_key, about=about)
        work = record_mutations.upsert(info.context, input.object_type, input.by, batch)
        return _payload(await done(work, len(values), "records"))

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def archive_records(self, info: Info, input: ArchiveRecordsInput) -> RecordsPayload:
        """Put records away: lists, filters and counts pass over them; they keep associations and unique values."""
        batch = Batch("archiveRecords", [str(one) for one in input.ids], input.mode, input.idempotency_key)
        return _payload(await done(record_mutations.archive(info.context, batch), len(input.ids), "ids"))

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def restore_records(self, info: Info, input: RestoreRecordsInput) -> RestoreRecordsPayload:
        """Bring archived records back, with every association that still fits."""
        batch = Batch("restoreRecords", [str(one) for one in input.ids], input.mode, input.idempotency_key)
        found = await done(record_mutations.restore(info.context, batch), len(input.ids), "ids")
        results = [
            RestoreResult(
                number=value and value["id"],
                user_errors=errors,
                refused=[
                    as_user_error(Told(**one), "input", "ids", index)
                    for one in (value["refused"] if value else ())
                ],
            )
            for index, (value, errors) in enumerate(zip(found.values, found.errors, strict=True))
        ]
        return RestoreRecordsPayload(results=results, user_errors=found.user_errors)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def merge_records(self, info: Info, input: MergeRecordsInput) -> MergeRecordsPayload:
        """Merge one record into another: the survivor's values win, its empty ones are filled, associations move."""
        work = record_mutations.merge(info.context, input.survivor_id, input.merged_id)
        found, errors = await told(work)
        return MergeRecordsPayload(
            number=found.record_id if found else None,
            refused=[as_user_error(one) for one in found.problems] if found else [],
            user_errors=errors,
        )


def _payload(found: Done) -> RecordsPayload:
    results = [
        RecordResult(
            number=value and value["id"], created=bool(value and value["created"]), user_errors=errors
        )
        for value, errors in zip(found.values, found.errors, strict=True)
    ]
    return RecordsPayload(results=results, user_errors=found.user_errors)


async def _record(info: Info, number: int | None) -> Record | None:
    found = None if number is None else await record_mutations.after(info.context, number)
    return None if found is None else Record.of(found)
