"""`advance` and the choice of candidates: pure functions, held to their laws."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.evaluation.listening import Cause, candidates, heard, keys, offer
from engine.workflows.advance import (
    ATTEMPTS,
    LONGEST_DELAY,
    Crashed,
    Done,
    Failed,
    Gone,
    Partly,
    Plan,
    Result,
    Skipped,
    advance,
    complete,
    retry_delay,
)
from storage.catalogue import Catalogue
from storage.changes import ChangeKind, QueuedChange
from storage.enrollments import EnrollmentRow
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
    due_at=st.just(T0),
    attempts=st.integers(0, ATTEMPTS - 1),
    reason=st.just({}),
    error=st.none(),
    enrolled_at=st.just(T0),
    ended_at=st.none(),
    waiting=st.none(),
    arrived=st.none(),
    occasion=st.none(),
    undone_at=st.none(),
)
plans = st.builds(Plan, st.just("a1"), st.none() | st.integers(0, 9), st.booleans())


@given(standings, plans, results)
def test_every_transition_is_one_of_few_and_consistent(
    standing: EnrollmentRow, plan: Plan, result: Result
) -> None:
    now = T0 + timedelta(minutes=1)
    transition = advance(standing, plan, result, now)
    move, step = transition.move, transition.step
    # Nowhere but where the plan leads, and history has no gap.
    ahead = standing.next_step + 1 if plan.next is None else plan.next
    assert move.next_step in (standing.next_step, ahead)
    assert move.steps == standing.steps + (step is not None)
    assert step is None or (step.n, step.enrollment_id) == (standing.steps, standing.id)
    if move.status == "ACTIVE":
        assert move.due_at is not None
        assert move.ended_at is None
    else:
        assert (move.due_at, move.resume_after, move.ended_at) == (None, None, now)
    # Who goes on to another action begins it from its start, with all attempts before him.
    if move.next_step != standing.next_step:
        assert (move.resume_after, move.attempts) == (None, 0)
        assert (move.status == "COMPLETED") is (plan.next is None)
    # What failed is told.
    if isinstance(result, Failed):
        assert step is not None
        assert (step.outcome, step.error) == ("FAILED", ERROR)
        assert (move.status == "FAILED") is plan.stops_on_error


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
        standing = with_attempts(standing, attempt)
    ended = advance(standing, plan, Crashed(ERROR), now)
    assert ended == advance(standing, plan, Failed(ERROR), now)


def with_attempts(standing: EnrollmentRow, attempts: int) -> EnrollmentRow:
    fields = {name: getattr(standing, name) for name in EnrollmentRow.__dataclass_fields__}
    return EnrollmentRow(**{**fields, "attempts": attempts})


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
