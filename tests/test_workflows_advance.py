"""`advance` and the choice of candidates: pure functions, held to their laws."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.evaluation.listening import Cause, candidates, heard, keys, offer
from engine.workflows.advance import (
    ATTEMPTS,
    LONGEST_DELAY,
    Chose,
    Crashed,
    Done,
    Ends,
    Failed,
    Gone,
    Partly,
    Plan,
    Postponed,
    Result,
    Skipped,
    Waits,
    advance,
    complete,
    retry_delay,
)
from storage.catalogue import Catalogue
from storage.changes import ChangeKind, QueuedChange
from storage.enrollments import EnrollmentRow, Move
from storage.listeners import Listener, Ref

T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
ERROR = {"code": "X", "message": "x"}

results = st.one_of(
    st.builds(Done, st.lists(st.just({"record": 1}), max_size=2).map(tuple)),
    st.builds(Partly, st.integers(1, 9), st.just(()), st.sampled_from([None, ERROR])),
    st.just(Failed(ERROR)),
    st.just(Crashed(ERROR)),
    st.just(Skipped()),
    st.builds(Gone, st.booleans()),
    st.builds(Chose, st.integers(0, 2), st.just({"branch": 1})),
    st.builds(Waits, st.just(T0 + timedelta(days=1)), st.sampled_from(["DELAY", "EVENT"])),
    st.just(Waits(None, "OUTSIDE")),
    st.just(Postponed(T0 + timedelta(hours=1))),
    st.just(Ends("UNENROLLED")),
)
standings = st.builds(
    EnrollmentRow,
    id=st.integers(1, 99),
    workflow_id=st.just(5),
    revision=st.just(1),
    record_id=st.just(7),
    epoch=st.just(1),
    status=st.just("ACTIVE"),
    next_step=st.integers(0, 3),
    steps=st.integers(0, 9),
    depth=st.just(0),
    resume_after=st.sampled_from([None, 4]),
    due_at=st.sampled_from([T0, None]),
    attempts=st.integers(0, ATTEMPTS - 1),
    reason=st.just({}),
    error=st.none(),
    enrolled_at=st.just(T0),
    ended_at=st.none(),
    waiting=st.sampled_from([None, "DELAY", "EVENT", "OUTSIDE"]),
    arrived=st.sampled_from([None, {"event": 1}]),
    occasion=st.none(),
    undone_at=st.none(),
)
numbers = st.none() | st.integers(0, 9)
plans = st.builds(
    Plan,
    st.just("a1"),
    numbers,
    st.booleans(),
    st.tuples(numbers, numbers, numbers),
    st.sampled_from([5, 1_000]),
)


@given(standings, plans, results)
def test_every_transition_is_one_of_few_and_consistent(
    standing: EnrollmentRow, plan: Plan, result: Result
) -> None:
    now = T0 + timedelta(minutes=1)
    transition = advance(standing, plan, result, now)
    move, step = transition.move, transition.step
    # Nowhere but where the plan leads, and history has no gap.
    ahead = plan.ways[result.way] if isinstance(result, Chose) else plan.next
    end = standing.next_step + 1
    assert move.next_step in (standing.next_step, end if ahead is None else ahead)
    assert move.steps == standing.steps + (step is not None)
    assert step is None or (step.n, step.enrollment_id) == (standing.steps, standing.id)
    if move.status == "ACTIVE":
        # Its turn comes again, by itself or by the outbox.
        if not isinstance(result, Partly):
            assert (move.due_at is None) is (result == Waits(None, "OUTSIDE"))
        assert move.ended_at is None
    else:
        assert (move.due_at, move.waiting, move.arrived, move.ended_at) == (None, None, None, now)
        # What failed may be taken up again where it stood.
        assert move.resume_after == (standing.resume_after if move.status == "FAILED" else None)
        assert (move.status == "FAILED") is (move.error is not None)
    # Who goes on to another action begins it from its start, with all attempts before him.
    if move.status == "ACTIVE" and step is not None and not isinstance(result, Partly):
        assert (move.resume_after, move.attempts, move.waiting, move.arrived) == (None, 0, None, None)
    # What failed is told.
    if isinstance(result, Failed):
        assert step is not None
        assert (step.outcome, step.error) == ("FAILED", ERROR)
        assert not plan.stops_on_error or move.status == "FAILED"


@given(standings, plans, st.lists(results, min_size=1, max_size=40))
def test_whatever_comes_an_enrollment_stays_within_its_steps_or_says_that_it_was_stopped(
    standing: EnrollmentRow, plan: Plan, came: list[Result]
) -> None:
    now, lines = T0, standing.steps
    for result in came:
        now += timedelta(seconds=1)
        transition = advance(standing, plan, result, now)
        if transition.step is not None:
            assert transition.step.n == lines
            lines += 1
        if transition.move.status != "ACTIVE":
            return
        # Parts of one action may go on beyond the limit; another action does not begin.
        moved = transition.move.next_step != standing.next_step
        assert not moved or transition.move.steps < plan.steps_limit
        standing = moved_to(standing, transition.move)


@given(standings, plans, st.sampled_from([Done(), Skipped(), Chose(1, {})]))
def test_too_many_steps_are_taken_for_a_loop_and_say_so(
    standing: EnrollmentRow, plan: Plan, result: Result
) -> None:
    limited = Plan(plan.action, 3, plan.stops_on_error, (None, 3), steps_limit=standing.steps + 1)
    transition = advance(standing, limited, result, T0)
    assert transition.step is not None
    assert (transition.move.status, (transition.move.error or {})["code"]) == ("FAILED", "LOOP_GUARD")


@given(standings, plans)
def test_who_is_put_off_stands_as_if_nothing_had_been(standing: EnrollmentRow, plan: Plan) -> None:
    until = T0 + timedelta(hours=1)
    assert moved_to(standing, advance(standing, plan, Postponed(until), T0).move) == replace(
        standing, due_at=until
    )


@given(standings, plans, st.sampled_from(["DELAY", "EVENT", "OUTSIDE"]))
def test_who_waits_stays_before_its_action_and_knows_for_what(
    standing: EnrollmentRow, plan: Plan, waiting: str
) -> None:
    until = None if waiting == "OUTSIDE" else T0 + timedelta(days=1)
    transition = advance(standing, plan, Waits(until, waiting), T0)
    assert transition.step is None
    assert moved_to(standing, transition.move) == replace(
        standing, due_at=until, waiting=waiting, attempts=0, arrived=None
    )


def moved_to(standing: EnrollmentRow, move: Move) -> EnrollmentRow:
    """The enrollment where it has been moved."""
    return replace(standing, **{name: getattr(move, name) for name in Move.__slots__})


@given(standings, plans)
def test_a_crash_is_tried_again_later_and_later_and_in_the_end_is_a_failure(
    standing: EnrollmentRow, plan: Plan
) -> None:
    now = T0
    for attempt in range(standing.attempts + 1, ATTEMPTS):
        move = advance(standing, plan, Crashed(ERROR), now).move
        assert (move.status, move.attempts, move.error) == ("ACTIVE", attempt, ERROR)
        assert (move.next_step, move.resume_after) == (standing.next_step, standing.resume_after)
        assert move.due_at is not None
        assert move.due_at > now
        now = move.due_at
        standing = replace(standing, attempts=attempt)
    ended = advance(standing, plan, Crashed(ERROR), now)
    assert ended == advance(standing, plan, Failed(ERROR), now)


def test_delays_grow_to_a_limit() -> None:
    delays = [retry_delay(attempt) for attempt in range(1, 200)]
    assert delays == sorted(delays)
    assert len(set(delays[:5])) == 5
    assert delays[-1] == LONGEST_DELAY


@given(standings)
def test_without_a_next_action_an_enrollment_is_complete(standing: EnrollmentRow) -> None:
    transition = complete(standing, T0)
    assert (transition.move.status, transition.step) == ("COMPLETED", None)


def change(kind: ChangeKind, record: int = 7, **more: Any) -> QueuedChange:
    return QueuedChange(record_id=record, object_type_id=1, kind=kind, at=T0, **more)


EMPTY = Catalogue(1, 1, {}, {})


def test_a_change_made_before_a_workflow_was_turned_on_is_none_of_its_business() -> None:
    listener = Listener(Ref("RECORD", 1, ()), 5, since=10)
    assert not heard(change(ChangeKind.CREATED, version=9), listener)
    assert heard(change(ChangeKind.CREATED, version=10), listener)


def test_what_comes_and_goes_concerns_its_neighbours_and_what_is_new_itself_alone() -> None:
    near, far = Listener(Ref("RECORD", 1, ()), 5, 0), Listener(Ref("RECORD", 1, (3,)), 5, 0)
    for kind, itself, neighbours in (
        (ChangeKind.CREATED, True, False),
        (ChangeKind.RESTORED, True, True),
        (ChangeKind.ARCHIVED, False, True),
        (ChangeKind.MERGED, False, True),
    ):
        assert list(keys(change(kind), EMPTY)) == [("RECORD", 1)]
        assert (heard(change(kind), near), heard(change(kind), far)) == (itself, neighbours)


def test_changes_of_one_record_are_one_candidate_and_one_walk() -> None:
    listeners = [
        Listener(Ref("ASSOCIATION", 3, ()), 5, 0),
        Listener(Ref("ASSOCIATION", 3, (4,)), 5, 0),
        Listener(Ref("ASSOCIATION", 3, (4,)), 6, 0),
    ]
    changes = [
        change(ChangeKind.ASSOCIATED, type_ids=(3,), depth=2, version=8),
        change(ChangeKind.DISSOCIATED, type_ids=(3, 9), depth=1, version=7),
    ]
    near, walks = candidates(changes, listeners, EMPTY)
    assert near.keys() == {5}
    assert near[5].keys() == {7}
    # The mildest cause counts, and the latest version.
    assert (near[5][7].depth, near[5][7].version) == (1, 8)
    [walk] = walks
    assert (walk.record_id, walk.path, walk.listener_ids) == (7, (4,), (5, 6))


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1))
def test_the_order_of_causes_does_not_matter(depths: list[tuple[int, int]]) -> None:
    def offered(given: list[tuple[int, int]]) -> tuple[int, int]:
        found: dict[int, dict[int, Cause]] = {}
        for depth, version in given:
            offer(found, 1, 1, Cause({}, T0, depth, version))
        return found[1][1].depth, found[1][1].version

    assert offered(depths) == offered(depths[::-1])
    assert offered(depths) == (min(d for d, _ in depths), max(v for _, v in depths))
