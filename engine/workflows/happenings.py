"""What triggers wait for, found among the changes that were claimed: each occurrence counts, not what it led to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from engine.evaluation import listening
from engine.evaluation.listening import Cause
from engine.workflows import bound
from engine.workflows.bound import Bound, Changed, Happened, Linked, Moved
from engine.workflows.conditions import Conditions
from storage.changes import QueuedChange


# Made by the thousand, and never changed: freezing costs four times as much as making them.
@dataclass(slots=True)
class Happening:
    """A trigger (by its number) may have occurred for a record: why, and what else must be looked at.

    `others` are the other ends of associations, or events. An `occasion` enrolls a record once.
    """

    trigger: int
    cause: Cause
    others: tuple[int, ...] = ()
    occasion: str | None = None


# {(workflow, record): what happened}
Happenings: TypeAlias = Mapping[tuple[int, int], Sequence[Happening]]


def occurring(conditions: Conditions, changes: Sequence[QueuedChange]) -> list[Happening]:
    """Those of a workflow's triggers that changes of one record may be occurrences of. Pure."""
    happened = []
    for n in conditions.events if changes else ():
        trigger = conditions.numbered[n]
        for change in changes:
            others = bound.occurs(trigger, change)
            if others is not None:
                happened.append(Happening(n, cause_of(trigger, change, others), others))
    return happened


def cause_of(trigger: Bound, change: QueuedChange, others: Sequence[int]) -> Cause:
    """The change as the reason of an enrollment, with what the trigger looked at."""
    cause = listening.cause_of(change)
    return replace(cause, told={**cause.told, **_details(trigger, change, others)})


def _details(trigger: Bound, change: QueuedChange, others: Sequence[int]) -> dict[str, Any]:
    match trigger:
        case Changed(property=prop):
            told = {"property": prop.name, "old": change.before.get(prop.name)}
            return told | ({"new": change.after[prop.name]} if prop.name in change.after else {})
        case Linked():
            return {"associated": others[0], "change": "ADDED" if change.kind == "ASSOCIATED" else "REMOVED"}
        case Moved(segment_id=segment_id):
            return {"segment": segment_id}
        case Happened(type=type_):
            return {"event": others[0], "eventType": type_.name}
        case _:
            return {}
