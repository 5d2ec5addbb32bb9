"""What a workflow consists of, as clients write it and read it: triggers and actions, each of one kind."""

from collections.abc import Sequence
from enum import Enum
from typing import Annotated, Any, TypeAlias

import strawberry

from engine.workflows.definition import Definition
from engine.workflows.definition.actions import AnyAction as Action
from engine.workflows.definition.actions import ApplyLabel, SetProperty
from engine.workflows.definition.triggers import FilterMet
from schema.documentation import enum
from schema.filters import FilterInput, filter_definition
from schema.scalars import JSON


class OnError(Enum):
    """What becomes of an enrollment whose action fails."""

    STOP = "STOP"
    CONTINUE = "CONTINUE"


enum(
    OnError,
    "OnError",
    "What becomes of an enrollment whose action fails.",
    {"STOP": "It ends as FAILED.", "CONTINUE": "It goes on with the next action."},
)

ACTION_ID = "The action's name in histories, unique in the workflow; given out where it is left out."


@strawberry.input
class FilterMetTriggerInput:
    """Enrolls a record when it meets a filter."""

    where: FilterInput = strawberry.field(description="What the record must be like.")


@strawberry.input(one_of=True)
class TriggerInput:
    """What enrolls a record. Exactly one field is given."""

    filter_met: FilterMetTriggerInput | None = strawberry.field(
        default=strawberry.UNSET, description="After a change that concerns it, a record meets a filter."
    )


@strawberry.input
class SetPropertyActionInput:
    """Sets a property of the enrolled record."""

    property: str = strawberry.field(description="The internal name of the property.")
    value: JSON | None = strawberry.field(default=None, description="The new value; null clears it.")
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(
        default=OnError.STOP, description="What becomes of the enrollment when this fails."
    )


@strawberry.input
class ApplyLabelActionInput:
    """Applies a label to records that are associated with the enrolled one already."""

    to: str = strawberry.field(description='The object type of those records, such as "companies".')
    label: str = strawberry.field(
        description="The internal name of the label, as it stands at the enrolled record."
    )
    where: FilterInput | None = strawberry.field(
        default=None, description="Only to those that meet this; null: to all of them."
    )
    id: str | None = strawberry.field(default=None, description=ACTION_ID)
    on_error: OnError = strawberry.field(
        default=OnError.STOP, description="What becomes of the enrollment when this fails."
    )


@strawberry.input(one_of=True)
class ActionInput:
    """What is done with an enrolled record. Exactly one field is given."""

    set_property: SetPropertyActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Set a property of the enrolled record."
    )
    apply_label: ApplyLabelActionInput | None = strawberry.field(
        default=strawberry.UNSET, description="Apply a label to associated records."
    )


@strawberry.type
class FilterMetTrigger:
    """Enrolls a record when it meets a filter."""

    where: JSON = strawberry.field(
        description="What the record must be like, in the form of `FilterInput`, with every default spelled out."
    )


@strawberry.type
class SetPropertyAction:
    """Sets a property of the enrolled record."""

    id: str = strawberry.field(description="The action's name in histories.")
    property: str = strawberry.field(description="The internal name of the property.")
    value: JSON | None = strawberry.field(description="The new value; null clears it.")
    on_error: OnError = strawberry.field(description="What becomes of the enrollment when this fails.")


@strawberry.type
class ApplyLabelAction:
    """Applies a label to records that are associated with the enrolled one already."""

    id: str = strawberry.field(description="The action's name in histories.")
    to: str = strawberry.field(description="The object type of those records.")
    label: str = strawberry.field(
        description="The internal name of the label, as it stands at the enrolled record."
    )
    where: JSON | None = strawberry.field(
        description="Only to those that meet this, in the form of `FilterInput`; null: to all of them."
    )
    on_error: OnError = strawberry.field(description="What becomes of the enrollment when this fails.")


# A union of one, until there are triggers of other kinds: clients that name the type stay right.
Trigger: TypeAlias = Annotated[
    FilterMetTrigger, strawberry.union("Trigger", description="What enrolls a record.")
]
AnyAction: TypeAlias = Annotated[
    SetPropertyAction | ApplyLabelAction,
    strawberry.union("Action", description="What is done with an enrolled record."),
]


@strawberry.type
class WorkflowDefinition:
    """What a workflow reacts to, and what it does."""

    triggers: list[Trigger] = strawberry.field(description="Any one of them enrolls.")
    actions: list[AnyAction] = strawberry.field(description="What is done, in this order.")

    @classmethod
    def of(cls, definition: Definition) -> "WorkflowDefinition":
        """The definition as clients see it."""
        return cls(
            triggers=[
                FilterMetTrigger(where=JSON(trigger.where))
                for trigger in definition.triggers
                if isinstance(trigger, FilterMet)
            ],
            actions=[_action(action) for action in definition.actions],
        )


def _action(action: Action) -> SetPropertyAction | ApplyLabelAction:
    on_error = OnError(action.on_error)
    match action:
        case SetProperty():
            value = None if action.value is None else JSON(action.value)
            return SetPropertyAction(id=action.id, property=action.property, value=value, on_error=on_error)
        case ApplyLabel():
            where = None if action.where is None else JSON(action.where)
            return ApplyLabelAction(
                id=action.id, to=action.to, label=action.label, where=where, on_error=on_error
            )
        case _:
            raise NotImplementedError(action)


def definition(
    triggers: Sequence[TriggerInput] | None, actions: Sequence[ActionInput] | None
) -> dict[str, Any]:
    """What an input spells out; what is left out is not in it."""
    found: dict[str, Any] = {}
    if triggers is not None:
        found["triggers"] = [_trigger_definition(trigger) for trigger in triggers]
    if actions is not None:
        found["actions"] = [_action_definition(action) for action in actions]
    return found


def _trigger_definition(trigger: TriggerInput) -> dict[str, Any]:
    assert trigger.filter_met  # exactly one field is given, and there is one
    return {"filterMet": {"where": filter_definition(trigger.filter_met.where)}}


def _action_definition(action: ActionInput) -> dict[str, Any]:
    if action.set_property:
        to_set = action.set_property
        body: dict[str, Any] = {"property": to_set.property, "value": to_set.value}
        return {"setProperty": {"id": to_set.id, "onError": to_set.on_error.value, **body}}
    assert action.apply_label  # exactly one field is given
    to_apply = action.apply_label
    body = {"to": to_apply.to, "label": to_apply.label}
    if to_apply.where is not None:
        body["where"] = filter_definition(to_apply.where)
    return {"applyLabel": {"id": to_apply.id, "onError": to_apply.on_error.value, **body}}
