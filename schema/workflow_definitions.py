"""A workflow's definition, as clients write it and read it: triggers, actions, and who is kept out or taken out."""

from collections.abc import Mapping
from typing import Any

import strawberry

from engine.workflows.definition.parts import Weekday
from schema.filters import FilterInput, plain
from schema.mirrored import mirrored, read
from schema.scalars import JSON
from schema.workflow_actions import Action, ActionInput
from schema.workflow_triggers import Trigger, TriggerInput


@strawberry.input
class ExecutionWindowInput:
    """Hours of some days at which actions are carried out."""

    from_: str = strawberry.field(name="from", description='From this time of day on, such as "09:00".')
    to: str = strawberry.field(description="Up to this one; one before `from` is that of the next day.")
    weekdays: list[Weekday] = strawberry.field(
        default_factory=list, description="On these days; none named: on all."
    )


@strawberry.input
class BlockedDatesInput:
    """Days on which no action is carried out."""

    from_: str = strawberry.field(name="from", description='The first of them, such as "2026-12-24".')
    to: str | None = strawberry.field(default=None, description="The last of them; null: the same.")
    yearly: bool = strawberry.field(default=False, description="In every year.")


@strawberry.input
class TimingInput:
    """When actions may be carried out. Delays and branches do not ask."""

    windows: list[ExecutionWindowInput] = strawberry.field(
        default_factory=list, description="In any of these windows; none: at any time."
    )
    blocked: list[BlockedDatesInput] = strawberry.field(
        default_factory=list, description="But not on these days."
    )
    time_zone: str | None = strawberry.field(
        default=None, description='Whose clock counts, such as "Europe/Berlin"; null: the account\'s.'
    )


@strawberry.input
class GuardsInput:
    """What stops a workflow that runs away."""

    steps: int = strawberry.field(default=1_000, description="So many steps an enrollment takes at most.")
    reenrollments_per_hour: int = strawberry.field(
        default=30, description="So often a record re-enters within an hour at most."
    )


Timing: Any = [
    mirrored(kind, kind.__name__.removesuffix("Input"))
    for kind in (ExecutionWindowInput, BlockedDatesInput, TimingInput)
][-1]
Guards: Any = mirrored(GuardsInput, "Guards")

TRIGGERS = "Any one of them enrolls."
REENROLLMENT = (
    "A record that was enrolled before enters again when one of these newly holds and it meets the triggers."
)
SUPPRESS = "Whoever meets this is not enrolled, and leaves."
GOAL = "Whoever meets this is not enrolled, and leaves with the goal met."
NOT_MET = "Whether a record leaves that does not meet the triggers any more."
FROM = "Other workflows that a record leaves when this one enrolls it."
FROM_ALL = "Whether it leaves all other workflows then."


@strawberry.input
class WorkflowDefinitionInput:
    """What a workflow does besides its triggers and actions."""

    reenrollment_triggers: list[TriggerInput] | None = strawberry.field(
        default=strawberry.UNSET, description=REENROLLMENT
    )
    suppress_when: FilterInput | None = strawberry.field(default=strawberry.UNSET, description=SUPPRESS)
    goal: FilterInput | None = strawberry.field(default=strawberry.UNSET, description=GOAL)
    unenroll_when_not_met: bool | None = strawberry.field(default=strawberry.UNSET, description=NOT_MET)
    unenroll_from: list[strawberry.ID] | None = strawberry.field(default=strawberry.UNSET, description=FROM)
    unenroll_from_all: bool | None = strawberry.field(default=strawberry.UNSET, description=FROM_ALL)
    timing: TimingInput | None = strawberry.field(
        default=strawberry.UNSET, description="When actions are carried out; null: at any time."
    )
    guards: GuardsInput | None = strawberry.field(
        default=strawberry.UNSET, description="What stops a workflow that runs away."
    )


@strawberry.type
class WorkflowDefinition:
    """What a workflow reacts to, and what it does."""

    triggers: list[Any] = strawberry.field(graphql_type=list[Trigger], description=TRIGGERS)
    actions: list[Any] = strawberry.field(
        graphql_type=list[Action], description="What is done, in this order."
    )
    reenrollment_triggers: list[Any] = strawberry.field(graphql_type=list[Trigger], description=REENROLLMENT)
    suppress_when: JSON | None = strawberry.field(description=SUPPRESS)
    goal: JSON | None = strawberry.field(description=GOAL)
    unenroll_when_not_met: bool = strawberry.field(description=NOT_MET)
    unenroll_from: list[strawberry.ID] = strawberry.field(description=FROM)
    unenroll_from_all: bool = strawberry.field(description=FROM_ALL)
    timing: Any = strawberry.field(
        graphql_type=Timing | None, description="When actions are carried out; null: at any time."
    )
    guards: Any = strawberry.field(graphql_type=Guards, description="What stops a workflow that runs away.")

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "WorkflowDefinition":
        """A stored definition as clients see it."""
        timing = document.get("timing")
        return cls(
            triggers=[read(TriggerInput, one) for one in document["triggers"]],
            actions=[read(ActionInput, one) for one in document.get("actions") or ()],
            reenrollment_triggers=[
                read(TriggerInput, one) for one in document.get("reenrollmentTriggers") or ()
            ],
            suppress_when=_json(document.get("suppressWhen")),
            goal=_json(document.get("goal")),
            unenroll_when_not_met=bool(document.get("unenrollWhenNotMet")),
            unenroll_from=[strawberry.ID(one) for one in document.get("unenrollFrom") or ()],
            unenroll_from_all=bool(document.get("unenrollFromAll")),
            timing=None if timing is None else read(TimingInput, timing),
            guards=read(GuardsInput, document.get("guards") or {}),
        )


def definition(
    triggers: list[TriggerInput] | None,
    actions: list[ActionInput] | None,
    settings: WorkflowDefinitionInput | None = None,
) -> dict[str, Any]:
    """The document that an input spells out; what is left out is not in it."""
    found: dict[str, Any] = {} if settings is None else plain(settings)
    if triggers is not None:
        found["triggers"] = plain(triggers)
    if actions is not None:
        found["actions"] = plain(actions)
    return found


def _json(value: Any) -> JSON | None:
    return None if value is None else JSON(value)
