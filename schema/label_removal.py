"""Labels come to an end: another one takes their place, and they are deleted."""

import strawberry

from engine import ids
from engine.access import Scope
from resolvers import labels
from schema.access import Requires
from schema.context import Info
from schema.errors import UserError, told
from schema.label_usage import LabelUse
from schema.labels import AssociationType


@strawberry.input
class DeleteAssociationLabelInput:
    """Which label is to be deleted. This cannot be undone."""

    id: strawberry.ID = strawberry.field(description="The id of either direction; both are deleted.")


@strawberry.type
class DeleteAssociationLabelPayload:
    """What was deleted."""

    deleted_ids: list[strawberry.ID] = strawberry.field(
        description="The ids of the directions that are no more; empty where nothing was deleted."
    )
    user_errors: list[UserError]


@strawberry.input
class ReplaceAssociationLabelInput:
    """Which label is to take the place of which, between the same two object types."""

    from_: strawberry.ID = strawberry.field(
        name="from", description="The id of one direction of the label that is used now."
    )
    to: strawberry.ID = strawberry.field(
        description="The id of the label that takes its place; between records of one object type, of the "
        "direction that is to stand where `from` stands."
    )
    delete: bool = strawberry.field(
        default=False, description="Whether the label that nobody uses any more is deleted at once."
    )


@strawberry.type
class ReplaceAssociationLabelPayload:
    """What a label has taken over."""

    association_label: AssociationType | None = strawberry.field(
        description="The label that is used now; null where nothing was done."
    )
    moved: list[LabelUse] = strawberry.field(
        description="Every use that was moved: associations as one, each place in a definition as one, as it "
        "was named before."
    )
    deleted: bool = strawberry.field(description="Whether the other label is no more.")
    user_errors: list[UserError]


@strawberry.type
class LabelRemovalMutation:
    """Ends of labels."""

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def delete_association_label(
        self, info: Info, input: DeleteAssociationLabelInput
    ) -> DeleteAssociationLabelPayload:
        """Delete a label that nothing uses; refused with every use otherwise. System labels are never deleted."""
        label, errors = await told(labels.delete(info.context, input.id))
        gone = [] if label is None else sorted({label.there.id, label.back.id})
        return DeleteAssociationLabelPayload(
            deleted_ids=[strawberry.ID(ids.encode("association type", number)) for number in gone],
            user_errors=errors,
        )

    @strawberry.mutation(extensions=[Requires(Scope.DEFINITIONS_WRITE)])
    async def replace_association_label(
        self, info: Info, input: ReplaceAssociationLabelInput
    ) -> ReplaceAssociationLabelPayload:
        """Let one label take another's place in every use at once: associations and definitions, or nothing at all."""
        done, errors = await told(labels.replace(info.context, input.from_, input.to, deleting=input.delete))
        if done is None:
            return ReplaceAssociationLabelPayload(
                association_label=None, moved=[], deleted=False, user_errors=errors
            )
        return ReplaceAssociationLabelPayload(
            association_label=AssociationType.of(done.label.there, info.context.catalogue),
            moved=[LabelUse.of(use) for use in done.moved],
            deleted=done.deleted,
            user_errors=errors,
        )
