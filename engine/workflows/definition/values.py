"""What a workflow's author writes, as values.

The fields, in camelCase, are the keys of the API's inputs and of what is stored.

One habit runs through all of them, and `engine.workflows.labels` and the checks live by it: whatever names labels
(`label`, `labels`, `new_label`) says beside them, under `to`, to which object type they lead, and stands at the
enrolled record; a `where` beside a `to` is about the records there, one beside a `type` about the event's properties,
any other `where`, and every `own_where`, about the enrolled record.
"""

from dataclasses import dataclass

from engine.workflows.definition.actions import AnyAction
from engine.workflows.definition.parts import Weekday, Where
from engine.workflows.definition.triggers import Trigger


@dataclass(frozen=True, slots=True)
class ExecutionWindow:
    """On these days (none: all), from `from_` to `to` (before `from_`: past midnight), actions are carried out."""

    from_: str
    to: str
    weekdays: tuple[Weekday, ...] = ()


@dataclass(frozen=True, slots=True)
class BlockedDates:
    """Days on which no action is carried out, the last one included; `yearly`: whatever the year."""

    from_: str
    to: str | None = None
    yearly: bool = False


@dataclass(frozen=True, slots=True)
class Timing:
    """When actions may be carried out, in `time_zone` (None: the account's). No windows: always."""

    windows: tuple[ExecutionWindow, ...] = ()
    blocked: tuple[BlockedDates, ...] = ()
    time_zone: str | None = None


@dataclass(frozen=True, slots=True)
class Guards:
    """What stops a runaway: steps of one enrollment, and how often a record may re-enter within an hour."""

    steps: int = 1_000
    reenrollments_per_hour: int = 30


@dataclass(frozen=True, slots=True)
class Definition:
    """A whole workflow: any trigger enrolls, actions follow each other, the rest says who is kept out or taken out."""

    triggers: tuple[Trigger, ...]
    actions: tuple[AnyAction, ...] = ()
    reenrollment_triggers: tuple[Trigger, ...] = ()
    suppress_when: Where | None = None
    goal: Where | None = None
    unenroll_when_not_met: bool = False
    # When this workflow enrolls a record, it leaves these (or all) others.
    unenroll_from: tuple[str, ...] = ()
    unenroll_from_all: bool = False
    timing: Timing | None = None
    guards: Guards = Guards()
