"""How an enrollment moves: one pure function from where it stands and what came of its action to where it goes."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias, assert_never

from storage.enrollments import EnrollmentRow, Move, StepRow

# An action that fails for a reason that may pass is tried this often before it counts as failed.
ATTEMPTS = 6
FIRST_DELAY = timedelta(seconds=2)
LONGEST_DELAY = timedelta(minutes=10)


# Results are made by the thousand, and never changed: freezing costs four times as much as making them.
@dataclass(slots=True)
class Done:
    """The action was carried out; `changes` are what it changed (none: all was as it should be)."""

    changes: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Partly:
    """A first part of a large action was carried out; it goes on behind neighbour `after`."""

    after: int
    changes: tuple[dict[str, Any], ...] = ()
    # What was refused in this part, if anything: the rest is tried nevertheless.
    error: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The action cannot be carried out: trying again would not help. What it did change stands."""

    error: dict[str, Any]
    changes: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Crashed:
    """Something unexpected went wrong and was undone; it may pass."""

    error: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Skipped:
    """The workflow is off."""


@dataclass(slots=True)
class Chose:
    """A branch was decided: the enrollment goes way number `way` of the action. `told` says why, for the history."""

    way: int
    told: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Waits:
    """The enrollment stays before its action: until a moment, or (None) until it is called.

    `waiting` is DELAY, EVENT or OUTSIDE; the action finds it in the enrollment when its turn comes again, and `kept`
    in `arrived`, unless what arrives takes its place.
    """

    until: datetime | None
    waiting: str
    kept: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Postponed:
    """It is no time for actions: the action comes due again at `until`, as if nothing had been."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Ends:
    """The action itself ended the enrollment, with this status.

    `told`: what it called has ended the enrollment already, for the reason in `error`, and has told of it.
    """

    status: str
    changes: tuple[dict[str, Any], ...] = ()
    error: dict[str, Any] | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """The record was archived, or merged into another."""

    merged: bool


Result: TypeAlias = Done | Partly | Failed | Crashed | Skipped | Gone | Chose | Waits | Postponed | Ends


@dataclass(frozen=True, slots=True)
class Plan:
    """What `advance` needs to know of the action: its id, what follows it (None: the end), what an error means.

    `ways` are a branch's, see `engine.workflows.definition.program.Node`; `steps_limit` stops what runs away.
    """

    action: str
    next: int | None
    stops_on_error: bool
    ways: tuple[int | None, ...] = ()
    steps_limit: int = 1_000


@dataclass(slots=True)
class Transition:
    """Where the enrollment goes, and the line of history that tells of it (none while it is tried again).

    `told`: that it has ended was told before.
    """

    move: Move
    step: StepRow | None
    told: bool = False


def advance(  # noqa: C901 - one case a result
    standing: EnrollmentRow, plan: Plan, result: Result, now: datetime
) -> Transition:
    """The transition of an active enrollment whose next action came to `result` at `now`."""
    match result:
        case Done(changes):
            outcome = "DONE" if changes or standing.resume_after is not None else "UNCHANGED"
            return _onward(standing, plan, now, _line(standing, plan, now, outcome, changes))
        case Skipped():
            return _onward(standing, plan, now, _line(standing, plan, now, "SKIPPED"))
        case Partly(after, changes, error):
            line = _line(standing, plan, now, "DONE" if error is None else "FAILED", changes, error)
            if error is not None and plan.stops_on_error:
                return _ended(standing, now, "FAILED", error, line)
            return Transition(
                _move(standing, steps=standing.steps + 1, resume_after=after, due_at=standing.due_at), line
            )
        case Failed(error, changes):
            line = _line(standing, plan, now, "FAILED", changes, error)
            if plan.stops_on_error:
                return _ended(standing, now, "FAILED", error, line)
            return _onward(standing, plan, now, line)
        case Crashed(error):
            attempts = standing.attempts + 1
            if attempts >= ATTEMPTS:
                return advance(standing, plan, Failed(error), now)
            return Transition(
                _move(
                    standing,
                    steps=standing.steps,
                    resume_after=standing.resume_after,
                    due_at=now + retry_delay(attempts),
                    attempts=attempts,
                    error=error,
                    waiting=standing.waiting,
                    arrived=standing.arrived,
                ),
                None,
            )
        case Chose(way, told):
            line = _line(standing, plan, now, "DONE", (told,))
            return _to(standing, plan, plan.ways[way], now, line)
        case Waits() | Postponed():
            return Transition(_rest(standing, result), None)
        case Ends(status, changes, error, told):
            line = _line(standing, plan, now, "DONE", changes)
            return replace(_ended(standing, now, status, error, line), told=told)
        case Gone(merged):
            return _ended(standing, now, "MERGED" if merged else "UNENROLLED", None, None)
        case _:
            assert_never(result)


def _rest(standing: EnrollmentRow, result: Waits | Postponed) -> Move:
    """It stays before its action; for a postponed one it is as if nothing had been."""
    stays = _move(standing, steps=standing.steps, resume_after=standing.resume_after, due_at=result.until)
    if isinstance(result, Waits):
        return replace(stays, waiting=result.waiting, arrived=result.kept)
    return replace(stays, attempts=standing.attempts, waiting=standing.waiting, arrived=standing.arrived)


def retry_delay(attempt: int) -> timedelta:
    """How long to wait after failure number `attempt` (from 1): doubling, up to a limit."""
    return min(FIRST_DELAY * (1 << min(attempt - 1, 20)), LONGEST_DELAY)


def complete(standing: EnrollmentRow, now: datetime) -> Transition:
    """The transition of an enrollment without a next action."""
    return _ended(standing, now, "COMPLETED", None, None)


def _onward(standing: EnrollmentRow, plan: Plan, now: datetime, line: StepRow) -> Transition:
    return _to(standing, plan, plan.next, now, line)


def _to(standing: EnrollmentRow, plan: Plan, n: int | None, now: datetime, line: StepRow) -> Transition:
    """On to action number `n`; without one, to the end."""
    if n is None:
        return _ended(standing, now, "COMPLETED", None, line, next_step=standing.next_step + 1)
    if standing.steps + 1 >= plan.steps_limit:
        error = {
            "code": "LOOP_GUARD",
            "message": f"The enrollment has taken {plan.steps_limit} steps; this is taken for a loop.",
        }
        return _ended(standing, now, "FAILED", error, line)
    # Due as before, where it was due: the next action is due at once, and the index entry stays where it is.
    due_at = now if standing.due_at is None else standing.due_at
    return Transition(
        _move(standing, next_step=n, steps=standing.steps + 1, resume_after=None, due_at=due_at), line
    )


def _ended(
    standing: EnrollmentRow,
    now: datetime,
    status: str,
    error: dict[str, Any] | None,
    line: StepRow | None,
    *,
    next_step: int | None = None,
) -> Transition:
    steps = standing.steps + (line is not None)
    return Transition(
        Move(
            id=standing.id,
            status=status,
            next_step=standing.next_step if next_step is None else next_step,
            steps=steps,
            # What failed may be taken up again: in the part of it that failed.
            resume_after=standing.resume_after if status == "FAILED" else None,
            due_at=None,
            attempts=0,
            error=error,
            ended_at=now,
            waiting=None,
            arrived=None,
        ),
        line,
    )


def _move(
    standing: EnrollmentRow,
    *,
    steps: int,
    resume_after: int | None,
    due_at: datetime | None,
    next_step: int | None = None,
    attempts: int = 0,
    error: dict[str, Any] | None = None,
    waiting: str | None = None,
    arrived: dict[str, Any] | None = None,
) -> Move:
    return Move(
        id=standing.id,
        status="ACTIVE",
        next_step=standing.next_step if next_step is None else next_step,
        steps=steps,
        resume_after=resume_after,
        due_at=due_at,
        attempts=attempts,
        error=error,
        ended_at=None,
        waiting=waiting,
        arrived=arrived,
    )


def _line(
    standing: EnrollmentRow,
    plan: Plan,
    now: datetime,
    outcome: str,
    changes: tuple[dict[str, Any], ...] = (),
    error: dict[str, Any] | None = None,
) -> StepRow:
    return StepRow(standing.id, standing.steps, plan.action, now, outcome, list(changes), error)
