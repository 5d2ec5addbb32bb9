"""The rules of a sync as clients write them: mappings, roles, filters, options."""

from typing import Any

import strawberry

from engine.sync.rules import Deletes, Direction, Policy, Test
from schema.filters import FilterInput, filter_definition, plain


@strawberry.input
class SyncOptionPairInput:
    """Two options that stand for the same."""

    ours: str = strawberry.field(description="The value of the option of our property.")
    theirs: str = strawberry.field(description="The value of the option of their field.")


@strawberry.input
class SyncMappingInput:
    """A property of ours and a field of theirs that are to hold the same."""

    property: str = strawberry.field(description="The internal name of the property.")
    field: str = strawberry.field(description="The name of the field of the other app.")
    direction: Direction | None = strawberry.field(
        default=None,
        description="Which way changes of it go; null: as the sync's, where both sides can be written.",
    )
    policy: Policy | None = strawberry.field(
        default=None, description="Who wins where both sides have changed it; null: as the sync says."
    )
    options: list[SyncOptionPairInput] = strawberry.field(
        default_factory=list,
        description="Which options stand for each other, where they are not called alike.",
    )
    enabled: bool = strawberry.field(default=True, description="Whether it is kept in sync.")


@strawberry.input
class SyncRoleInput:
    """An association type of ours and a role of theirs that are to say the same."""

    role: str = strawberry.field(description="The name of the role in the other app.")
    to: str = strawberry.field(description="The internal name of the object type at the other end.")
    label: str | None = strawberry.field(
        default=None,
        description='The internal name of the label, read at the synced record, such as "primary"; null: any '
        "association, with no label.",
    )
    direction: Direction | None = strawberry.field(
        default=None,
        description="Which way changes of it go; null: as the sync's, where both sides can be written.",
    )


@strawberry.input
class RemoteConditionInput:
    """Something that a field of theirs must be like."""

    field: str = strawberry.field(description="The name of the field of the other app.")
    test: Test = strawberry.field(description="What it must be like.")
    values: list[str] = strawberry.field(
        default_factory=list,
        description="What it is compared with; for numbers, days and moments as text.",
    )


@strawberry.input
class SyncOptionsInput:
    """What else may be chosen for a sync; what is left out stays, or is as the default."""

    without_email: bool | None = strawberry.field(
        default=None,
        description="Whether contacts without a valid e-mail address are synced, too; no by default.",
    )
    pause_outside_filter: bool | None = strawberry.field(
        default=None,
        description="Whether a record that leaves the filter is not kept in sync until it is back; no by default.",
    )
    deletes: Deletes | None = strawberry.field(
        default=None, description="What becomes of a record whose other half was deleted; KEEP by default."
    )
    delete_share: float | None = strawberry.field(
        default=None,
        description="The largest share of linked records that one run may delete without asking; 0.1 by default.",
    )
    all_companies: bool | None = strawberry.field(
        default=None,
        description="Whether all associated companies are synced, where the app can hold them; by default the primary "
        "one alone.",
    )
    pace_seconds: float | None = strawberry.field(
        default=strawberry.UNSET, description="How often the app is asked for changes; null: at its own pace."
    )
    sweep_seconds: float | None = strawberry.field(
        default=strawberry.UNSET,
        description="How often everything is read, to find what no change told of; null: as the app needs it.",
    )


@strawberry.input
class SyncRulesInput:
    """What is kept in sync, and how. Lists are given as wholes; what is left out stays, or is as the default."""

    direction: Direction | None = strawberry.field(
        default=None, description="Which way changes go; BOTH by default."
    )
    policy: Policy | None = strawberry.field(
        default=None,
        description="Who wins where both sides have changed a field since they last agreed; MOST_RECENT by default.",
    )
    mappings: list[SyncMappingInput] | None = strawberry.field(
        default=None, description="All mappings; by default those that `proposeSync` shows."
    )
    add_mappings: list[SyncMappingInput] = strawberry.field(
        default_factory=list,
        description="Mappings beside those; one of the same property and field takes the other's place.",
    )
    roles: list[SyncRoleInput] | None = strawberry.field(
        default=None, description="All roles; by default those that `proposeSync` shows."
    )
    matchers: list[str] | None = strawberry.field(
        default=None,
        description="Internal names of the properties by which records and items that do not know each other are found "
        "to be the same, in order of trust; by default those that `proposeSync` shows.",
    )
    filter_ours: FilterInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="What a record must be like before it is first synced; null: anything.",
    )
    filter_theirs: list[RemoteConditionInput] | None = strawberry.field(
        default=None,
        description="What an item must be like before it is first synced: all of these; an empty list: anything.",
    )
    options: SyncOptionsInput | None = strawberry.field(
        default=None, description="What else may be chosen; of it, too, what is left out stays."
    )


RULES = ("direction", "policy", "mappings", "roles", "matchers", "filterTheirs", "options")


def document(given: SyncRulesInput) -> dict[str, Any]:
    """The rules as a document (see `engine.sync.definition`): without what was left out."""
    told = plain(given)
    found = {name: told[name] for name in RULES if told.get(name) is not None}
    if given.filter_ours is not strawberry.UNSET:
        found["filterOurs"] = filter_definition(given.filter_ours)
    return found


def added(given: SyncRulesInput) -> list[dict[str, Any]]:
    """The mappings beside those that there are, as they stand in a document."""
    return [plain(one) for one in given.add_mappings]
