"""The words for why a record is not enrolled, and for what would enroll it."""

from collections.abc import Mapping, Sequence

from engine.workflows.rules import Reason
from engine.workflows.why_not import NOT_EXAMINED_YET, WRONG_OBJECT_TYPE

MESSAGES: Mapping[str, str] = {
    Reason.WORKFLOW_OFF: "The workflow is off.",
    Reason.BROKEN: "The workflow names what is not there any more, so nobody can be enrolled.",
    Reason.RECORD_ARCHIVED: "The record is archived.",
    Reason.TRIGGER_NOT_MET: "It does not meet any of the triggers.",
    Reason.MET_BEFORE_TURNED_ON: (
        "It has met the triggers since before the workflow was turned on, and nothing that they look at has changed."
    ),
    Reason.ALREADY_ENROLLED: "It was enrolled once, and the workflow has no re-enrollment triggers.",
    Reason.NO_REENROLLMENT_TRIGGER: "It was enrolled before, and no re-enrollment trigger newly holds.",
    Reason.SUPPRESSED: "It meets the filter that keeps records out.",
    Reason.GOAL_MET: "It meets the goal already.",
    Reason.ACTIVE_NOW: "It is active in the workflow now.",
    Reason.LOOP_GUARD: "The workflow itself made it, or it was enrolled too often: this is taken for a loop.",
    WRONG_OBJECT_TYPE: "The workflow is for records of another object type.",
    NOT_EXAMINED_YET: "A change that concerns it still waits to be examined.",
}

_NEEDS = {
    "SET": "A property must have another value.",
    "ASSOCIATE": "Other records must be associated.",
    "DISSOCIATE": "Records must not be associated any more.",
    "MEMBERSHIP": "It must come to, or leave, a segment.",
    "ENROLLMENT": "It must be enrolled in another workflow, or leave it.",
    "EVENT": "An event must occur to it.",
    "SOURCE": "It must be changed by another kind of source.",
    "WAIT": "Time must go by.",
    "TURN_ON": "The workflow must be turned on.",
    "REPAIR": "The workflow must name what is there.",
    "RESTORE": "The record must be restored.",
    "LEAVE": "Its active enrollment must end.",
    "CALL": "It must be enrolled by a call, `enrollRecords`.",
    "OCCUR": "What a trigger waits for must happen.",
    "TOUCH": "Something that the triggers look at must change, while they hold.",
    "RENEW": "A re-enrollment trigger must fail, and then hold again.",
}


def reasons() -> Sequence[str]:
    """All codes, in the order in which they are told."""
    return [str(one) for one in MESSAGES]


def needs() -> Mapping[str, str]:
    """The kinds of changes, with what they mean."""
    return _NEEDS
