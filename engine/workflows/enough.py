"""What is enough to enroll a record that is not enrolled: the smallest change of it, and of the workflow. Pure."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from engine import ids
from engine.workflows.bound import (
    Bound,
    ByHand,
    Changed,
    Created,
    Dated,
    Happened,
    Imported,
    Linked,
    Met,
    Moved,
    Scheduled,
)
from engine.workflows.needed import Needed, Way, every, least
from engine.workflows.rules import Reason, Situation
from engine.workflows.seen import Condition
from storage.changes import ChangeKind

if TYPE_CHECKING:
    from engine.workflows.published import Published

AN_HOUR = timedelta(hours=1)

TURN_ON, REPAIR, RESTORE, LEAVE = "TURN_ON", "REPAIR", "RESTORE", "LEAVE"
CALL, OCCUR, TOUCH, RENEW, WAIT = "CALL", "OCCUR", "TOUCH", "RENEW", "WAIT"


def where_key(trigger: Bound) -> str:
    """Under which key of a trigger's definition the filter about the enrolled record stands."""
    return "ownWhere" if isinstance(trigger, Linked | Happened) else "where"


def repaired(reason: Reason, running: "Published") -> Sequence[Needed]:
    """What a workflow needs that names what is not there."""
    if reason is Reason.RECORD_ARCHIVED:
        return (_restored(),)
    several = [one.message for one in running.broken]
    repair = Needed(REPAIR, f"The workflow must name what is there: {' '.join(several)}")
    return (_turned_on(), repair) if reason is Reason.WORKFLOW_OFF else (repair,)


def to_enroll(
    reason: str, running: "Published", situation: Situation, conditions: Sequence[Condition]
) -> Sequence[Needed] | None:
    """The least after which the record is enrolled; None: nothing would do it. `reason`: why it is out now."""
    match reason:
        case "NOT_EXAMINED_YET":
            return ()
        case Reason.RECORD_ARCHIVED:
            return (_restored(),)
        case Reason.ACTIVE_NOW:
            way = Way(1, (Needed(LEAVE, "Its active enrollment must end first (`unenrollRecords`)."),))
            return _changes(every([way, _kept_in(conditions), _called()]))
        case Reason.ALREADY_ENROLLED:
            return _changes(every([_kept_in(conditions), _called()]))
        case Reason.LOOP_GUARD:
            words = "It must be let be for an hour, or be enrolled by a call (`enrollRecords`)."
            alone = Way(1, (Needed(WAIT, words),))
            return _changes(_called() if situation.own else alone)
        case Reason.MET_BEFORE_TURNED_ON:
            words = (
                "Something that the triggers look at must change while they hold, or the workflow be turned on with"
                " `enrollExisting`."
            )
            return _changes(every([_kept_in(conditions), Way(1, (Needed(TOUCH, words),))]))
        case Reason.WORKFLOW_OFF:
            on = Way(1, (_turned_on(),))
            return _changes(every([on, _entering(running, situation, conditions)]))
        case _:
            return _changes(_entering(running, situation, conditions))


def _changes(way: Way | None) -> Sequence[Needed] | None:
    return None if way is None else way.changes


def _entering(running: "Published", situation: Situation, conditions: Sequence[Condition]) -> Way | None:
    """Triggers met, and nothing that keeps it out."""
    assert running.conditions is not None  # it is usable
    bound = running.conditions.numbered
    first = len(running.conditions.triggers)
    enrolling = least(_met(bound[n], conditions[n]) for n in range(first))
    if situation.earlier is None:
        return every([enrolling, _kept_in(conditions)])
    if not running.conditions.policy.reentry:
        return every([_called(), _kept_in(conditions)])
    again = least(_renewed(bound[n], conditions[n]) for n in range(first, len(bound)))
    parts = [again, _kept_in(conditions)]
    return every([enrolling, *parts] if running.conditions.policy.holding else parts)


def _kept_in(conditions: Sequence[Condition]) -> Way | None:
    """Nothing keeps it out any more."""
    return every(one.way for one in conditions if one.role in ("SUPPRESSION", "GOAL"))


def _met(trigger: Bound, condition: Condition) -> Way | None:
    """What it takes for a trigger to let the record in."""
    if isinstance(trigger, Met):
        return condition.way
    if isinstance(trigger, ByHand):
        return _called()
    if isinstance(trigger, Created):
        # It has been made.
        return None
    return every([Way(1, (Needed(OCCUR, _occurrence(trigger)),)), condition.way])


def _renewed(trigger: Bound, condition: Condition) -> Way | None:
    """What it takes for a re-enrollment trigger to hold anew."""
    if isinstance(trigger, Met) and condition.holds:
        words = f"Re-enrollment trigger {condition.number} holds already: it must fail, and then hold again."
        return Way(1, (Needed(RENEW, words),))
    return _met(trigger, condition)


def _called() -> Way:
    return Way(1, (Needed(CALL, "It must be enrolled by a call (`enrollRecords`)."),))


def _turned_on() -> Needed:
    words = (
        "The workflow must be turned on, with `enrollExisting` where the record meets the triggers already."
    )
    return Needed(TURN_ON, words)


def _restored() -> Needed:
    return Needed(RESTORE, "The record must be restored.")


def _occurrence(trigger: Bound) -> str:
    return " ".join(_said(trigger))


def _said(trigger: Bound) -> Iterator[str]:
    match trigger:
        case Changed(property=prop, values=values):
            yield f'"{prop.name}" of the record must change'
            if values is not None:
                yield f"to one of {list(values)}"
        case Linked(kind=kind, other=other):
            came = kind is ChangeKind.ASSOCIATED
            yield f"the record must be {'associated with another one' if came else 'parted from another one'}"
            if other is not None:
                yield "that meets the trigger's condition"
        case Moved(kind=kind, segment_id=segment_id):
            verb = "join" if kind is ChangeKind.SEGMENT_JOINED else "leave"
            yield f"the record must {verb} the segment {ids.encode('segment', segment_id)}"
        case Happened(type=type_, event=event):
            yield f'"{type_.name}" must occur to the record'
            if event is not None:
                yield "with properties that meet the trigger's condition"
        case Imported():
            yield "an import that changes the record must finish"
        case Scheduled():
            yield "the schedule's time must come"
        case Dated(property=prop):
            yield f'the date in "{prop.name}" must come'
        case _:
            yield "the trigger must occur"
