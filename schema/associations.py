"""Associations and labels of pairs of records are made and taken away."""

import strawberry

from engine import ids
from engine.access import Scope
from engine.batches import Mode
from resolvers import associations, record_mutations
from resolvers.associations import Ends
from resolvers.batches import Batch
from schema.access import Requires
from schema.batches import done
from schema.context import Info
from schema.errors import UserError
from schema.labels import AssociationType
from schema.record_mutations import KEY
from schema.records import Record
from storage.catalogue import Catalogue

MODE = "What one pair's problem means for the others."
PRIMARY = "Whether a record's first company becomes its primary one."


@strawberry.input
class AssociationInput:
    """Two records, and labels."""

    from_id: strawberry.ID = strawberry.field(description="The record at which one stands.")
    to_id: strawberry.ID = strawberry.field(description="The other record.")
    labels: list[str] = strawberry.field(
        default_factory=list, description="Internal names of labels, standing at the `from` record."
    )


@strawberry.input
class AssociateInput:
    """Pairs of records to associate, at most 1,000."""

    associations: list[AssociationInput] = strawberry.field(description="The pairs; labels are added.")
    first_primary: bool = strawberry.field(default=True, description=PRIMARY)
    mode: Mode = strawberry.field(default=Mode.PER_ITEM, description=MODE)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class DissociateInput:
    """Pairs of records whose association is to go, at most 1,000."""

    associations: list[AssociationInput] = strawberry.field(
        description="The pairs, without labels: all of them go."
    )
    mode: Mode = strawberry.field(default=Mode.PER_ITEM, description=MODE)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class AddLabelsInput:
    """Labels to add to pairs of records, at most 1,000 pairs."""

    associations: list[AssociationInput] = strawberry.field(
        description="The pairs with the labels to add; pairs that are not associated will be."
    )
    first_primary: bool = strawberry.field(default=True, description=PRIMARY)
    mode: Mode = strawberry.field(default=Mode.PER_ITEM, description=MODE)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class RemoveLabelsInput:
    """Labels to take from pairs of records, at most 1,000 pairs."""

    associations: list[AssociationInput] = strawberry.field(
        description="The pairs with the labels to remove."
    )
    with_association: bool = strawberry.field(
        default=False, description="Whether the association goes, too, where it holds one of the labels."
    )
    mode: Mode = strawberry.field(default=Mode.PER_ITEM, description=MODE)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.input
class SetLabelsInput:
    """Labels that pairs of records are to hold, at most 1,000 pairs."""

    associations: list[AssociationInput] = strawberry.field(
        description="The pairs with all their labels; system labels are added where they are named, never removed."
    )
    first_primary: bool = strawberry.field(default=True, description=PRIMARY)
    mode: Mode = strawberry.field(default=Mode.PER_ITEM, description=MODE)
    idempotency_key: str | None = strawberry.field(default=None, description=KEY)


@strawberry.type
class Association:
    """Two records as they stand to each other now."""

    numbers: strawberry.Private[tuple[int, int]]
    types: strawberry.Private[list[int]]
    catalogue: strawberry.Private[Catalogue]
    associated: bool = strawberry.field(description="Whether they are associated.")

    @strawberry.field
    def from_id(self) -> strawberry.ID:
        """The record at which one stands."""
        return strawberry.ID(ids.encode("record", self.numbers[0]))

    @strawberry.field
    def to_id(self) -> strawberry.ID:
        """The other record."""
        return strawberry.ID(ids.encode("record", self.numbers[1]))

    @strawberry.field(name="from")
    async def from_(self, info: Info) -> Record | None:
        """The record at which one stands."""
        found = await record_mutations.after(info.context, self.numbers[0])
        return None if found is None else Record.of(found)

    @strawberry.field
    async def to(self, info: Info) -> Record | None:
        """The other record."""
        found = await record_mutations.after(info.context, self.numbers[1])
        return None if found is None else Record.of(found)

    @strawberry.field
    def labels(self) -> list[AssociationType]:
        """The labels that stand on the pair, told from the `from` record."""
        rows = (self.catalogue.association_types[number] for number in self.types)
        return [AssociationType.of(row, self.catalogue) for row in rows if not row.unlabelled]


@strawberry.type
class AssociationResult:
    """What became of one pair of a batch."""

    association: Association | None = strawberry.field(
        description="The pair as it stands now; null where nothing was done."
    )
    changed: bool = strawberry.field(description="Whether this request changed anything between the two.")
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong with it; paths start at the input."
    )


@strawberry.type
class AssociationsPayload:
    """What became of a batch of pairs."""

    results: list[AssociationResult] = strawberry.field(description="One for each pair, in the same order.")
    user_errors: list[UserError] = strawberry.field(
        description="What was wrong, with the request or with any of its pairs; empty when all went well."
    )


@strawberry.type
class AssociationMutation:
    """Changes of associations."""

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def associate(self, info: Info, input: AssociateInput) -> AssociationsPayload:
        """Associate pairs of records in both directions, and add labels."""
        return await _carry_out(info, "associate", input, first_primary=input.first_primary)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def dissociate(self, info: Info, input: DissociateInput) -> AssociationsPayload:
        """Take associations away, with all their labels, in both directions."""
        return await _carry_out(info, "dissociate", input)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def add_labels(self, info: Info, input: AddLabelsInput) -> AssociationsPayload:
        """Add labels to pairs of records."""
        return await _carry_out(info, "addLabels", input, first_primary=input.first_primary)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def remove_labels(self, info: Info, input: RemoveLabelsInput) -> AssociationsPayload:
        """Take labels from pairs of records; the association stays, unless it is asked to go."""
        return await _carry_out(info, "removeLabels", input, with_association=input.with_association)

    @strawberry.mutation(extensions=[Requires(Scope.RECORDS_WRITE)])
    async def set_labels(self, info: Info, input: SetLabelsInput) -> AssociationsPayload:
        """Let pairs of records hold exactly the named labels of the account's own."""
        return await _carry_out(info, "setLabels", input, first_primary=input.first_primary)


async def _carry_out(
    info: Info,
    operation: str,
    input: AssociateInput | DissociateInput | AddLabelsInput | RemoveLabelsInput | SetLabelsInput,
    **options: bool,
) -> AssociationsPayload:
    pairs = [Ends(str(one.from_id), str(one.to_id), tuple(one.labels)) for one in input.associations]
    batch = Batch(operation, pairs, input.mode, input.idempotency_key, about=options)
    found = await done(associations.carry_out(info.context, batch, **options), len(pairs), "associations")
    catalogue = info.context.catalogue
    results = [
        AssociationResult(
            association=value
            and Association(
                numbers=(value["from"], value["to"]),
                types=value["types"],
                catalogue=catalogue,
                associated=bool(value["types"]),
            ),
            changed=bool(value and (value["added"] or value["removed"])),
            user_errors=errors,
        )
        for value, errors in zip(found.values, found.errors, strict=True)
    ]
    return AssociationsPayload(results=results, user_errors=found.user_errors)
