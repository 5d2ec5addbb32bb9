"""Who enters a workflow, who stays out and why, and who leaves: one pure function for all who ask.

The evaluator asks it for records that something concerns, calls by hand for theirs, and explanations and dry runs for
the record that somebody wonders about.
"""

import enum
from dataclasses import dataclass
from typing import TypeAlias

# So many workflow steps in a row, each the cause of the next, are taken for a loop.
DEEPEST = 20


class Reason(enum.StrEnum):
    """Why a record does not enter, or why it leaves."""

    WORKFLOW_OFF = "WORKFLOW_OFF"
    # The workflow names what is not there (any more), so nobody can tell.
    BROKEN = "BROKEN"
    RECORD_ARCHIVED = "RECORD_ARCHIVED"
    TRIGGER_NOT_MET = "TRIGGER_NOT_MET"
    # What would enroll it happened before the workflow was turned on.
    MET_BEFORE_TURNED_ON = "MET_BEFORE_TURNED_ON"
    # It was enrolled once, and the workflow knows no re-enrollment.
    ALREADY_ENROLLED = "ALREADY_ENROLLED"
    # It was enrolled before, and no re-enrollment trigger newly holds.
    NO_REENROLLMENT_TRIGGER = "NO_REENROLLMENT_TRIGGER"
    SUPPRESSED = "SUPPRESSED"
    GOAL_MET = "GOAL_MET"
    ACTIVE_NOW = "ACTIVE_NOW"
    LOOP_GUARD = "LOOP_GUARD"


class Loop(enum.StrEnum):
    """What was taken for a loop."""

    DEPTH = "DEPTH"
    RATE = "RATE"


@dataclass(frozen=True, slots=True)
class Earlier:
    """The last enrollment of the record in the workflow.

    `by_filter`: a filter that was met let it in. `recent`: how many re-enrollments began within the last hour;
    `stopped`: the last of them was itself stopped by the guard.
    """

    epoch: int
    active: bool
    by_filter: bool = True
    recent: int = 0
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """What a definition says on entering and leaving.

    `holding`: some enrollment trigger is a filter, so that one must hold for a re-enrollment, too; where all are
    events, the re-enrollment trigger alone decides. `reentry`: there are re-enrollment triggers.
    """

    holding: bool = True
    reentry: bool = False
    unenroll_when_not_met: bool = False
    reenrollments_per_hour: int = 30


# Made by the thousand, and never changed: freezing costs four times as much as making them. So are verdicts.
@dataclass(slots=True)
class Situation:
    """What there is to know of one record and one workflow at one moment.

    `met` are the enrollment triggers that hold or have occurred, `before` those that would count had the change come
    after the turning on; `renewed` the re-enrollment triggers that newly hold or have occurred, by number.
    `filter_holds`: one of the enrollment filters holds. `called`: a person or another workflow asks for it.
    """

    enabled: bool = True
    usable: bool = True
    living: bool = True
    called: bool = False
    met: tuple[int, ...] = ()
    before: tuple[int, ...] = ()
    renewed: tuple[int, ...] = ()
    filter_holds: bool = False
    suppressed: bool = False
    goal_met: bool = False
    earlier: Earlier | None = None
    # The record was made by this very workflow.
    own: bool = False
    # How many workflow steps led here.
    depth: int = 0


@dataclass(slots=True)
class Enters:
    """The record is enrolled, for the `epoch`th time; `loop`: only to be stopped at once, visibly.

    `trigger` is the number of what lets it in, re-enrollment triggers counting on behind the others; None: the call.
    """

    trigger: int | None
    epoch: int
    loop: Loop | None = None


@dataclass(frozen=True, slots=True)
class StaysOut:
    """The record is not enrolled (anew); one that is active stays so."""

    reason: Reason


@dataclass(frozen=True, slots=True)
class Leaves:
    """The record's active enrollment ends with this status."""

    status: str
    reason: Reason


Verdict: TypeAlias = Enters | StaysOut | Leaves


def decide(policy: Policy, seen: Situation) -> Verdict:
    """What becomes of the record."""
    if seen.earlier is not None and seen.earlier.active:
        return _of_active(policy, seen, seen.earlier)
    if not seen.enabled:
        return StaysOut(Reason.WORKFLOW_OFF)
    if not seen.usable:
        return StaysOut(Reason.BROKEN)
    if not seen.living:
        return StaysOut(Reason.RECORD_ARCHIVED)
    entering = _called(seen) if seen.called else _triggered(policy, seen)
    if isinstance(entering, StaysOut):
        return entering
    if seen.suppressed:
        return StaysOut(Reason.SUPPRESSED)
    if seen.goal_met:
        return StaysOut(Reason.GOAL_MET)
    return entering if seen.called else _guarded(policy, seen, entering)


def _of_active(policy: Policy, seen: Situation, earlier: Earlier) -> Verdict:
    if seen.called or not seen.enabled or not seen.usable:
        return StaysOut(Reason.ACTIVE_NOW)
    if not seen.living:
        return Leaves("UNENROLLED", Reason.RECORD_ARCHIVED)
    if seen.goal_met:
        return Leaves("GOAL_MET", Reason.GOAL_MET)
    if seen.suppressed:
        return Leaves("UNENROLLED", Reason.SUPPRESSED)
    # Who was let in by an event, or by a call, never met the filters: nothing holds no longer.
    if policy.unenroll_when_not_met and earlier.by_filter and policy.holding and not seen.filter_holds:
        return Leaves("UNENROLLED", Reason.TRIGGER_NOT_MET)
    return StaysOut(Reason.ACTIVE_NOW)


def _called(seen: Situation) -> Enters:
    loop = Loop.DEPTH if seen.depth >= DEEPEST else None
    return Enters(None, 1 if seen.earlier is None else seen.earlier.epoch + 1, loop)


def _triggered(policy: Policy, seen: Situation) -> Enters | StaysOut:
    if seen.earlier is None:
        if seen.met:
            return Enters(seen.met[0], 1)
        return StaysOut(Reason.MET_BEFORE_TURNED_ON if seen.before else Reason.TRIGGER_NOT_MET)
    if not policy.reentry:
        return StaysOut(Reason.ALREADY_ENROLLED)
    if not seen.renewed:
        return StaysOut(Reason.NO_REENROLLMENT_TRIGGER)
    if policy.holding and not seen.met:
        return StaysOut(Reason.MET_BEFORE_TURNED_ON if seen.before else Reason.TRIGGER_NOT_MET)
    return Enters(seen.met[0] if seen.met else seen.renewed[0], seen.earlier.epoch + 1)


def _guarded(policy: Policy, seen: Situation, entering: Enters) -> Enters | StaysOut:
    if seen.own:
        return StaysOut(Reason.LOOP_GUARD)
    if seen.depth >= DEEPEST:
        return Enters(entering.trigger, entering.epoch, Loop.DEPTH)
    earlier = seen.earlier
    if earlier is not None and earlier.recent >= policy.reenrollments_per_hour:
        # Told once: not again and again while the loop goes on.
        if earlier.stopped:
            return StaysOut(Reason.LOOP_GUARD)
        return Enters(entering.trigger, entering.epoch, Loop.RATE)
    return entering
